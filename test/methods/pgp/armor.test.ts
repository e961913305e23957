import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { unarmor } from 'openpgp'
import { crc24, crc24Start, createArmorer } from '../../../src/methods/pgp/armor.ts'
import { gpgHome, noGpg, withoutGpg } from './world.ts'

const gpg = withoutGpg ? noGpg : gpgHome()
const armored = (chunks: readonly Uint8Array[]): Buffer => {
  const { push, end } = createArmorer()
  return Buffer.concat([...chunks.flatMap(push), ...end()])
}

test('gpg reads armored data of every length around a line', { skip: withoutGpg }, () => {
  for (let length = 1; length <= 50; length++) {
    const bytes = randomBytes(length)
    assert.deepEqual(gpg.run(['--dearmor'], armored([bytes])).out, bytes, `${length} bytes`)
  }
})

test('the text is the same however the ciphertext was cut, and around the size of a piece', async () => {
  const piece = 48 * 4096
  const more = fc.oneof(
    fc.nat(1000),
    fc.integer({ min: piece - 3, max: piece + 3 }),
    fc.integer({ min: 2 * piece - 3, max: 2 * piece + 3 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }), more, async (cut, size) => {
      const chunks = [...cut, randomBytes(size + 1)]
      const text = armored(chunks)
      assert.deepEqual(text, armored([Buffer.concat(chunks)]))
      const lines = text.toString().split('\r\n')
      assert.ok(lines.every((line) => line.length <= 64))
      const { data } = await unarmor(text.toString())
      assert.deepEqual(Buffer.from(data as Uint8Array), Buffer.concat(chunks))
    }),
    { numRuns: 30 },
  )
})

test('the checksum is the one that RFC 9580 defines', () => {
  assert.equal(crc24(crc24Start, Buffer.from('123456789')), 0x21cf02)
  assert.equal(crc24(crc24(crc24Start, Buffer.from('1234')), Buffer.from('56789')), 0x21cf02)
})
