/** Counting failures, with a clock of our own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTries } from '../../src/submission/tries.ts'
import { createTurnstile } from '../../src/submission/turnstile.ts'

test('so many failures are allowed within the window, and later again', () => {
  let now = 1_000_000
  const tries = createTries({ clock: () => now, most: 2, window: 1000 })
  tries.begin('a')?.(true)
  now += 100
  tries.begin('a')?.(true)
  assert.equal(tries.begin('a'), undefined)
  assert.equal(tries.wait('a'), 900)
  assert.notEqual(tries.begin('b'), undefined)
  now += 901
  assert.equal(tries.wait('a'), 0)
  assert.notEqual(tries.begin('a'), undefined)
})

test('guesses in flight count: parallel ones gain nothing, and successes cost nothing', () => {
  const tries = createTries({ clock: () => 0, most: 2, window: 1000 })
  const first = tries.begin('a')
  const second = tries.begin('a')
  assert.equal(tries.begin('a'), undefined)
  first?.(false)
  second?.(false)
  assert.equal(tries.failures('a'), 0)
  assert.notEqual(tries.begin('a'), undefined)
})

test('it forgets the longest untouched key rather than grow', () => {
  const tries = createTries({ clock: () => 0, most: 1, window: 1000, keys: 2 })
  for (const key of ['a', 'b', 'c']) tries.begin(key)?.(true)
  assert.deepEqual([tries.failures('a'), tries.failures('b'), tries.failures('c')], [0, 1, 1])
})

test('a turnstile lets so many through at once, so many wait, and turns the rest away', async () => {
  const turnstile = createTurnstile({ atOnce: 2, waiting: 1 })
  const open: (() => void)[] = []
  let running = 0
  let highest = 0
  const work = () => {
    running += 1
    highest = Math.max(highest, running)
    return new Promise<string>((done) =>
      open.push(() => {
        running -= 1
        done('done')
      }),
    )
  }
  const all = [turnstile(work), turnstile(work), turnstile(work), turnstile(work)]
  assert.equal(await all[3], undefined)
  while (open.length > 0 || running > 0) {
    open.shift()?.()
    await new Promise(setImmediate)
  }
  assert.deepEqual(await Promise.all(all), ['done', 'done', 'done', undefined])
  assert.equal(highest, 2)
  const fails = turnstile(() => Promise.reject(new Error('no')))
  await assert.rejects(fails)
  const later = turnstile(work)
  open.shift()?.()
  assert.equal(await later, 'done')
})
