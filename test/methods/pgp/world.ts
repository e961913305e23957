/** The small world of the pgp tests: gpg with a home of its own, a database, and a transport that keeps what it is given. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after } from 'node:test'
import { pino } from 'pino'
import { splitHeader } from '../../../src/mail/header.ts'
import type { Outcome } from '../../../src/mail/outcome.ts'
import type { Answer, Attempt, AttemptRecipient, Parts } from '../../../src/methods/method.ts'
import { type PgpOptions, pgp } from '../../../src/methods/pgp/pgp.ts'
import { packageRoot } from '../../../src/ops/package-root.ts'
import { defaultSettings } from '../../../src/ops/settings.ts'
import type { Db } from '../../../src/store/db.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { openSqlite } from '../../../src/store/sqlite.ts'
import type { Shipment } from '../../../src/transport/transport.ts'
import { peer } from '../../world/peers.ts'
import { openWorld } from '../../world/small-world.ts'

/** Why gpg tests are skipped; with CI=true a missing gpg fails instead. */
export const withoutGpg = peer('gpg').skip

export type Gpg = {
  generate: (userId: string, algorithm?: string) => Buffer
  run: (args: string[], input?: Buffer) => { out: Buffer; status: string }
}

const missing = (): never => assert.fail('gpg is not installed')
export const noGpg: Gpg = { generate: missing, run: missing }

/** A gpg that knows only its own keys. */
export function gpgHome(): Gpg {
  const home = mkdtempSync(join(tmpdir(), 'll-gpg-'))
  const environment = { ...process.env, GNUPGHOME: home, LC_ALL: 'C' }
  after(() => {
    spawnSync('gpgconf', ['--kill', 'all'], { env: environment })
    rmSync(home, { recursive: true, force: true })
  })
  const run: Gpg['run'] = (args, input) => {
    const status = join(home, 'status')
    writeFileSync(status, '')
    const out = execFileSync(
      'gpg',
      ['--batch', '--yes', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '', '--status-file', status, ...args],
      {
        env: environment,
        input: input ?? Buffer.alloc(0),
        stdio: ['pipe', 'pipe', 'pipe'],
        maxBuffer: 64 * 1024 * 1024,
      },
    )
    return { out, status: execFileSync('cat', [status]).toString() }
  }
  return {
    run,
    generate(userId, algorithm = 'future-default') {
      run(['--quick-generate-key', userId, algorithm, 'default', '1y'])
      const address = /<(.*)>/.exec(userId)?.[1] ?? userId
      return run(['--armor', '--export', address]).out
    },
  }
}

export async function database(): Promise<Db> {
  const folder = mkdtempSync(join(tmpdir(), 'll-pgp-'))
  const db = openSqlite(join(folder, 'test.db'))
  await migrate(db, join(packageRoot, 'migrations'))
  after(async () => {
    await db?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return db
}

/** What the transport was asked, and what the partner received over its socket. */
export type Shipped = Omit<Shipment, 'open'> & { readonly content: Buffer }

/** lab.example without TLS, reached through the real transport. */
export async function labExample() {
  const world = await openWorld()
  after(() => world?.close())
  const partner = await world.partner('lab.example')
  return { world, partner }
}

type Over = { readonly limit?: number; readonly clock?: () => number }

/** The method with the real transport to lab.example. */
export function pgpOver(
  db: Db,
  { world, partner }: Awaited<ReturnType<typeof labExample>>,
  { limit, clock = () => Date.now() }: Over = {},
) {
  const shipped: Shipped[] = []
  const settings = defaultSettings(limit === undefined ? {} : { 'limits.pgpMessageSize': limit })
  const transport: Parts['transport'] = {
    async ship(shipment) {
      const before = partner.mails.length
      const { all } = await world.ship(shipment.domain, shipment.need, shipment)
      const mail = partner.mails[before]
      if (mail !== undefined) shipped.push({ ...shipment, content: mail.content })
      return all
    },
    refreshSts: async () => 0,
    close: async () => {},
  }
  const parts = { settings, transport, db, clock, log: pino({ level: 'silent' }) } as unknown as Parts
  return { shipped, method: pgp.build(parts) }
}

export type Given = { trust?: PgpOptions['trust']; chunk?: number; smtpUtf8?: boolean; body?: '7bit' | '8bit' }

/** One attempt of `content` for recipients of lab.example; those written `bcc:address` are hidden. */
export function attemptOf(
  content: Buffer,
  recipients: readonly string[],
  { trust = 'approved', chunk = 1000, smtpUtf8 = false, body = '8bit' }: Given = {},
): Attempt<PgpOptions> {
  return {
    message: {
      id: 'm1',
      kind: 'mail',
      about: undefined,
      messageId: '<one@org.example>',
      reversePath: 'anna@org.example',
      headerFrom: 'anna@org.example',
      acceptedAt: Date.now(),
      size: content.length,
      envelope: { body, smtpUtf8 },
    },
    domain: 'lab.example',
    recipients: recipients.map(recipientOf),
    options: { trust },
    content: {
      header: async () => splitHeader(content).header,
      open: () => Readable.from(slices(content, chunk), { objectMode: false }),
      fileKey: Buffer.alloc(16),
      payloadSha256: '',
    },
    earlier: [],
    signal: AbortSignal.timeout(20_000),
  }
}

const recipientOf = (text: string): AttemptRecipient => ({
  id: text,
  address: text.replace(/^bcc:/, ''),
  notify: [],
  bcc: text.startsWith('bcc:'),
})

function* slices(content: Buffer, size: number) {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size)
}

/** The one answer for a recipient. */
export function outcomeOf(answers: ReadonlyMap<string, Answer>, id: string): Outcome {
  const answer = answers.get(id)
  assert.ok(answer !== undefined, `there is an answer for ${id}`)
  return answer.outcome
}
