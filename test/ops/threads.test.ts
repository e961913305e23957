import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createThreads, type ThreadLimits } from '../../src/ops/threads.ts'
import type { Told } from './threads-worker.ts'

const script = new URL('./threads-worker.ts', import.meta.url)
const open = (limits: Partial<ThreadLimits> = {}) => {
  const threads = createThreads<Told, string | ArrayBuffer>(script, { threads: 1, waiting: 10, time: 20_000, memory: 64, ...limits })
  after(() => threads.close())
  return threads
}

test('bytes are handed over to a thread and back, not copied', async () => {
  const threads = open()
  const bytes = new Uint8Array([1, 2, 3]).buffer
  const ran = await threads.run({ do: 'echo', bytes }, { transfer: [bytes] })
  assert.equal(bytes.byteLength, 0)
  assert.ok(ran.kind === 'done' && ran.result instanceof ArrayBuffer)
  assert.deepEqual([...new Uint8Array(ran.result)], [1, 2, 3])
})

test('a job that never ends is ended, and the next one is done by a fresh thread', async () => {
  const threads = open()
  const [ran, next] = await Promise.all([threads.run({ do: 'spin' }, { time: 50 }), threads.run({ do: 'echo' })])
  assert.deepEqual(ran, { kind: 'too-much', because: 'time' })
  assert.equal(next.kind, 'done')
})

test('a job that eats memory ends its thread and nothing else', async () => {
  const threads = open({ memory: 24 })
  assert.deepEqual(await threads.run({ do: 'eat' }), { kind: 'too-much', because: 'memory' })
  assert.equal((await threads.run({ do: 'echo' })).kind, 'done')
})

test('a job that throws says the name of the error, never its text', async () => {
  const threads = open()
  assert.deepEqual(await threads.run({ do: 'throw' }), { kind: 'broken', because: 'RangeError' })
  assert.equal((await threads.run({ do: 'echo' })).kind, 'done')
})

test('a thread that ends by itself breaks its own job only', async () => {
  const threads = open()
  const [ran, next] = await Promise.all([threads.run({ do: 'exit' }), threads.run({ do: 'echo' })])
  assert.deepEqual(ran, { kind: 'broken', because: 'the thread ended' })
  assert.equal(next.kind, 'done')
})

test('beyond those that may wait a job is refused at once', async () => {
  const threads = open({ waiting: 1 })
  const ran = await Promise.all([1, 2, 3].map(() => threads.run({ do: 'echo', wait: 20 })))
  assert.deepEqual(
    ran.map(({ kind }) => kind),
    ['done', 'done', 'too-much'],
  )
})

test('more jobs than threads are all answered, each with its own answer', async () => {
  const threads = open({ threads: 2, waiting: 100 })
  const ran = await Promise.all(Array.from({ length: 40 }, (_, i) => threads.run({ do: 'echo', wait: i % 3 })))
  const expected = ran.map((_, i) => ({ kind: 'done', result: JSON.stringify({ do: 'echo', wait: i % 3 }) }))
  assert.deepEqual(ran, expected)
})

test('closing breaks off what runs and refuses what waits and what comes', async () => {
  const threads = open()
  const under = [threads.run({ do: 'spin' }), threads.run({ do: 'echo' })]
  await threads.close()
  const ran = await Promise.all([...under, threads.run({ do: 'echo' })])
  assert.deepEqual(
    ran.map(({ kind }) => kind),
    ['broken', 'broken', 'broken'],
  )
})

test('a thread sees nothing of the environment', async () => {
  process.env.CANARY_OF_THE_THREADS_TEST = 'secret'
  const ran = await open().run({ do: 'environment' })
  assert.ok(ran.kind === 'done' && !String(ran.result).includes('CANARY'))
})

test('a script that cannot be loaded is an answer', async () => {
  const threads = createThreads(new URL('./no-such-file.ts', import.meta.url), { waiting: 1, time: 1000, memory: 64 })
  assert.equal((await threads.run({})).kind, 'broken')
  await threads.close()
})
