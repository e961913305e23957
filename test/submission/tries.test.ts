/** Counting failures, with a clock of our own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTries } from '../../src/submission/tries.ts'

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
