import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { codeLife, hour, maySend, minute, newCode, readCode, showCode, works } from '../../../src/methods/escrow/code.ts'

test('a code is found in whatever was pasted', () => {
  const table: [string, ReturnType<typeof readCode>][] = [
    ['48291306', { kind: 'short', code: '48291306' }],
    [' 4829 1306 ', { kind: 'short', code: '48291306' }],
    ['4829\u00a01306', { kind: 'short', code: '48291306' }],
    ['4829-1306', { kind: 'short', code: '48291306' }],
    ['4829–1306', { kind: 'short', code: '48291306' }],
    ['4 8 2 9 1 3 0 6', { kind: 'short', code: '48291306' }],
    ['４８２９ １３０６', { kind: 'short', code: '48291306' }],
    ['4829 1306 is the code for your letter (blue otter)', { kind: 'short', code: '48291306' }],
    ['Your code 4829 1306 works for 10 minutes', { kind: 'short', code: '48291306' }],
    ['4829\r\n1306', { kind: 'short', code: '48291306' }],
    ['K7QM 2RTX 9D4F', { kind: 'long', code: 'K7QM2RTX9D4F' }],
    ['k7qm2rtx9d4f', { kind: 'long', code: 'K7QM2RTX9D4F' }],
    ['k7qm-2rtx-9d4f is the code for your letter (blue otter)', { kind: 'long', code: 'K7QM2RTX9D4F' }],
    ['', { kind: 'none' }],
    ['   ', { kind: 'none' }],
    ['4829 130', { kind: 'none' }],
    ['482913061', { kind: 'none' }],
    ['blue otter', { kind: 'none' }],
    ['code that will come soon', { kind: 'none' }],
  ]
  for (const [input, expected] of table) assert.deepEqual(readCode(input), expected, JSON.stringify(input))
})

test('every code is found again as it is shown, alone and in a sentence', () =>
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.constantFrom('', 'Your code: ', 'Ihr Code '),
      fc.constantFrom('', ' works for 10 minutes', ' (blue otter)'),
      (long, before, after) => {
        const code = newCode(long)
        assert.deepEqual(readCode(`${before}${showCode(code)}${after}`), { kind: long ? 'long' : 'short', code })
      },
    ),
  ))

test('no input, however odd, is an error or more than one try', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (input) => {
      const read = readCode(input)
      assert.ok(read.kind === 'none' || read.code.length === (read.kind === 'short' ? 8 : 12))
    }),
  )
  assert.ok(readCode('1'.repeat(5_000_000)).kind === 'none')
})

test('one a minute and five an hour for an address; the first of another letter only waits for the minute', () => {
  const limits = { perMinute: 1, perHour: 5 }
  const now = 100 * hour
  const at = (...ago: number[]) => ago.map((one) => ({ askedAt: now - one, letter: 'a' }))
  const table: [string, ReturnType<typeof at>, string, boolean, number][] = [
    ['nothing sent', [], 'a', true, now],
    ['59 s ago', at(59_000), 'a', false, now + 1000],
    ['a minute ago', at(minute), 'a', true, now],
    [
      'five in the hour',
      at(1, 2, 3, 4, 5).map((one, n) => ({ ...one, askedAt: now - (n + 2) * minute })),
      'a',
      false,
      now - 6 * minute + hour,
    ],
    ['five, the last an hour ago', at(2 * minute, 3 * minute, 4 * minute, 5 * minute, hour), 'a', true, now],
    ['five for another letter', at(1, 2, 3, 4, 5).map((one, n) => ({ ...one, askedAt: now - (n + 2) * minute })), 'b', true, now],
    ['another letter a moment ago', at(30_000), 'b', false, now + 30_000],
  ]
  for (const [what, sent, letter, may, when] of table) assert.deepEqual(maySend(sent, letter, now, limits), { may, at: when }, what)
})

test('a code works for ten minutes from its 250, and while its mail is on its way', () => {
  const sent = { askedAt: 0, validUntil: 15_000 + codeLife, spent: false }
  assert.equal(works(sent, 15_000 + codeLife - 1), true)
  assert.equal(works(sent, 15_000 + codeLife), false)
  assert.equal(works({ ...sent, validUntil: null }, 60_000), true)
  assert.equal(works({ ...sent, validUntil: null }, hour), false)
  assert.equal(works({ ...sent, spent: true }, 1), false)
})
