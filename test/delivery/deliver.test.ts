import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { type DeliveryParts, deliverGroup, foresee } from '../../src/delivery/deliver.ts'
import type { EnvelopeRecipient } from '../../src/mail/envelope.ts'
import type { Outcome } from '../../src/mail/outcome.ts'
import type { Answer } from '../../src/methods/method.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { PolicyAltered } from '../../src/routing/signature.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { SealBroken } from '../../src/seal/payload.ts'
import { claimGroups, dropClaims, openClaimed } from '../../src/spool/claim.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { operate } from '../../src/spool/queue.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { type Db, OutcomeUnknown, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { PostgresError } from '../../src/store/postgres-errors.ts'

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
    planFor: async (revision, facts) => ({
      facts,
      plan: {
        ...{ revision, fingerprint: 'f', rule: { name: 'default', line: 1 }, trace: [] },
        steps: [...(facts.recipient.split('@')[0] ?? '').split('-'), 'bounce'].map((method) => ({ method, options: {} })),
      },
    }),
    attemptStep: async ({ method }, { recipients }) =>
      (await answers[method]?.(
        recipients.map(({ id }) => id),
        recipients.map(({ address }) => address),
      )) ?? assert.fail(`nobody asked for ${method}`),
  }
  world = Object.assign(time, { parts, spoolParts, answers })
})

afterEach(async () => {
  world.spoolParts.keyring.close()
  await world.spoolParts.db.close()
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

const passing = [
  ['the disk is full', Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })],
  ['PostgreSQL is away', new PostgresError(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))],
  ['PostgreSQL has no room', new PostgresError(Object.assign(new Error('could not extend file'), { code: '53100' }))],
  ['PostgreSQL does not say whether it wrote', new OutcomeUnknown('the connection broke')],
] as const
for (const [what, error] of passing)
  test(`while ${what} the result of an attempt is kept and recorded later: it is not delivered twice`, async () => {
    await accept([{ address: 'tls@lab.example' }])
    let attempts = 0
    world.answers.tls = (...asked) => {
      attempts += 1
      return all(delivered)(...asked)
    }
    const { db } = world.spoolParts
    let failures = 1
    const failing: Db = { ...db, write: (...statements) => (failures-- > 0 ? Promise.reject(error) : db.write(...statements)) }
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

/** A letter whose notice waits in the queue. */
async function acceptNotice(notify: EnvelopeRecipient['notify'] = []): Promise<void> {
  const id = await accept([{ address: 'escrow@lab.example', notify }])
  world.answers.escrow = (ids) => new Map(ids.map((one) => [one, { outcome: delivered, state: 'letter-waiting' }]))
  await deliver()
  const notice = world.parts.spool.draft({
    ...{ kind: 'notice', about: 'letter-1', messageId: '<2@gate>', headerFrom: 'letters@org.example' },
    envelope: {
      ...{ reversePath: 'letters@org.example', body: '7bit', smtpUtf8: false },
      recipients: [{ address: 'notice@lab.example', notify: [], bcc: false }],
    },
    content: Buffer.from(`Subject: a letter\r\n\r\nhttp://letters.org.example/m/${secret}\r\n`),
    steps: [{ method: 'notice', options: {} }],
  })
  await world.spoolParts.db.write(
    ...notice.statements,
    sql`INSERT INTO letter (id, reference, message, recipient, address, sender_address, sender_name, message_id, references_field, proof, label,
        created_at, expires_at, state)
      VALUES ('letter-1', 'KJ4F-7Q2M', ${id}, ${`${id}-1`}, 'escrow@lab.example', 's@org.example', '', '<1@org.example>', '', 'code', '',
        ${world.now}, ${world.now + 86_400_000}, 'waiting')`,
  )
}
const secret = 'k3v9k3v9k3v9k3v9k3v9k3v9k3v9k3v9'
const later = (reply: string): Outcome => ({
  ...{ kind: 'deferred', reason: 'remote-temporary', text: `mx answered "${reply}"; we try again`, retry: { then: 'failed' } },
  evidence: { host: 'mx.lab.example', reply, candidates: [{ row: 'remote-4yz', text: reply }] },
})

test('the sender hears after an hour that the notice of a letter waits, once', async () => {
  await acceptNotice()
  world.answers.notice = all(later('451 try later'))
  for (let round = 0; round < 3; round++) {
    await deliver()
    world.now += 3_700_000
  }
  const told = await reports()
  assert.equal(told.length, 1)
  assert.match(told[0]?.replaceAll('=\r\n', '') ?? '', /has not been delivered yet to escrow@lab\.example: the letter is sealed here/)
  assert.equal((await stateOf('notice@lab.example')).state, 'waiting')
})

test('a link that a filter quotes when it refuses a notice rests nowhere in the database', async () => {
  await acceptNotice()
  world.answers.notice = all(later(`451 4.7.1 blocked: http%3A%2F%2Fletters.org.example%2Fm%2F${secret} is listed`))
  await deliver()
  assert.match((await stateOf('notice@lab.example')).last_reply, /451 4\.7\.1 blocked: .*•••/)
  const tables = ['recipient', 'decision', 'audit', 'letter']
  const rows = await Promise.all(tables.map((table) => world.spoolParts.db.read({ text: `SELECT * FROM ${table}`, values: [] })))
  assert.equal(JSON.stringify(rows).includes(secret), false)
})

test('a success report asked for is written by us, unless the next hop took the wish over', async () => {
  await accept([
    { address: 'far@a.example', notify: ['SUCCESS'] },
    { address: 'near@b.example', notify: ['SUCCESS'] },
  ])
  world.answers.far = all({ ...delivered, evidence: { dsn: true } })
  world.answers.near = all({ ...delivered, evidence: { dsn: false } })
  await deliver()
  const told = await reports()
  assert.deepEqual([told.length, told[0]?.includes('near@b.example')], [1, true])
  assert.match(told[0] ?? '', /^Action: relayed\r\nStatus: 2\.0\.0\r$/m)
  assert.match(told[0]?.replaceAll('=\r\n', '') ?? '', /taken \(method near\)/)
})

test('a report shows the subject only where the plan lets the message travel unencrypted', async () => {
  await accept([{ address: 'tls@a.example' }, { address: 'tls-opportunistic@b.example' }])
  world.answers.tls = all({ kind: 'failed', reason: 'recipient-refused', status: '5.1.1', text: 'unknown', evidence: {} })
  await deliver()
  const told = (await reports()).map((report) => report.replaceAll('=\r\n', ''))
  const shown = (address: string) => told.find((report) => report.includes(address))?.includes('pay Max 5000')
  assert.deepEqual([shown('tls@a.example'), shown('tls-opportunistic@b.example')], [false, true])
})

test('a notice is given up when its letter ends, and the sender hears of it', async () => {
  await acceptNotice()
  world.answers.notice = all(later('451 try later'))
  for (const end = world.now + 86_400_000; world.now <= end; world.now = (await stateOf('notice@lab.example')).next_attempt_at) {
    await deliver()
    if ((await stateOf('notice@lab.example')).state !== 'waiting') break
  }
  assert.deepEqual([(await stateOf('notice@lab.example')).state, (await stateOf('escrow@lab.example')).state], ['bounced', 'bounced'])
  const told = (await reports()).map((report) => report.replaceAll('=\r\n', ''))
  assert.match(told.at(-1) ?? '', /could not be delivered to escrow@lab\.example: the notice of the letter could not be delivered/)
})

const act = (action: 'release' | 'bounce', id: string) =>
  operate(world.spoolParts.db, action, { kind: 'id', id }, { actor: 'test', now: world.now, dryRun: false })
const sealBroken = { reason: 'content-damaged', text: 'the stored content was altered', evidence: {} } as const

for (const [how, answering] of [
  ['the transport answers', all({ ...sealBroken, kind: 'failed', status: '5.6.0' })],
  ['a method defers', all({ ...sealBroken, kind: 'deferred', retry: { then: 'failed' } })],
  ['a method breaks off', () => Promise.reject(new SealBroken('the sealed payload is damaged'))],
] as const)
  for (const before of ['waiting', 'in doubt'])
    test(`content found damaged while it is delivered (${how}, ${before}) is held with an alarm: not returned, not deleted, no letter`, async () => {
      await accept([{ address: 'tls-escrow@lab.example' }])
      if (before === 'in doubt') {
        world.answers.tls = all(inDoubt)
        await deliver()
      }
      world.now += 6 * 86_400_000
      world.answers.tls = answering
      await deliver()
      const { state, reason, last_reply } = await stateOf('tls-escrow@lab.example')
      assert.deepEqual([state, reason], ['held', 'content-damaged'])
      assert.match(last_reply, /^held: .*(?:altered|damaged)/)
      assert.deepEqual(await reports(), [])
      const { db } = world.spoolParts
      assert.equal((await db.read(sql`SELECT message FROM content`)).length, 1)
      assert.equal((await db.read(sql`SELECT id FROM audit WHERE action = 'recipient.held'`)).length, 1)
    })

test('a damaged message that is held can be returned: its sender gets a report that names it and quotes nothing else', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  await world.spoolParts.db.write(sql`UPDATE content SET inline_payload = ${Buffer.alloc(300)}`)
  await deliver()
  assert.equal((await stateOf('tls@lab.example')).state, 'held')
  await act('bounce', id)
  await deliver()
  const { state, reason } = await stateOf('tls@lab.example')
  assert.deepEqual([state, reason], ['bounced', 'returned-by-operator'])
  const [report = ''] = await reports()
  assert.match(report, /^Final-Recipient: rfc822; tls@lab\.example/m)
  assert.match(report.split('text/rfc822-headers')[1] ?? '', /\r\n\r\nMessage-ID: <1@org\.example>\r\n\r\n--/)
})

test('a message whose envelope was altered is returned to nobody', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  await world.spoolParts.db.write(sql`UPDATE message SET reverse_path = 'thief@evil.example'`)
  await deliver()
  await act('bounce', id)
  await deliver()
  const { state, last_reply } = await stateOf('tls@lab.example')
  assert.equal(state, 'bounced')
  assert.match(last_reply, /nobody is told/)
  assert.deepEqual(await reports(), [])
})

test('what was held for a damage is planned and delivered when it is released after the repair', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  const { db } = world.spoolParts
  const [row] = await db.read<{ inline_payload: Buffer }>(sql`SELECT inline_payload FROM content`)
  await db.write(sql`UPDATE content SET inline_payload = ${Buffer.alloc(300)}`)
  await deliver()
  await db.write(sql`UPDATE content SET inline_payload = ${row?.inline_payload ?? null}`)
  await act('release', id)
  world.answers.tls = all(delivered)
  await deliver()
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
})

test('a plan altered in the database is not believed after the message was held and released', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  world.answers.tls = all({ kind: 'deferred', reason: 'unreachable', text: 'nobody there', evidence: {}, retry: { then: 'failed' } })
  await deliver()
  await world.spoolParts.db.write(sql`UPDATE recipient SET plan = REPLACE(plan, '"tls"', '"opportunistic"')`)
  world.now += 3_600_000
  await deliver()
  for (let round = 0; round < 2; round++) {
    assert.equal((await stateOf('tls@lab.example')).state, 'held')
    await act('release', id)
    await deliver()
  }
})

test('a message that cannot be planned waits with a reason and growing pauses, without an end, and its sender hears of it', async () => {
  await accept([{ address: 'tls@lab.example' }])
  const planFor = () => Promise.reject(new Error('policy revision 7 is missing from the database'))
  const waits: number[] = []
  for (let round = 0; round < 40; round++) {
    await deliver({ ...world.parts, planFor })
    const { state, reason, last_reply, next_attempt_at } = await stateOf('tls@lab.example')
    assert.deepEqual([state, reason], ['waiting', 'local-fault'])
    assert.match(last_reply, /policy revision 7 is missing/)
    waits.push(next_attempt_at - world.now)
    world.now = next_attempt_at
  }
  assert.ok(world.now > 5 * 86_400_000 && (waits.at(-1) ?? 0) > 10 * (waits[0] ?? 0), String(waits))
  assert.equal((await world.spoolParts.db.read(sql`SELECT id FROM message WHERE kind = 'dsn'`)).length, 1)
  world.answers.tls = all(delivered)
  await deliver()
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
})

test('content found altered while a rule looks into it is held with an alarm, like content found altered on its way', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  await deliver({ ...world.parts, planFor: () => Promise.reject(new SealBroken('a piece was altered')) })
  const { state, reason } = await stateOf('tls@lab.example')
  assert.deepEqual([state, reason], ['held', 'content-damaged'])
  world.answers.tls = all(delivered)
  await act('release', id)
  await deliver()
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
})

test('a message whose policy revision was altered in the database is held, and an operator can release it when the row is whole again', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  world.answers.tls = all(delivered)
  await deliver({ ...world.parts, planFor: () => Promise.reject(new PolicyAltered(7)) })
  const { state, reason, last_reply } = await stateOf('tls@lab.example')
  assert.deepEqual([state, reason], ['held', 'content-damaged'])
  assert.match(last_reply, /policy revision 7 was altered in the database/)
  await act('release', id)
  await deliver()
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
})

test('a message that cannot be planned can be returned', async () => {
  const id = await accept([{ address: 'tls@lab.example' }])
  const parts = { ...world.parts, planFor: () => Promise.reject(new Error('no policy')) }
  await deliver(parts)
  await act('bounce', id)
  await deliver(parts)
  assert.equal((await stateOf('tls@lab.example')).state, 'bounced')
  assert.equal((await reports()).length, 1)
})

test('a code mail is given up ten minutes after its lane ends: its reader has long asked for another', async () => {
  const code = world.parts.spool.draft({
    ...{ kind: 'code', about: 'letter-1', messageId: '<3@gate>', headerFrom: 'letters@org.example' },
    envelope: {
      ...{ reversePath: 'letters@org.example', body: '7bit', smtpUtf8: false },
      recipients: [{ address: 'code@lab.example', notify: [], bcc: false }],
    },
    content: Buffer.from('Subject: 4829 1306\r\n\r\n'),
    steps: [{ method: 'code', options: {} }],
  })
  await world.spoolParts.db.write(...code.statements)
  world.answers.code = all(later('451 try later'))
  const start = world.now
  while ((await stateOf('code@lab.example')).state === 'waiting' && world.now < start + 86_400_000) {
    await deliver()
    world.now = Math.max(world.now, (await stateOf('code@lab.example')).next_attempt_at)
  }
  assert.equal((await stateOf('code@lab.example')).state, 'bounced')
  assert.equal((world.now - start) / 60_000, 7.75 + 10)
  assert.deepEqual(await reports(), [])
})

test('a success report for a letter is written when its notice was accepted, not when it was sealed', async () => {
  await acceptNotice(['SUCCESS'])
  assert.deepEqual(await reports(), [])
  world.answers.notice = all(delivered)
  await deliver()
  const told = (await reports()).map((report) => report.replaceAll('=\r\n', ''))
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /a notice of the letter was delivered \(method escrow\); it is kept sealed until /)
  assert.match(told[0] ?? '', /^Action: delivered\r\nStatus: 2\.0\.0\r$/m)
})

/** The process ends in the middle of every attempt that is under way. */
async function crash(): Promise<number> {
  const groups = await claimGroups(world.spoolParts, 10)
  await dropClaims(world.spoolParts)
  return groups.length
}

test('a message whose attempt ended the process three times is held with an alarm and not looked at again, until an operator decides', async () => {
  world.answers.tls = () => assert.fail('it must not be attempted')
  const id = await accept([{ address: 'tls@lab.example' }])
  for (let times = 0; times < 3; times++) assert.equal(await crash(), 1)
  await world.spoolParts.db.write(sql`UPDATE content SET inline_payload = ${Buffer.from('what crashes us')} WHERE message = ${id}`)
  await deliver()
  const { state, reason, last_reply } = await stateOf('tls@lab.example')
  assert.deepEqual([state, reason], ['held', 'attempt-crashed'])
  assert.equal(last_reply, 'held: the gateway ended 3 times while it attempted this message')
  const audit = await world.spoolParts.db.read<{ action: string }>(sql`SELECT action FROM audit ORDER BY at, id`)
  assert.equal(audit.at(-1)?.action, 'recipient.held')
  assert.deepEqual(await reports(), [])
  assert.equal((await world.spoolParts.db.read(sql`SELECT * FROM content`)).length, 1, 'its content is kept')
})

test('what crashed too often and is released is attempted as if it never had; returned, it is not looked at', async () => {
  world.answers.tls = all(delivered)
  const by = { actor: 'cli:me', now: world.now, dryRun: false }
  const [released, returned] = [await accept([{ address: 'tls@lab.example' }]), await accept([{ address: 'tls@shop.example' }])]
  for (let times = 0; times < 2; times++) assert.equal(await crash(), 2)
  for (let times = 0; times < 2; times++) {
    assert.equal(await crash(), 1, 'one at a time')
    await deliver()
  }
  assert.deepEqual(
    (await states()).map(({ state }) => state),
    ['held', 'held'],
  )
  await operate(world.spoolParts.db, 'release', { kind: 'id', id: released }, by)
  await world.spoolParts.db.write(sql`DELETE FROM content WHERE message = ${returned}`)
  await operate(world.spoolParts.db, 'bounce', { kind: 'id', id: returned }, by)
  await deliver()
  assert.deepEqual([(await stateOf('tls@lab.example')).state, (await stateOf('tls@shop.example')).state], ['delivered', 'bounced'])
  assert.match((await reports())[0] ?? '', /an administrator =\s+of the mail gateway returned it/)
})

test('mail that was under way at two crashes is attempted one message at a time, other mail beside it', async () => {
  for (const domain of ['a.example', 'b.example', 'c.example']) await accept([{ address: `tls@${domain}` }])
  for (let times = 0; times < 2; times++) assert.equal(await crash(), 3)
  await accept([{ address: 'tls@new.example' }])
  const domains = async () => (await claimGroups(world.spoolParts, 10)).map(({ domain }) => domain)
  assert.deepEqual((await domains()).toSorted(), ['a.example', 'new.example'])
  assert.deepEqual(await domains(), [], 'the other suspects wait')
  await dropClaims(world.spoolParts)
  world.answers.tls = all(delivered)
  for (let round = 0; round < 3; round++) await deliver()
  assert.deepEqual(
    (await states()).map(({ state }) => state),
    ['held', 'delivered', 'delivered', 'delivered'],
    'the third crash has told which it was',
  )
})

test('mail under suspicion does not take the places of other mail', async () => {
  for (let number = 0; number < 100; number++) await accept([{ address: `tls@s${number}.example` }])
  await world.spoolParts.db.write(sql`UPDATE recipient SET unended = 2`)
  for (let number = 0; number < 10; number++) await accept([{ address: `tls@n${number}.example` }])
  const claimed = await claimGroups(world.spoolParts, 10)
  assert.deepEqual([claimed.length, claimed.filter(({ domain }) => domain.startsWith('s')).length], [10, 1])
})

test('crashes count only in a row: an attempt that was settled in between begins the count anew', async () => {
  const deferred: Outcome = { kind: 'deferred', reason: 'unreachable', text: 'nobody there', evidence: {}, retry: { then: 'failed' } }
  world.answers.tls = all(deferred)
  await accept([{ address: 'tls@lab.example' }])
  for (let round = 0; round < 3; round++) {
    for (let times = 0; times < 2; times++) assert.equal(await crash(), 1)
    await deliver()
    assert.equal((await stateOf('tls@lab.example')).state, 'waiting')
    world.now += 1_200_000
  }
})

test('what was done is recorded although what follows from it cannot be written', async () => {
  await accept([{ address: 'tls-pgp@lab.example', notify: ['SUCCESS'] }, { address: 'escrow@lab.example' }])
  world.answers.tls = all(delivered)
  world.answers.escrow = all({ kind: 'failed', reason: 'recipient-refused', text: 'no such user', evidence: {}, status: '5.1.1' })
  const broken = () => {
    throw new Error('a bug of ours')
  }
  await deliver({ ...world.parts, spool: { ...world.parts.spool, draft: broken } })
  const [refused, taken] = await states()
  assert.deepEqual([taken?.state, taken?.last_reply], ['delivered', 'taken'], 'or it would be delivered again')
  assert.deepEqual([refused?.state, refused?.reason], ['waiting', 'local-fault'], 'its sender must hear of it yet')
  assert.equal((refused?.next_attempt_at ?? 0) > world.now, true)
})

test('a method is given content that is in memory as it lies there, so that nothing need be read again', async () => {
  await accept([{ address: 'tls@lab.example' }])
  const given: (Buffer | undefined)[] = []
  const attemptStep: DeliveryParts['attemptStep'] = async (_, { recipients, content }) => {
    given.push(content.whole)
    return new Map(recipients.map(({ id }) => [id, { outcome: delivered }]))
  }
  await deliver({ ...world.parts, attemptStep })
  assert.deepEqual(given, [Buffer.from('From: s@org.example\r\nSubject: pay Max 5000\r\n\r\nhello\r\n')])
})

/** Claim what is due, foresee it, see that this changed nothing, then deliver it; how often it was planned. */
async function deliverForeseen(planFor = world.parts.planFor): Promise<number> {
  let planned = 0
  const counting: DeliveryParts['planFor'] = (...asked) => {
    planned += 1
    return planFor(...asked)
  }
  const routes = { 'org.example': { host: 'localhost', port: 25, tls: 'none' } } as const
  const parts = { ...world.parts, planFor: counting, settings: { ...world.parts.settings, 'delivery.routes': routes } }
  const groups = await claimGroups(world.spoolParts, 10)
  const before = await everything()
  const deliveries = groups.map((group) => foresee(parts, group, (work) => work()))
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(await everything(), before)
  for (const delivery of deliveries) await delivery(new AbortController().signal)
  return planned
}

const everything = () =>
  Promise.all([
    states(),
    world.spoolParts.db.read(sql`SELECT * FROM message`),
    world.spoolParts.db.read(sql`SELECT * FROM decision`),
    world.spoolParts.db.read(sql`SELECT id FROM audit`),
  ])

test('what was foreseen is planned once and writes nothing before it is delivered, copies neither', async () => {
  await accept([{ address: 'tls@lab.example' }])
  world.answers.tls = all(delivered)
  const { planFor } = world.parts
  const copying: typeof planFor = async (...asked) => {
    const decided = await planFor(...asked)
    return { ...decided, plan: { ...decided.plan, alsoTo: ['archive@org.example'] } }
  }
  assert.equal(await deliverForeseen(copying), 1)
  assert.equal((await stateOf('tls@lab.example')).state, 'delivered')
  assert.equal((await world.spoolParts.db.read(sql`SELECT id FROM message WHERE kind = 'copy'`)).length, 1)
})

test('what is found damaged while it is foreseen is held when its turn comes', async () => {
  await accept([{ address: 'tls@lab.example' }])
  await deliverForeseen(async () => {
    throw new SealBroken('altered')
  })
  const { state, reason } = await stateOf('tls@lab.example')
  assert.deepEqual([state, reason], ['held', 'content-damaged'])
})

test('what cannot be foreseen waits when its turn comes', async () => {
  await accept([{ address: 'tls@lab.example' }])
  await deliverForeseen(() => Promise.reject(new Error('a bug')))
  const { state, reason } = await stateOf('tls@lab.example')
  assert.deepEqual([state, reason], ['waiting', 'local-fault'])
})

test('the key of the content is gone as well where the attempt ended before there was a plan, or copies', async () => {
  const { planFor } = world.parts
  const routes = { 'org.example': { host: 'localhost', port: 25, tls: 'none' } } as const
  const failing: Partial<DeliveryParts>[] = [
    { planFor: () => Promise.reject(new Error('a bug')) },
    { planFor: () => Promise.reject(new SealBroken('altered')) },
    {
      planFor: async (...asked) => {
        const decided = await planFor(...asked)
        return { ...decided, plan: { ...decided.plan, alsoTo: ['archive@org.example'] } }
      },
      settings: { ...world.parts.settings, 'delivery.routes': routes },
      spool: { ...world.parts.spool, intake: () => assert.fail('a bug') },
    },
  ]
  for (const trouble of failing) {
    await accept([{ address: 'tls@lab.example' }])
    const [claimed] = await claimGroups(world.spoolParts, 10)
    assert.ok(claimed)
    const opened = await openClaimed(world.spoolParts, claimed.message.id)
    assert.ok(opened.kind === 'content')
    await deliverGroup({ ...world.parts, ...trouble }, { ...claimed, fresh: opened }, new AbortController().signal)
    assert.deepEqual(opened.fileKey, Buffer.alloc(16))
  }
})

test('the key of the content is gone when the attempt is over, also when its turn never came', async () => {
  for (const turn of [async () => () => undefined, () => Promise.reject(new Error('others have the claim'))]) {
    await accept([{ address: 'tls@lab.example' }])
    world.answers.tls = all(delivered)
    const [claimed] = await claimGroups(world.spoolParts, 10)
    assert.ok(claimed)
    const { message } = claimed
    const opened = await openClaimed(world.spoolParts, message.id)
    assert.ok(opened.kind === 'content' && opened.fileKey.some((octet) => octet !== 0))
    await deliverGroup(world.parts, { ...claimed, fresh: opened }, new AbortController().signal, turn).catch(() => undefined)
    assert.deepEqual(opened.fileKey, Buffer.alloc(16))
  }
})
