import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups, dropClaims, type Group, openClaimed } from '../../src/spool/claim.ts'
import type { DueGroup } from '../../src/spool/due.ts'
import { openIntake } from '../../src/spool/intake.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { settleGroup } from '../../src/spool/settle.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

let data: string
let parts: SpoolParts
/** What delivery was asked, given and told. */
let courier: { places: (place: DueGroup) => boolean; asked: DueGroup[]; begun: Group[]; left: number; woken: number }

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'handover-'))
  const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}` })
  const clock = () => 1_000_000
  const keyring = await openKeyring(join(data, 'keys'), clock)
  parts = { settings, clock, db: await openDatabase(settings), blobs: openBlobs(join(data, 'blobs')), keyring }
  courier = { places: () => true, asked: [], begun: [], left: 0, woken: 0 }
})
afterEach(async () => {
  parts.keyring.close()
  await parts.db.close()
  await rm(data, { recursive: true, force: true })
})

async function accept(content: Buffer, ...addresses: string[]): Promise<string> {
  const spool = createSpool(parts)
  spool.serve({
    wake: () => void courier.woken++,
    berth: (place) => {
      courier.asked.push(place)
      return courier.places(place) ? { begin: (group) => void courier.begun.push(group), leave: () => void courier.left++ } : undefined
    },
  })
  const intake = spool.intake()
  await intake.write(content)
  await intake.commit({
    envelope: {
      ...{ reversePath: 's@org.example', body: '8bit', smtpUtf8: true, ret: 'HDRS', envid: 'e1' },
      recipients: addresses.map((address) => ({ address, notify: ['FAILURE'], bcc: true, orcpt: `rfc822;${address}` })),
    },
    ...{ messageId: '<1@org.example>', headerFrom: 'author@org.example' },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
  return intake.id
}

const small = Buffer.from('Subject: x\r\n\r\nhello\r\n')
const large = Buffer.concat([small, Buffer.alloc(300_000, 'lorem ipsum\r\n')])

for (const [size, content] of [
  ['small', small],
  ['large', large],
] as const)
  test(`a ${size} message handed over is the one that the queue would have given, content and all`, async () => {
    const id = await accept(content, 'a@lab.example', 'b@shop.example', 'c@lab.example')
    assert.deepEqual(
      courier.asked.map(({ message, domain, sender }) => [message, domain, sender]),
      [
        [id, 'lab.example', 'author@org.example'],
        [id, 'shop.example', 'author@org.example'],
      ],
    )
    assert.equal(courier.woken, 0)
    assert.deepEqual(await claimGroups(parts, 10), [], 'it is claimed already')

    await dropClaims(parts)
    const queued = (await claimGroups(parts, 10)).toSorted((a, b) => a.domain.localeCompare(b.domain))
    const handed = courier.begun.map(({ fresh: _, ...group }) => group)
    const fenceOf1 = queued.map((group) => ({ ...group, recipients: group.recipients.map((one) => ({ ...one, fence: 1, unended: 0 })) }))
    assert.deepEqual(handed, fenceOf1)

    const opened = await openClaimed(parts, id)
    for (const { fresh } of courier.begun) {
      if (opened.kind === 'damaged' || fresh === undefined) assert.fail('not opened')
      assert.deepEqual([fresh.fileKey, fresh.payloadSha256], [opened.fileKey, opened.payloadSha256])
      assert.deepEqual(await buffer(fresh.open()), content)
      assert.deepEqual(await buffer(opened.open()), content)
      assert.deepEqual(fresh.whole, opened.whole)
    }
  })

test('what was handed over when the process ended is in the queue again, and whoever had it cannot settle it any more', async () => {
  await accept(small, 'a@lab.example')
  const [handed] = courier.begun
  await dropClaims(parts)
  const [claimed] = await claimGroups(parts, 10)
  if (handed === undefined || claimed === undefined) assert.fail('nothing to settle')
  assert.equal(claimed.recipients[0]?.fence, 2)
  const settle = (group: Group) =>
    settleGroup(
      parts,
      group,
      group.recipients.map((recipient) => ({
        ...{ recipient, state: 'delivered', frozen: undefined, step: 0, stepSince: 1, stepAttempts: 1, nextAttemptAt: 1 },
        ...{ method: 'tls', reason: null, assurance: 'verified', proof: null, lastReply: '', delayNoticed: false, record: '{}', audit: {} },
      })),
      [],
    )
  await assert.rejects(settle(handed), Unexpected)
  assert.deepEqual(await settle(claimed), { finished: true })
})

test('a domain without a place waits in the queue, and delivery is woken for it', async () => {
  courier.places = ({ domain }) => domain === 'lab.example'
  await accept(small, 'a@lab.example', 'b@shop.example')
  assert.deepEqual(
    courier.begun.map(({ domain }) => domain),
    ['lab.example'],
  )
  assert.equal(courier.woken, 1)
  assert.deepEqual(
    (await claimGroups(parts, 10)).map(({ domain }) => domain),
    ['shop.example'],
  )
})

test('a message that could not be written leaves its places', async () => {
  await parts.db.write(sql`DROP TABLE content`)
  await assert.rejects(accept(small, 'a@lab.example', 'b@shop.example'))
  assert.equal(courier.left, 2)
  assert.deepEqual(courier.begun, [])
})

test('messages being received hold only so much in memory together: what does not fit any more goes to a blob, and none of it is kept', async () => {
  const memory = { left: 2 * small.length }
  const courierOf = { wake: () => {}, berth: () => undefined }
  const [first, second, third] = Array.from({ length: 3 }, () => openIntake(parts, courierOf, memory))
  for (const intake of [first, second, third]) await intake?.write(small)
  assert.equal(memory.left, 0)
  await third?.abort()
  const acceptance = {
    envelope: {
      ...({ reversePath: '', body: '7bit', smtpUtf8: false } as const),
      recipients: [{ address: 'a@lab.example', notify: [], bcc: false }],
    },
    ...{ messageId: '<1@org.example>', headerFrom: '' },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  }
  await first?.write(small)
  await first?.commit(acceptance)
  await second?.commit(acceptance)
  assert.equal(memory.left, 2 * small.length)
  const kept = await parts.db.read<{ message: string; inline: number }>(
    sql`SELECT message, blob IS NULL AS inline FROM content ORDER BY message`,
  )
  assert.deepEqual(kept, [
    { message: first?.id, inline: 0 },
    { message: second?.id, inline: 1 },
  ])
})
