import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { type DeliveryParts, deliverGroup } from '../../src/delivery/deliver.ts'
import type { EnvelopeRecipient } from '../../src/mail/envelope.ts'
import type { Outcome } from '../../src/mail/outcome.ts'
import type { Answer } from '../../src/methods/method.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups } from '../../src/spool/claim.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

let folder: string
let world: { now: number; parts: DeliveryParts; spoolParts: SpoolParts; answers: { [method: string]: Answering } }
type Answering = (
  ids: readonly string[],
  addresses: readonly string[],
) => Promise<ReadonlyMap<string, Answer>> | ReadonlyMap<string, Answer>

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deliver-'))
})
after(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  const data = await mkdtemp(join(folder, 'data-'))
  const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}`, 'organisation.domains': ['org.example'] })
  const time = { now: 1_000_000 }
  const clock = () => time.now
  const [db, keyring] = [await openDatabase(settings), await openKeyring(join(data, 'keys'), clock)]
  const spoolParts = { settings, clock, db, blobs: openBlobs(join(data, 'blobs')), keyring }
  const answers: { [method: string]: Answering } = {}
  const parts: DeliveryParts = {
    ...{ spoolParts, settings, clock, spool: createSpool(spoolParts), log: pino({ level: 'silent' }) },
    // The rule of these tests: the local part names the steps.
    planFor: async (revision, { recipient }) => ({
      ...{ revision, fingerprint: 'f', rule: { name: 'default', line: 1 }, trace: [] },
      steps: [...(recipient.split('@')[0] ?? '').split('-'), 'bounce'].map((method) => ({ method, options: {} })),
    }),
    attemptStep: async ({ method }, { recipients }) =>
      (await answers[method]?.(
        recipients.map(({ id }) => id),
        recipients.map(({ address }) => address),
      )) ?? assert.fail(`nobody asked for ${method}`),
  }
  world = Object.assign(time, { parts, spoolParts, answers })
})

async function accept(recipients: readonly (Partial<EnvelopeRecipient> & { address: string })[]): Promise<string> {
  const intake = world.parts.spool.intake()
  await intake.write(Buffer.from('From: s@org.example\r\nSubject: pay Max 5000\r\n\r\nhello\r\n'))
  await intake.commit({
    envelope: {
      ...{ reversePath: 's@org.example', body: '7bit', smtpUtf8: false },
      recipients: recipients.map((one) => ({ notify: [], bcc: false, ...one })),
    },
    ...{ messageId: '<1@org.example>', headerFrom: 's@org.example' },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
  return intake.id
}

/** One round of deliveries of everything that is due. */
async function deliver(parts = world.parts, signal = new AbortController().signal): Promise<void> {
  for (const group of await claimGroups(world.spoolParts, 10)) await deliverGroup(parts, group, signal)
}

const all =
  (outcome: Outcome): Answering =>
  (ids) =>
    new Map(ids.map((id) => [id, { outcome }]))
const delivered = { kind: 'delivered', assurance: 'verified', text: 'taken', evidence: {} } as const satisfies Outcome
const unsuitable = { kind: 'unsuitable', reason: 'starttls-not-supported', text: 'no TLS', evidence: {} } as const satisfies Outcome
const inDoubt: Outcome = {
  ...{ kind: 'deferred', reason: 'in-doubt', text: 'silence after the dot', evidence: {} },
  retry: { offsets: [0, 30 * 60_000], then: 'failed' },
}

type State = { address: string; state: string; reason: string | null; next_attempt_at: number; last_reply: string }
const states = () => world.spoolParts.db.read<State>(sql`SELECT * FROM recipient ORDER BY address`)
const stateOf = async (address: string) => (await states()).find((one) => one.address === address) ?? assert.fail(`no ${address}`)

/** The reports to the sender so far, in clear. */
async function reports(): Promise<string[]> {
  const rows = await world.spoolParts.db.read<{ id: string; epoch: string; wrap: Buffer }>(sql`SELECT * FROM message WHERE kind = 'dsn'`)
  return Promise.all(
    rows.map(async ({ id, epoch, wrap }) => {
      const key = world.spoolParts.keyring.unwrap(epoch, wrap) ?? assert.fail('no key')
      const chunks = await Readable.from((await world.parts.spool.open(id, key)) ?? []).toArray()
      return Buffer.concat(chunks as Buffer[]).toString()
    }),
  )
}

test('a method that throws leaves its recipients waiting with a schedule, and what another party came to is kept', async () => {
  await accept([{ address: 'tls@lab.example' }, { address: 'pgp@lab.example' }])
  world.answers.tls = all(delivered)
  world.answers.pgp = () => {
    throw new Error('a bug')
  }
  await deliver()
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
  const waiting = await stateOf('pgp@lab.example')
  assert.deepEqual([waiting.state, waiting.reason, waiting.next_attempt_at > world.now], ['waiting', 'local-fault', true])
})

test('a recipient whose step is slow does not hold up what was done for another of the same domain', async () => {
  await accept([{ address: 'tls@lab.example' }, { address: 'escrow@lab.example' }])
  let release = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  world.answers.tls = async (...asked) => {
    await slow
    return all(delivered)(...asked)
  }
  world.answers.escrow = all(delivered)
  const running = deliver()
  while ((await stateOf('escrow@lab.example')).state === 'waiting') await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal((await stateOf('tls@lab.example')).state, 'waiting')
  release()
  await running
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
})

test('while the disk is full the result of an attempt is kept and recorded later: it is not delivered twice', async () => {
  await accept([{ address: 'tls@lab.example' }])
  let attempts = 0
  world.answers.tls = (...asked) => {
    attempts += 1
    return all(delivered)(...asked)
  }
  const { db } = world.spoolParts
  let full = 2
  const failing: Db = {
    ...db,
    write: (...statements) =>
      full-- > 0 ? Promise.reject(Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })) : db.write(...statements),
  }
  await deliver({ ...world.parts, spoolParts: { ...world.spoolParts, db: failing } })
  assert.deepEqual([attempts, (await stateOf('tls@lab.example')).state], [1, 'delivered'])
})

test('a message in doubt is tried once more after half an hour, whatever was tried before, and never another way', async () => {
  await accept([{ address: 'tls-escrow@lab.example' }])
  const address = 'tls-escrow@lab.example'
  world.answers.escrow = () => assert.fail('it may have arrived: no letter')
  world.answers.tls = all({ kind: 'deferred', reason: 'unreachable', text: 'nobody there', evidence: {}, retry: { then: 'failed' } })
  for (let round = 0; round < 3; round++) {
    await deliver()
    world.now = (await stateOf(address)).next_attempt_at
  }
  world.answers.tls = all(inDoubt)
  await deliver()
  assert.deepEqual([(await stateOf(address)).state, (await stateOf(address)).next_attempt_at - world.now], ['waiting', 30 * 60_000])
  world.now = (await stateOf(address)).next_attempt_at
  world.answers.tls = all(unsuitable)
  await deliver()
  assert.deepEqual([(await stateOf(address)).state, (await stateOf(address)).reason], ['bounced', 'in-doubt'])
  assert.match((await reports())[0]?.replaceAll('=\r\n', '') ?? '', /it may have been delivered/)
})

test('a doubt is remembered over other deferrals', async () => {
  await accept([{ address: 'tls@lab.example' }])
  const address = 'tls@lab.example'
  world.answers.tls = all(inDoubt)
  await deliver()
  world.now = (await stateOf(address)).next_attempt_at
  world.answers.tls = all({ kind: 'deferred', reason: 'unreachable', text: 'nobody there', evidence: {}, retry: { then: 'failed' } })
  await deliver()
  assert.deepEqual([(await stateOf(address)).state, (await stateOf(address)).reason], ['waiting', 'in-doubt'])
  world.now = (await stateOf(address)).next_attempt_at
  world.answers.tls = all(inDoubt)
  await deliver()
  assert.equal((await stateOf(address)).state, 'bounced')
})
