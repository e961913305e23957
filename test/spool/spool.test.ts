import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { Plan } from '../../src/mail/plan.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups, dropClaims, type Group, nextDue, openClaimed } from '../../src/spool/claim.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { operate } from '../../src/spool/queue.ts'
import { type Settlement, settleGroup } from '../../src/spool/settle.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { sweepBlobs } from '../../src/spool/sweep.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { acceptMail } from '../world/accept.ts'

let folder: string
let parts: SpoolParts & { now: number }

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'))
})
after(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  const data = await mkdtemp(join(folder, 'data-'))
  const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}` })
  const world = { now: 1_000_000 }
  const clock = () => world.now
  parts = Object.assign(world, {
    settings,
    clock,
    db: await openDatabase(settings),
    blobs: openBlobs(join(data, 'blobs')),
    keyring: await openKeyring(join(data, 'keys'), clock),
  })
})

afterEach(async () => {
  parts.keyring.close()
  await parts.db.close()
})

const accept = (content: Buffer, addresses = ['a@lab.example']): Promise<string> => acceptMail(parts, content, addresses)

const claim = async (): Promise<Group> => (await claimGroups(parts, 10))[0] ?? assert.fail('nothing to claim')

async function read(id: string): Promise<Buffer> {
  const opened = await openClaimed(parts, id)
  if (opened.kind === 'damaged') assert.fail(opened.text)
  const chunks: Buffer[] = []
  for await (const chunk of opened.open() as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const plan: Plan = { revision: 1, fingerprint: 'f', rule: { name: 'default', line: 1 }, steps: [], trace: [] }
const settlements = (group: Group, state: Settlement['state']): Settlement[] =>
  group.recipients.map((recipient) => ({
    recipient,
    state,
    frozen: { plan, earlier: [] },
    step: 0,
    stepSince: parts.now,
    stepAttempts: 1,
    nextAttemptAt: parts.now + 5000,
    method: 'tls',
    reason: null,
    assurance: 'verified',
    proof: null,
    lastReply: '250 ok',
    delayNoticed: false,
    record: '{}',
    audit: {},
  }))

describe('spool: what was accepted', () => {
  for (const [size, where] of [
    [3, 'with its row'],
    [500_000, 'as a blob file'],
  ] as const)
    test(`a message of ${size} bytes is kept ${where} and opens byte for byte`, async () => {
      const content = Buffer.from('Subject: x\r\n\r\n'.padEnd(size, 'y'))
      const id = await accept(content)
      const [row] = await parts.db.read<{ blob: string | null }>(sql`SELECT blob FROM content WHERE message = ${id}`)
      assert.equal(row?.blob !== null, size > 64 * 1024)
      assert.deepEqual(await read(id), content)
    })

  test('an aborted message leaves nothing: no row, no file', async () => {
    const intake = createSpool(parts).intake()
    await intake.write(Buffer.alloc(300_000))
    await intake.abort()
    assert.deepEqual(await parts.db.read(sql`SELECT id FROM message`), [])
    const files = await readdir(join(parts.settings.data, 'blobs'), { recursive: true, withFileTypes: true })
    assert.deepEqual(
      files.filter((file) => file.isFile()),
      [],
    )
  })

  test('a sweep removes blob files that no row names, and no other', async () => {
    const id = await accept(Buffer.alloc(300_000, 'x'))
    const writer = parts.blobs.write()
    await writer.write(Buffer.from('left by a crash'))
    await writer.finish()
    assert.equal(await sweepBlobs(parts), 1)
    assert.equal((await read(id)).length, 300_000)
  })
})

describe('spool: claiming', () => {
  test('recipients of one domain are claimed together, those of another apart, each once', async () => {
    await accept(Buffer.from('x\r\n'), ['a@lab.example', 'b@lab.example', 'c@town.example'])
    const groups = await claimGroups(parts, 10)
    assert.deepEqual(groups.map(({ domain, recipients }) => [domain, recipients.length]).sort(), [
      ['lab.example', 2],
      ['town.example', 1],
    ])
    assert.deepEqual(await claimGroups(parts, 10), [])
  })

  test('a claim lapses by itself, and a late settlement of the first claimant writes nothing', async () => {
    const id = await accept(Buffer.from('x\r\n'))
    const late = await claim()
    parts.now += parts.settings['limits.claim'] + 1
    const next = await claim()
    await assert.rejects(settleGroup(parts, late, settlements(late, 'bounced'), []), Unexpected)
    assert.deepEqual(await parts.db.read(sql`SELECT recipient FROM decision`), [])
    await settleGroup(parts, next, settlements(next, 'delivered'), [])
    assert.deepEqual(await parts.db.read(sql`SELECT state FROM recipient WHERE message = ${id}`), [{ state: 'delivered' }])
  })

  test('mail that an operator wants tried insists on it at the next attempt, ordinary mail does not', async () => {
    const id = await accept(Buffer.from('x\r\n'))
    assert.equal((await claim()).recipients[0]?.insist, undefined)
    await dropClaims(parts)
    await operate(parts.db, 'retry', { kind: 'id', id }, { actor: 'test', now: parts.clock(), dryRun: false })
    assert.equal((await claim()).recipients[0]?.insist, true)
  })

  test('claims left by a killed process are dropped at the start of the next', async () => {
    await accept(Buffer.from('x\r\n'))
    await claim()
    await dropClaims(parts)
    assert.equal((await claimGroups(parts, 10)).length, 1)
  })

  test('the next due time is that of the earliest waiting recipient, or the end of its claim', async () => {
    assert.equal(await nextDue(parts), undefined)
    await accept(Buffer.from('x\r\n'))
    assert.equal(await nextDue(parts), parts.now)
    await claim()
    assert.equal(await nextDue(parts), parts.now + parts.settings['limits.claim'])
  })
})

describe('spool: settling', () => {
  test('with the last recipient the key and the content go; before it they stay', async () => {
    const id = await accept(Buffer.alloc(300_000, 'x'), ['a@lab.example', 'c@town.example'])
    const [first, second] = await claimGroups(parts, 10)
    if (!first || !second) assert.fail()
    assert.deepEqual(await settleGroup(parts, first, settlements(first, 'delivered'), []), { finished: false })
    assert.equal((await read(id)).length, 300_000)
    assert.deepEqual(await settleGroup(parts, second, settlements(second, 'delivered'), []), { finished: true })
    assert.equal((await openClaimed(parts, id)).kind, 'damaged')
    assert.equal(await sweepBlobs(parts), 0, 'the blob file is gone already')
    assert.deepEqual(await parts.db.read(sql`SELECT message FROM content`), [])
  })

  test('a deferred recipient comes back when it is due, not before', async () => {
    await accept(Buffer.from('x\r\n'))
    const group = await claim()
    await settleGroup(parts, group, settlements(group, 'waiting'), [])
    assert.deepEqual(await claimGroups(parts, 10), [])
    parts.now += 5000
    assert.equal((await claim()).recipients[0]?.attempts, 1)
  })

  test('the settlement, its decision record, its audit entry and what follows from it are one write', async () => {
    await accept(Buffer.from('x\r\n'))
    const group = await claim()
    const broken = sql`INSERT INTO fact (name, value) VALUES ('twice', '1'), ('twice', '2')`
    await assert.rejects(settleGroup(parts, group, settlements(group, 'delivered'), [broken]))
    assert.deepEqual(await parts.db.read(sql`SELECT state FROM recipient`), [{ state: 'waiting' }])
    assert.deepEqual(await parts.db.read(sql`SELECT recipient FROM decision`), [])
    assert.deepEqual(await parts.db.read(sql`SELECT id FROM audit WHERE action = 'recipient.delivered'`), [])
  })
})

describe('spool: rows that were tampered with', () => {
  for (const [what, statement] of [
    ['another recipient address', sql`UPDATE recipient SET address = 'thief@evil.example', domain = 'evil.example'`],
    [
      'a planted recipient',
      sql`INSERT INTO recipient SELECT id || 'x', message, 'thief@evil.example', 'evil.example', orcpt, notify, bcc, state, plan, step, step_since, attempts, step_attempts, next_attempt_at, claimed_until, fence, method, reason, assurance, proof, last_reply, delay_noticed, request, settled_at, unended, sender, code FROM recipient`,
    ],
    ['another sender', sql`UPDATE message SET reverse_path = 'x@evil.example'`],
    ['a named recipient hidden', sql`UPDATE recipient SET bcc = 1`],
    ['another payload', sql`UPDATE content SET payload_sha256 = 'ab'`],
    ['another policy revision', sql`UPDATE message SET policy_revision = policy_revision + 1`],
    ['a shorter MAC', sql`UPDATE message SET mac = substr(mac, 2)`],
  ] as const)
    test(`${what} is detected and the content not handed out`, async () => {
      const id = await accept(Buffer.from('x\r\n'))
      await parts.db.write(statement)
      assert.equal((await openClaimed(parts, id)).kind, 'damaged')
    })
})

test('spool: mail accepted by a version whose MAC knew no policy revision still opens, and only unaltered', async () => {
  const id = await accept(Buffer.from('x\r\n'))
  const [row] = await parts.db.read<{ sha: string }>(sql`SELECT payload_sha256 AS sha FROM content`)
  const [to, from] = ['a@lab.example', 's@org.example']
  const mac = parts.keyring.mac('envelope', id, 'mail', '', '<1@org.example>', from, from, row?.sha ?? '', `${id}-1 named ${to}`)
  await parts.db.write(sql`UPDATE message SET mac = ${mac}`)
  assert.equal((await read(id)).toString(), 'x\r\n')
  await parts.db.write(sql`UPDATE message SET header_from = 'x@org.example'`)
  assert.equal((await openClaimed(parts, id)).kind, 'damaged')
})

test('spool: mail of ours without its plan is not planned by rules meant for others', async () => {
  const { id, statements } = createSpool(parts).draft({
    ...{ kind: 'notice', about: 'letter', content: Buffer.from('x\r\n'), messageId: '<2@org.example>', headerFrom: 's@org.example' },
    envelope: {
      reversePath: 's@org.example',
      recipients: [{ address: 'a@lab.example', notify: [], bcc: false }],
      body: '7bit',
      smtpUtf8: false,
    },
    steps: [{ method: 'opportunistic', options: {} }],
  })
  await parts.db.write(...statements)
  assert.equal((await openClaimed(parts, id)).kind, 'content')
  await parts.db.write(sql`UPDATE recipient SET plan = NULL`)
  assert.equal((await openClaimed(parts, id)).kind, 'damaged')
})

test('spool: a plan or a step altered in the database is not walked', async () => {
  for (const change of [
    sql`UPDATE recipient SET plan = REPLACE(plan, 'default', 'other')`,
    sql`UPDATE recipient SET plan = 'no JSON'`,
    sql`UPDATE recipient SET plan = '{}'`,
    sql`UPDATE recipient SET step = 1`,
  ]) {
    const id = await accept(Buffer.from('x\r\n'))
    const group = await claim()
    await settleGroup(parts, group, settlements(group, 'waiting'), [])
    assert.equal((await openClaimed(parts, id)).kind, 'content')
    await parts.db.write(change)
    assert.equal((await openClaimed(parts, id)).kind, 'damaged')
    parts.now += 10_000
    assert.equal((await claimGroups(parts, 10)).length, 1, 'the queue goes on')
    await parts.db.write(sql`UPDATE recipient SET state = 'held'`)
  }
})
