/** Large content that stays in memory until it was delivered. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { hasPlainLines } from '../../src/mail/plain-lines.ts'
import { type Blocks, createBlocks, keepContent } from '../../src/spool/kept.ts'

const block = 256 * 1024

/** How many blocks can be had now. */
function countFree(blocks: Blocks): number {
  const taken: Buffer[] = []
  for (let one = blocks.take(); one !== undefined; one = blocks.take()) taken.push(one)
  for (const one of taken) blocks.giveBack(one, true)
  return taken.length
}

function kept(blocks: Blocks, content: Buffer, pieceLength = 50_000) {
  const keeping = keepContent(blocks)
  for (let at = 0; at < content.length; at += pieceLength) keeping.add(content.subarray(at, at + pieceLength))
  return keeping
}

test('it comes back as often as wanted, of any size and whatever pieces it came in', async () => {
  for (const size of [0, 1, block - 1, block, block + 1, 2 * block, 3 * block + 5])
    for (const pieceLength of [20_011, block, block + 1, 4 * block]) {
      const content = randomBytes(size)
      const clear = kept(createBlocks(4), content, pieceLength).clear(false)
      for (let i = 0; i < 2; i++) assert.ok(clear !== undefined && content.equals(await buffer(clear.open())), `${size} in ${pieceLength}`)
    }
})

test('where it finds no room all of it is let go, and so is what comes later', () => {
  const blocks = createBlocks(3)
  const first = kept(blocks, randomBytes(2 * block))
  assert.equal(countFree(blocks), 1)
  const second = kept(blocks, randomBytes(2 * block))
  assert.equal(second.clear(false), undefined)
  assert.equal(countFree(blocks), 1)
  second.add(randomBytes(10))
  assert.equal(second.clear(false), undefined)
  assert.equal(countFree(blocks), 1)
  first.letGo()
  assert.equal(countFree(blocks), 3)
})

test('when all is said to be done its memory is used for the next, and nothing of it is left there', async () => {
  const blocks = createBlocks(2)
  const clear = kept(blocks, randomBytes(2 * block)).clear(false)
  assert.ok(clear !== undefined)
  const read = clear.open()
  await buffer(read)
  await turn()
  const [first] = (await clear.open().take(1).toArray()) as Buffer[]
  await turn()
  clear.done()
  const next = [blocks.take(), blocks.take()]
  assert.ok(next.every((one) => one?.equals(Buffer.alloc(block))))
  assert.ok(next.some((one) => one?.buffer === first?.buffer))
})

test('whoever still reads when all is said to be done gets an error, not an early end, and never sees another content', async () => {
  const blocks = createBlocks(4)
  const content = randomBytes(4 * block)
  const clear = kept(blocks, content).clear(false)
  assert.ok(clear !== undefined)
  const reading = clear.open()[Symbol.asyncIterator]()
  const { value: first } = (await reading.next()) as { value: Buffer }
  clear.done()
  kept(blocks, randomBytes(4 * block))
  assert.ok(first.equals(content.subarray(0, block)))
  await assert.rejects(
    async () => {
      for (let next = await reading.next(); next.done !== true; next = await reading.next()) assert.ok(content.includes(next.value))
    },
    { message: /still read after/ },
  )
})

test('only of one whose lines were judged when it came in are the pieces known to be judged', async () => {
  for (const judged of [true, false]) {
    const pieces = (await kept(createBlocks(2), randomBytes(2 * block))
      .clear(judged)
      ?.open()
      .toArray()) as Buffer[]
    assert.equal(pieces.length, 2)
    assert.ok(pieces.every((piece) => hasPlainLines(piece) === judged))
  }
})
