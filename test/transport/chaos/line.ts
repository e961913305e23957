/** Many lines to one next hop, each with an attacker on it, and what every delivery over them came to. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import pino from 'pino'
import type { Outcome } from '../../../src/mail/outcome.ts'
import { systemClock } from '../../../src/ops/clock.ts'
import { defaultSettings } from '../../../src/ops/settings.ts'
import { openDatabase } from '../../../src/store/open.ts'
import { createTransport, type Need } from '../../../src/transport/transport.ts'
import { type Chaos, type Interference, outsideTls, startChaos, type Tap } from '../../world/chaos.ts'
import { type Authority, createAuthority, type Partner, startFakeDns, startPartner } from '../../world/index.ts'

/** What must never be read on the line; the first part of each address is the number of the attempt. */
export const secrets = ['mail from', 'rcpt to', 'sender@org.example', '@chaos.example', 'confidential', 'kanarienvogel']
export const body = 'Subject: Confidential\r\n\r\nKanarienvogel\r\n.dot\r\n'

export type Attempt = {
  readonly interference: Interference
  readonly outcome: Outcome | { readonly kind: 'threw' | 'hung'; readonly text: string }
  readonly taps: readonly Tap[]
  /** How often the mail arrived. */
  readonly arrived: number
  readonly ms: number
}

export type Lines = {
  readonly authority: Authority
  readonly partner: Partner
  readonly count: number
  readonly attempt: (interference: Interference, need?: Need, line?: number) => Promise<Attempt>
  readonly close: () => Promise<void>
}

const verified: Need = { kind: 'forced', level: 'verified' }
// Far beyond the sum of all deadlines: whoever is not done by then hangs.
const watchdog = 15_000

/** So many lines; the next hop speaks TLS up to `maxVersion`. Each line serves one attempt at a time. */
export async function openLines(count: number, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<Lines> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-chaos-'))
  const authority = await createAuthority()
  await writeFile(join(folder, 'ca.pem'), authority.cert)
  const arrivals = new Map<string, number>()
  const partner = await startPartner(
    { tls: await authority.issue(['*.chaos.example']), secure: { maxVersion } },
    {
      onMail: ({ recipients, content }) => {
        for (const { address } of recipients) {
          const [number = ''] = address.split('@')
          // A mail that is not ours to the octet counts as a hundred.
          arrivals.set(number, (arrivals.get(number) ?? 0) + (content.toString() === body ? 1 : 100))
        }
      },
    },
  )
  const dns = await startFakeDns()
  const lines: Chaos[] = []
  const block = 1 + Math.floor(Math.random() * 250)
  const first = await startChaos(partner, { host: `127.${block}.1.1`, port: 0 })
  for (let i = 0; i < count; i++) {
    const host = `127.${block}.${2 + Math.floor(i / 200)}.${1 + (i % 200)}`
    lines.push(await startChaos(partner, { host, port: first.port }))
    dns.set(`line${i}.example`, { records: [{ type: 'MX', data: { preference: 1, exchange: `mx${i}.chaos.example` } }] })
    dns.set(`mx${i}.chaos.example`, { records: [{ type: 'A', data: host }] })
  }
  // `reuse: 0`: every attempt raises its own channel, for that is what is attacked.
  const short = { greeting: 1000, lastGreeting: 1000, ehlo: 1000, handshake: 1000, command: 1000 }
  const db = await openDatabase({ data: folder, database: `sqlite:${join(folder, 'letterlock.db')}` })
  const transport = createTransport({
    db,
    settings: defaultSettings({
      hostname: 'gate.org.example',
      'delivery.port': first.port,
      'delivery.allowPrivateAddresses': true,
      'dns.servers': [dns.address],
      'tls.ca': join(folder, 'ca.pem'),
    }),
    clock: systemClock,
    log: pino({ level: 'silent' }),
    deadlines: { ...short, connect: 1000, dataStart: 1000, block: 1000, finalDot: 1000, quit: 100, reuse: 0 },
  })
  let number = 100_000
  const ship = async (line: number, recipient: string, need: Need): Promise<Attempt['outcome']> => {
    const outcomes = await transport.ship({
      domain: `line${line}.example`,
      need,
      reversePath: 'sender@org.example',
      recipients: [{ id: 'one', address: `${recipient}@chaos.example`, notify: [] }],
      envelope: { body: '7bit', smtpUtf8: false },
      size: body.length,
      open: () => Readable.from([Buffer.from(body)]),
      signal: new AbortController().signal,
    })
    return outcomes.get('one') ?? { kind: 'threw', text: 'no outcome' }
  }
  return {
    authority,
    partner,
    count,
    attempt: async (interference, need = verified, line = 0) => {
      const recipient = String(number++)
      const taps = lines[line]?.interfere(interference) ?? []
      const started = Date.now()
      let bark: NodeJS.Timeout | undefined
      const outcome = await Promise.race([
        ship(line, recipient, need).catch((error: Error) => ({ kind: 'threw', text: error.stack ?? error.message }) as const),
        new Promise<{ kind: 'hung'; text: string }>((done) => {
          bark = setTimeout(() => done({ kind: 'hung', text: 'no outcome in time' }), watchdog)
        }),
      ])
      clearTimeout(bark)
      const ms = Date.now() - started
      // What was under way when we gave up may still arrive.
      if (outcome.kind !== 'delivered') await new Promise((done) => setTimeout(done, 5))
      return { interference, outcome, taps, arrived: arrivals.get(recipient) ?? 0, ms }
    },
    close: async () => {
      await transport.close()
      await Promise.all([first, ...lines].map((line) => line.close()))
      await Promise.all([partner.close(), dns.close(), db.close()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The first thing that must not be on the line, if any: a clear word, or octets outside TLS that are not EHLO, STARTTLS or QUIT. */
export function leakOf({ taps }: Attempt): string | undefined {
  for (const { out, read } of taps) {
    const sent = Buffer.concat(out)
    const clear = outsideTls(sent).toString('latin1')
    if (!/^(?:EHLO gate\.org\.example\r\n|STARTTLS\r\n|QUIT\r\n)*$/.test(clear)) return clear
    // An impostor whom we see through is told goodbye.
    const seen = Buffer.concat(read).toString('latin1')
    if (!/^(?:QUIT\r\n)?$/.test(seen)) return seen
    const word = secrets.find((secret) => sent.toString('latin1').toLowerCase().includes(secret))
    if (word) return word
  }
  return undefined
}
