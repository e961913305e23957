/** A whole small internet for one test: DNS, a CA that the gateway trusts, partners, and a transport that ships to them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import pino from 'pino'
import type { Outcome } from '../../src/mail/outcome.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { defaultSettings, type Settings } from '../../src/ops/settings.ts'
import type { Db } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import type { Deadlines } from '../../src/transport/deadlines.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { createTransport, type Need, type Shipment } from '../../src/transport/transport.ts'
import { type Authority, createAuthority, type FakeDns, type Manner, type Partner, startFakeDns, startPartner } from './index.ts'
import { type StsHost, startStsHost } from './sts-host.ts'

export type SmallWorld = {
  readonly authority: Authority
  readonly dns: FakeDns
  /** A partner on the world's port at 127.0.0.n, with MX `mx.<domain>` (or more hosts) pointing to it. */
  readonly partner: (domain: string, manner?: Manner) => Promise<Partner>
  /** A partner at its own address, without DNS entries. */
  readonly bare: (manner?: Manner, port?: number) => Promise<Partner>
  /** An address nobody has used, where nobody listens on the world's port. */
  readonly freeAddress: () => string
  readonly port: number
  /** Show an MTA-STS policy (sts-host.ts, `policyText`) for a domain, with record, host and certificate. */
  readonly publishSts: (domain: string, policy: Policy, id?: string) => Promise<void>
  readonly sts: StsHost
  readonly db: Db
  /** What the transport was made with. */
  readonly settings: Settings
  readonly ship: (
    domain: string,
    need: Need,
    more?: Partial<Shipment> & { readonly to?: readonly string[]; readonly body?: string | Buffer },
  ) => Promise<Shipped>
  readonly close: () => Promise<void>
}

type Policy = Parameters<StsHost['answer']>[0]

export type Shipped = { readonly all: ReadonlyMap<string, Outcome>; readonly first: Outcome }

/** The default need of the product. */
export const verified = { kind: 'forced', level: 'verified' } as const satisfies Need

/** Open a world; `close` it in the end. Deadlines are short, retry times the product's own. */
export async function openWorld(overrides: Partial<Settings> = {}, deadlines: Partial<Deadlines> = {}): Promise<SmallWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-world-'))
  const authority = await createAuthority()
  await writeFile(join(folder, 'ca.pem'), authority.cert)
  const dns = await startFakeDns()
  const partners: Partner[] = []
  // All partners share a port, as port 25 is shared: draw one, then give each its own loopback address.
  const first = await startPartner()
  const { port } = first
  await first.close()
  const settings = defaultSettings({
    'delivery.port': port,
    'delivery.allowPrivateAddresses': true,
    'dns.servers': [dns.address],
    'tls.ca': join(folder, 'ca.pem'),
    hostname: 'gate.org.example',
    ...overrides,
  })
  const short = {
    connect: 2000,
    greeting: 1500,
    lastGreeting: 1500,
    ehlo: 1500,
    handshake: 1500,
    command: 1500,
    dataStart: 1500,
    block: 2000,
    finalDot: 1500,
    quit: 200,
  }
  const db = await openDatabase({ data: folder, database: `sqlite:${join(folder, 'letterlock.db')}` })
  const site = await startStsHost(await authority.issue(['nobody.example']))
  const transport = createTransport({
    settings,
    db,
    stsPort: site.port,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    deadlines: { ...short, ...deadlines },
    resolver: createResolver({ servers: settings['dns.servers'], clock: systemClock, timeout: 1500, rounds: 2 }),
  })
  const policies = new Map<string, Policy>()
  site.answer((request, response) => {
    const policy = policies.get(request.headers.host ?? '') ?? ''
    if (typeof policy === 'string') response.writeHead(200, { 'Content-Type': 'text/plain' }).end(policy)
    else policy(request, response)
  })
  let hosts = 0
  const block = 1 + Math.floor(Math.random() * 250)
  const freeAddress = () => `127.${block}.${Math.floor(Math.random() * 250)}.${10 + hosts++}`
  const bare = async (manner: Manner = {}, at = port) => {
    const partner = await startPartner(manner, { host: freeAddress(), port: at })
    partners.push(partner)
    return partner
  }
  return {
    authority,
    dns,
    port,
    bare,
    db,
    sts: site,
    settings,
    publishSts: async (domain, policy, id = 'one') => {
      const name = `mta-sts.${domain}`
      site.show(name, await authority.issue([name]))
      policies.set(name, policy)
      dns.set(`_${name}`, { records: [{ type: 'TXT', data: `v=STSv1; id=${id};` }] })
      dns.set(name, { records: [{ type: 'A', data: site.host }] })
    },
    freeAddress,
    partner: async (domain, manner = {}) => {
      const partner = await bare({ hostname: `mx.${domain}`, ...manner })
      dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: `mx.${domain}` } }] })
      dns.set(`mx.${domain}`, { records: [{ type: 'A', data: partner.host }] })
      return partner
    },
    ship: async (domain, need, { to = [`ann@${domain}`], body = 'Subject: x\r\n\r\nhello\r\n', ...more } = {}) => {
      const content = Buffer.from(body)
      const all = await transport.ship({
        domain,
        need,
        reversePath: 'bob@org.example',
        recipients: to.map((address) => ({ id: address, address, notify: [] })),
        envelope: { body: '7bit', smtpUtf8: false },
        size: content.length,
        open: () => Readable.from([content]),
        signal: new AbortController().signal,
        ...more,
      })
      const [outcome] = all.values()
      if (!outcome) throw new Error('no outcome')
      return { all, first: outcome }
    },
    close: async () => {
      await transport.close()
      await Promise.all([dns.close(), site.close(), db.close(), ...partners.map((partner) => partner.close())])
      await rm(folder, { recursive: true, force: true })
    },
  }
}
