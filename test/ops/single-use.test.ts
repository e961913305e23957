/** Large buffers are freed when their one reader is done, and only those that were declared to have one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { giveBack, singleUse } from '../../src/ops/single-use.ts'

const large = () => Buffer.allocUnsafeSlow(65_536).fill(1)

test('a buffer that was declared is freed when it is given back', () => {
  const buffer = singleUse(large())
  assert.equal(buffer[65_535], 1)
  giveBack(buffer)
  assert.equal(buffer.length, 0)
  assert.equal(buffer.buffer.byteLength, 0)
  giveBack(buffer)
})

test('a part of it gives back the whole: it has but one reader', () => {
  const buffer = singleUse(large())
  giveBack(buffer.subarray(10))
  assert.equal(buffer.length, 0)
})

test('what nobody declared stays: it may have other readers', () => {
  const buffer = large()
  giveBack(buffer)
  assert.equal(buffer.length, 65_536)
})

test('a part of a larger buffer cannot be declared, nor can a small one from the shared pool', () => {
  const buffer = large()
  giveBack(singleUse(buffer.subarray(1)))
  assert.equal(buffer.length, 65_536)
  const [small, neighbour] = [Buffer.from('small'), Buffer.from('neighbour')]
  giveBack(singleUse(small))
  assert.deepEqual([small.toString(), neighbour.toString()], ['small', 'neighbour'])
})

test('buffers given back do not add up: no collection of garbage is needed to hold some hundred megabytes of them in turn', () => {
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 5000; i++) giveBack(singleUse(large()))
  assert.ok(process.memoryUsage().arrayBuffers - before < 10 * 65_536)
})
