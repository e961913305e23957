import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { unarmor } from 'openpgp'
import { armor, armoredSize, crc24, crc24Start } from '../../../src/methods/pgp/armor.ts'
import { gpgHome, noGpg, withoutGpg } from './world.ts'

const gpg = withoutGpg ? noGpg : gpgHome()
const of = (chunks: Uint8Array[]) => ({ chunks, checksum: crc24(crc24Start, Buffer.concat(chunks)) })

test('gpg reads armored data of every length around a line', { skip: withoutGpg }, () => {
  for (let length = 1; length <= 50; length++) {
    const bytes = randomBytes(length)
    assert.deepEqual(gpg.run(['--dearmor'], Buffer.concat([...armor(of([bytes]))])).out, bytes, `${length} bytes`)
  }
})

test('the size is known before the text is made, however the ciphertext was cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }), fc.nat(100_000), async (cut, more) => {
      const chunks = [...cut, randomBytes(more + 1)]
      const text = Buffer.concat([...armor(of(chunks))])
      assert.equal(text.length, armoredSize(of(chunks)))
      assert.ok(
        text
          .toString()
          .split('\r\n')
          .every((line) => line.length <= 64),
      )
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
