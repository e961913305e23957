/** Line ends are found wherever they stand, however the content lies in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { controlFinder, copyRun } from '../../src/mail/controls.ts'

test('every octet below 14 is found, and no other, from any place and at any place in memory', () => {
  const octet = fc.oneof(fc.constantFrom(0, 9, 10, 13, 14, 32, 127, 128, 141, 142, 255), fc.nat(255))
  fc.assert(
    fc.property(fc.array(octet, { maxLength: 40 }), fc.nat(7), fc.nat(7), fc.nat(40), (octets, before, behind, from) => {
      // What lies around it is full of controls, and is none of its business.
      const around = Buffer.alloc(before + octets.length + behind, 10)
      around.set(octets, before)
      const bytes = around.subarray(before, before + octets.length)
      const start = Math.min(from, bytes.length)
      const naive = bytes.subarray(start).findIndex((one) => one < 14)
      assert.equal(controlFinder(bytes)(start), naive === -1 ? bytes.length : start + naive)
    }),
    { numRuns: 2000 },
  )
})

test('a run is copied to its place, short or long', () => {
  const bytes = Buffer.from(Array.from({ length: 200 }, (_, at) => at))
  for (const length of [0, 1, 49, 50, 51, 150]) {
    const out = Buffer.alloc(210)
    copyRun(bytes, 20, 20 + length, out, 30)
    assert.deepEqual(out, Buffer.concat([Buffer.alloc(30), bytes.subarray(20, 20 + length), Buffer.alloc(180 - length)]))
  }
})
