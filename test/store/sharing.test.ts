import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharing } from '../../src/store/sharing.ts'

/** Work that ends when told to, and says which run it was. */
function play() {
  const ends: { done: (run: number) => void; fail: (error: Error) => void }[] = []
  const ask = sharing(() => new Promise<number>((done, fail) => ends.push({ done, fail })))
  const soon = () => new Promise((resolve) => setImmediate(resolve))
  return { ask, ends, soon }
}

test('who asks while the answer is looked for gets the next one, with all others who asked meanwhile', async () => {
  const { ask, ends, soon } = play()
  const [first, second, third] = [ask(), ask(), ask()]
  await soon()
  assert.equal(ends.length, 1)
  ends[0]?.done(1)
  await soon()
  assert.equal(ends.length, 2)
  const fourth = ask()
  ends[1]?.done(2)
  await soon()
  ends[2]?.done(3)
  assert.deepEqual(await Promise.all([first, second, third, fourth]), [1, 2, 2, 3])
  assert.equal(ends.length, 3)
})

test('a run that fails is told to those who asked for it, and not to those who asked later', async () => {
  const { ask, ends, soon } = play()
  const first = ask()
  const second = ask()
  ends[0]?.fail(new Error('away'))
  await assert.rejects(first, /away/)
  await soon()
  ends[1]?.done(2)
  assert.equal(await second, 2)
})

test('when nobody asks any more the next one begins at once', async () => {
  const { ask, ends } = play()
  const first = ask()
  ends[0]?.done(1)
  await first
  const second = ask()
  assert.equal(ends.length, 2)
  ends[1]?.done(2)
  assert.equal(await second, 2)
})
