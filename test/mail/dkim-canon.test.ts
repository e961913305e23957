/** The relaxed forms of RFC 6376 §3.4, with its own example, and a slow second way to say the same. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { relaxedBodyHash, relaxedField } from '../../src/mail/dkim-canon.ts'

const sha256 = (text: string) => createHash('sha256').update(text, 'latin1').digest('base64')

function hashed(body: string, sizes: readonly number[] = []): string {
  const hash = relaxedBodyHash()
  let at = 0
  const bytes = Buffer.from(body, 'latin1')
  for (const size of sizes) {
    hash.update(bytes.subarray(at, at + size))
    at += size
  }
  hash.update(bytes.subarray(at))
  return hash.digest().toString('base64')
}

test('the example of RFC 6376 §3.4.5 has the form given there', () => {
  assert.equal(hashed(' C \r\nD \t E\r\n\r\n\r\n'), sha256(' C\r\nD E\r\n'))
  assert.equal(relaxedField(Buffer.from('A: X\r\n')), 'a:X')
  assert.equal(relaxedField(Buffer.from('B : Y\t\r\n\tZ  \r\n')), 'b:Y Z')
})

test('an empty body, and one of white space and line ends alone, hash as nothing', () => {
  // RFC 6376 §3.4.4: the SHA-256 of the empty body.
  assert.equal(hashed(''), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
  assert.equal(hashed(' \t\r\n\r\n \r\n'), sha256(''))
})

test('a body without a line end at its end gets one', () => assert.equal(hashed('end'), sha256('end\r\n')))

test('a CR or LF alone ends no line', () => {
  assert.equal(hashed('a \nb\r c\r'), sha256('a \nb\r c\r\r\n'))
  assert.equal(hashed('a\r\r\n'), sha256('a\r\r\n'))
})

test('eight-bit bytes of a field pass unchanged', () => {
  assert.equal(relaxedField(Buffer.from('Subject:  Grüße \r\n')), `subject:${Buffer.from('Grüße').toString('latin1')}`)
})

test('millions of empty lines in the middle are kept and cost no memory', () => {
  const hash = relaxedBodyHash()
  const expected = createHash('sha256')
  const lines = Buffer.from('\r\n'.repeat(32 * 1024))
  hash.update(Buffer.from('a\r\n'))
  expected.update('a\r\n')
  for (let i = 0; i < 64; i++) {
    hash.update(lines)
    expected.update(lines)
  }
  hash.update(Buffer.from('b'))
  assert.equal(hash.digest().toString('hex'), expected.update('b\r\n').digest('hex'))
})

test('any body hashes as the definition says, however it is cut into chunks', () => {
  const bodies = fc
    .array(fc.constantFrom('\r\n', '\r', '\n', ' ', '\t', 'a', '.', '\xfc'), { maxLength: 40 })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(bodies, fc.array(fc.nat(5), { maxLength: 12 }), (body, sizes) => {
      assert.equal(hashed(body, sizes), sha256(defined(body)))
    }),
    { numRuns: 500 },
  )
})

/** RFC 6376 §3.4.4, sentence by sentence. */
function defined(body: string): string {
  const lines = body.split('\r\n').map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '))
  while (lines.at(-1) === '') lines.pop()
  return lines.map((line) => `${line}\r\n`).join('')
}
