import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { sealInThread } from '../../src/seal/sealing-thread.ts'
import { claimGroups, dropClaims, type Group, openClaimed } from '../../src/spool/claim.ts'
import { isIntact } from '../../src/spool/content.ts'
import type { DueGroup } from '../../src/spool/due.ts'
import { openIntake } from '../../src/spool/intake.ts'
import { createBlocks } from '../../src/spool/kept.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { settleGroup } from '../../src/spool/settle.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

let data: string
let parts: SpoolParts
/** What delivery was asked, given and told. */
let courier: {
  places: (place: DueGroup) => boolean
  asked: DueGroup[]
  foreseen: (group: Group) => void
  begun: Group[]
  left: number
  woken: number
}

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'handover-'))
  const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}` })
  const clock = () => 1_000_000
  const keyring = await openKeyring(join(data, 'keys'), clock)
  parts = { settings, clock, db: await openDatabase(settings, { serving: true }), blobs: openBlobs(join(data, 'blobs')), keyring }
  courier = { places: () => true, asked: [], foreseen: () => {}, begun: [], left: 0, woken: 0 }
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
      if (!courier.places(place)) return undefined
      return {
        foresee: (group) => courier.foreseen(group),
        begin: (group) => void courier.begun.push(group),
        leave: () => void courier.left++,
      }
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

test('a small message is shown to delivery while it is written, and is the one that delivery then begins with', async () => {
  const foreseen: Group[] = []
  courier.foreseen = (group) => {
    assert.deepEqual(courier.begun, [])
    foreseen.push(group)
  }
  await accept(small, 'a@lab.example', 'b@shop.example')
  assert.equal(foreseen.length, 2)
  for (const [index, group] of foreseen.entries()) assert.equal(group, courier.begun[index])
  await accept(large, 'a@lab.example')
  assert.equal(foreseen.length, 2, 'the blob is not there for it')
})

test('a message that was shown and could not be written is left, and its key wiped', async () => {
  const foreseen: Group[] = []
  courier.foreseen = (group) => void foreseen.push(group)
  await parts.db.write(sql`DROP TABLE audit`)
  await assert.rejects(accept(small, 'a@lab.example'))
  assert.deepEqual([courier.left, courier.begun], [1, []])
  assert.equal(foreseen.length, 1)
  for (const { fresh } of foreseen) assert.deepEqual(fresh?.fileKey, Buffer.alloc(16))
})

const nobody = { wake: () => {}, berth: () => undefined }

const acceptedFor = (...addresses: string[]) => ({
  envelope: {
    ...({ reversePath: '', body: '7bit', smtpUtf8: false } as const),
    recipients: addresses.map((address) => ({ address, notify: [], bcc: false })),
  },
  ...{ messageId: '<1@org.example>', headerFrom: '' },
  client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
})

test('messages being received hold only so much in memory together: what does not fit any more goes to a blob, and none of it is kept', async () => {
  const memory = { left: 2 * small.length, kept: createBlocks(0), sealing: usualSealing }
  const [first, second, third] = Array.from({ length: 3 }, () => openIntake(parts, nobody, memory))
  for (const intake of [first, second, third]) await intake?.write(small)
  assert.equal(memory.left, 0)
  await third?.abort()
  const acceptance = acceptedFor('a@lab.example')
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

const usualSealing = sealInThread()

/** An intake with room for so many blocks in memory, what it hands over, and how many of the blocks are free. */
function keeping(blocks: number, isPlace = () => true, sealing = usualSealing) {
  const memory = { left: 1e9, kept: createBlocks(blocks), sealing }
  const begun: Group[] = []
  const berth = () => (isPlace() ? { begin: (group: Group) => void begun.push(group), leave: () => {} } : undefined)
  const free = () => {
    const all = Array.from({ length: blocks }, () => memory.kept.take()).filter((one) => one !== undefined)
    for (const one of all) memory.kept.giveBack(one, true)
    return all.length
  }
  return { intake: openIntake(parts, { wake: () => {}, berth }, memory), begun, free }
}

async function listed(): Promise<string[]> {
  const names: string[] = []
  for await (const name of parts.blobs.list()) names.push(name)
  return names
}

const blobOf = async (id: string) => {
  const [row] = await parts.db.read<{ blob: string | null }>(sql`SELECT blob FROM content WHERE message = ${id}`)
  return row?.blob ?? ''
}

test('a large message handed over is read from memory until each of its domains is done with it', async () => {
  const { intake, begun, free } = keeping(2)
  await intake.write(large)
  await intake.commit(acceptedFor('a@lab.example', 'b@shop.example'))
  await parts.blobs.remove(await blobOf(intake.id))
  for (const { fresh } of begun) assert.ok(fresh !== undefined && large.equals(await buffer(fresh.open())))
  begun[0]?.fresh?.done?.()
  assert.equal(free(), 0)
  assert.ok(large.equals(await buffer(begun[1]?.fresh?.open() ?? assert.fail('not begun'))))
  begun[1]?.fresh?.done?.()
  assert.equal(free(), 2)
})

test('one that finds no room in memory is read from its blob', async () => {
  const { intake, begun, free } = keeping(1)
  await intake.write(large)
  await intake.commit(acceptedFor('a@lab.example'))
  assert.equal(free(), 1)
  const fresh = begun[0]?.fresh ?? assert.fail('not begun')
  assert.ok(large.equals(await buffer(fresh.open())))
  fresh.done?.()
  await parts.blobs.remove(await blobOf(intake.id))
  await assert.rejects(buffer(fresh.open()), { code: 'ENOENT' })
})

test('nothing is kept of a large message that nobody takes over, that was broken off, or that could not be written', async () => {
  const queued = keeping(2, () => false)
  await queued.intake.write(large)
  assert.equal(queued.free(), 0)
  await queued.intake.commit(acceptedFor('a@lab.example'))
  assert.equal(queued.free(), 2)

  const broken = keeping(2)
  await broken.intake.write(large)
  await broken.intake.abort()
  assert.equal(broken.free(), 2)

  const lost = keeping(2)
  await lost.intake.write(large)
  await parts.db.write(sql`DROP TABLE content`)
  await assert.rejects(lost.intake.commit(acceptedFor('a@lab.example')))
  assert.equal(lost.free(), 2)
})

test('a content is read from its blob as it came, of any size and whatever pieces it came in', async () => {
  const part = 256 * 1024
  for (const size of [part, part + 1, 2 * part - 1, 2 * part, 2 * part + 1, 5 * part])
    for (const pieceLength of [65_536, 100_003, 3 * part]) {
      const content = randomBytes(size)
      const { intake } = keeping(0)
      for (let at = 0; at < size; at += pieceLength) {
        // The piece is the caller's again.
        const piece = Buffer.from(content.subarray(at, at + pieceLength))
        await intake.write(piece)
        piece.fill(0)
      }
      await intake.commit(acceptedFor('a@lab.example'))
      const opened = await openClaimed(parts, intake.id)
      assert.ok(opened.kind === 'content' && content.equals(await buffer(opened.open())), `${size} in ${pieceLength}`)
      assert.ok(await isIntact(parts, intake.id, opened.payloadSha256))
    }
})

for (const [when, size] of [
  ['while a content comes in', 3_000_000],
  ['at its end', 500_000],
] as const)
  test(`when the thread that seals dies ${when} it is not accepted, and nothing of it stays; the next one is`, async () => {
    const sealing = sealInThread(new URL('./dying-sealer.ts', import.meta.url))
    const { intake, begun, free } = keeping(20, () => true, sealing)
    const receive = async () => {
      for (let at = 0; at < size; at += 50_000) await intake.write(Buffer.alloc(50_000, 'lorem ipsum\r\n'))
      await intake.commit(acceptedFor('a@lab.example'))
    }
    await assert.rejects(receive(), { message: /the thread that seals content ended/ })
    await intake.abort()
    assert.deepEqual([begun, free()], [[], 20])
    assert.deepEqual(await parts.db.read(sql`SELECT id FROM message`), [])
    assert.deepEqual(await readdir(join(data, 'blobs', 'tmp')), [])
    assert.deepEqual(await listed(), [])
    const next = keeping(20, () => true, sealing)
    await next.intake.write(Buffer.alloc(300_000, 'lorem ipsum\r\n'))
    await next.intake.abort()
  })
