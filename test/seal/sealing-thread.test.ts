/** Contents sealed by another thread are what they would be here. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { newFileKey, openWhole, payloadSize } from '../../src/seal/age.ts'
import { type DistantSealer, sealInThread } from '../../src/seal/sealing-thread.ts'

const begin = sealInThread()

/** Push it in pieces, without waiting for the answers, and end it. */
async function sealed(sealer: DistantSealer, clear: Buffer, pieceLength: number) {
  const answers: Promise<Buffer>[] = []
  for (let at = 0; at < clear.length; at += pieceLength)
    answers.push(sealer.push(Buffer.from(Uint8Array.from(clear.subarray(at, at + pieceLength)).buffer)))
  const last = await sealer.end()
  return { payload: Buffer.concat([...(await Promise.all(answers)), last.sealed]), sha256: last.sha256 }
}

test('the payload opens to what was pushed, and its hash is the one that was told, of any size and in any pieces', async () => {
  for (const size of [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 700_000])
    for (const pieceLength of [10_007, 65_536, 262_144]) {
      const [fileKey, clear] = [newFileKey(), randomBytes(size)]
      const { payload, sha256 } = await sealed(begin(fileKey), clear, pieceLength)
      assert.ok(openWhole(fileKey, payload).equals(clear), `${size} in ${pieceLength}`)
      assert.equal(payload.length, payloadSize(size))
      assert.equal(sha256, createHash('sha256').update(payload).digest('hex'))
    }
})

test('several contents at once do not mix, and one that is dropped does not disturb the others', async () => {
  const keys = Array.from({ length: 5 }, newFileKey)
  const clears = keys.map(() => randomBytes(300_000))
  const dropped = begin(newFileKey())
  const dropping = dropped.push(Buffer.from(new ArrayBuffer(100_000)))
  const sealing = clears.map((clear, i) => sealed(begin(keys[i] as Buffer), clear, 40_000))
  dropped.drop()
  const payloads = await Promise.all(sealing)
  await dropping
  for (const [i, { payload }] of payloads.entries()) assert.ok(openWhole(keys[i] as Buffer, payload).equals(clears[i] as Buffer))
})

test('what is pushed is handed over, and the key is not', async () => {
  const [fileKey, clear] = [newFileKey(), Buffer.from(new ArrayBuffer(100_000))]
  const before = Buffer.from(fileKey)
  const sealer = begin(fileKey)
  const answer = sealer.push(clear)
  assert.equal(clear.length, 0)
  await answer
  assert.deepEqual(fileKey, before)
  sealer.drop()
})

test('a thread that breaks fails all contents that it had, and the next one has a new thread', async () => {
  const mine = sealInThread()
  const [first, other] = [mine(newFileKey()), mine(newFileKey())]
  await other.push(Buffer.from(new ArrayBuffer(10)))
  await first.end()
  // No use of a sealer: the thread does not know the content any more.
  const broken = { message: /the thread that seals content ended: a content was not begun/ }
  const failing = [first.push(Buffer.from(new ArrayBuffer(10))), other.push(Buffer.from(new ArrayBuffer(10))), other.end()]
  for (const answer of await Promise.allSettled(failing))
    await assert.rejects(async () => Promise.reject((answer as PromiseRejectedResult).reason), broken)
  await pause(100) // until it is gone altogether: nobody would answer
  await assert.rejects(other.push(Buffer.from(new ArrayBuffer(10))), broken)
  other.drop()
  const fileKey = newFileKey()
  const { payload } = await sealed(mine(fileKey), Buffer.from('hello'), 10)
  assert.equal(openWhole(fileKey, payload).toString(), 'hello')
})

test('what does not arrive in the thread, or its answer here, fails all contents: no answer goes to another', async () => {
  const lost = Buffer.from(new ArrayBuffer(20_000))
  structuredClone(undefined, { transfer: [lost.buffer as ArrayBuffer] })
  const deaf = new URL('./deaf-sealer.ts', import.meta.url)
  for (const [mine, pushed] of [
    [sealInThread(), lost],
    [sealInThread(deaf), Buffer.from(new ArrayBuffer(20_000))],
  ] as const) {
    const failing = [mine(newFileKey()).push(pushed), mine(newFileKey()).push(Buffer.from(new ArrayBuffer(10)))]
    for (const answer of await Promise.allSettled(failing)) assert.equal(answer.status, 'rejected')
    const fileKey = newFileKey()
    if (pushed === lost)
      assert.equal(openWhole(fileKey, (await sealed(mine(fileKey), Buffer.from('hello'), 10)).payload).toString(), 'hello')
  }
})
