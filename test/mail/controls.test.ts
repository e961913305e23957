/** Line ends are found wherever they stand, however the content lies in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { controlFinder, copyRun, plainLineSkipper } from '../../src/mail/controls.ts'

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

/** A line at a time, octet by octet: where the first line begins that is not plain. */
function afterPlainLines(bytes: Buffer, limit: number): number {
  let start = 0
  while (start < bytes.length && bytes[start] !== 0x2e) {
    const at = bytes.subarray(start).findIndex((octet) => octet < 14) + start
    if (at < start || bytes[at] !== 13 || bytes[at + 1] !== 10 || at + 2 - start > limit) break
    start = at + 2
  }
  return start
}

test('lines are skipped up to the first that is not plain, however they lie in memory', () => {
  const line = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', '\xff', '\x80', '\x0e', '.'), maxLength: 40 }).map((text) => `${text}\r\n`),
    fc.constantFrom('.\r\n', '\r', '\n', '\0', '\t\r\n', '\r\r\n', 'x'.repeat(60), '\x0e\x0e\x0d\x0e\x0a'),
  )
  let skipped = 0
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 12 }),
      fc.nat(7),
      fc.nat(7),
      fc.integer({ min: 2, max: 50 }),
      (lines, before, behind, limit) => {
        const text = Buffer.from(lines.join(''), 'latin1')
        const around = Buffer.alloc(before + text.length + behind, '\r\n')
        around.set(text, before)
        const bytes = around.subarray(before, before + text.length)
        const start = plainLineSkipper(bytes, limit)(0)
        // Too early is allowed, for a line that an octet 14 makes look like another, and for the last one; too late never is.
        const right = afterPlainLines(bytes, limit)
        assert.ok(start === 0 || bytes.subarray(start - 2, start).equals(Buffer.from('\r\n')), `${start} is no start of a line`)
        assert.ok(start <= right, `${start} is behind ${right}`)
        const rest = bytes.subarray(start, right)
        assert.ok(rest.includes(14) || bytes.length - start < 70 || start === right, `stopped at ${start}, not ${right}`)
        skipped += start
      },
    ),
    { numRuns: 3000 },
  )
  assert.ok(skipped > 0)
})

test('a run is copied to its place, short or long', () => {
  const bytes = Buffer.from(Array.from({ length: 200 }, (_, at) => at))
  for (const length of [0, 1, 49, 50, 51, 150]) {
    const out = Buffer.alloc(210)
    copyRun(bytes, 20, 20 + length, out, 30)
    assert.deepEqual(out, Buffer.concat([Buffer.alloc(30), bytes.subarray(20, 20 + length), Buffer.alloc(180 - length)]))
  }
})
