import assert from 'node:assert/strict'
import { test } from 'node:test'
import { look } from '../../src/detect/look.ts'
import { forgetUnits, unitsOf } from '../../src/detect/units.ts'

test('a text becomes the numbers of its units, the same until it is forgotten, and then they are wiped', () => {
  const units = unitsOf('aä😀')
  assert.deepEqual([...units], [0x61, 0xe4, 0xd83d, 0xde00])
  assert.equal(unitsOf('aä😀'), units)
  forgetUnits()
  assert.deepEqual([...units], [0, 0, 0, 0])
})

test('nothing of a mail is kept when it was looked through', () => {
  const text = 'Akte 4711, und 4712'
  const kept = unitsOf(text)
  const [found] = look([{ place: 'text', text }], [{ name: 'own', words: [], patterns: ['\\d{4}'] }])
  assert.equal(found?.count, 2)
  assert.deepEqual(new Set(kept), new Set([0]))
})
