/** Boxes and derived keys: known answers, and no box opens with anything changed. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { derive, openBox, openWith, sealBox, sealWith } from '../../src/seal/box.ts'

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex')

describe('a box', () => {
  const key = randomBytes(32)
  const aad = Buffer.from('letter 1, recipient 2')

  it('gives back what was sealed, also nothing at all', () => {
    for (const clear of [Buffer.from('secret'), Buffer.alloc(0), randomBytes(10_000)])
      assert.deepEqual(openBox(key, sealBox(key, clear, aad), aad), clear)
  })

  it('is 28 bytes longer than what is in it, and another one each time', () => {
    const [first, second] = [sealBox(key, Buffer.from('secret'), aad), sealBox(key, Buffer.from('secret'), aad)]
    assert.equal(first.length, 6 + 28)
    assert.notDeepEqual(first, second)
    assert.equal(first.includes('secret'), false)
  })

  it('opens with no other key, no other aad and no changed byte', () => {
    const sealed = sealBox(key, Buffer.from('secret'), aad)
    assert.equal(openBox(randomBytes(32), sealed, aad), undefined)
    for (const other of ['', 'letter 1, recipient 3', 'letter 1, recipient 22'])
      assert.equal(openBox(key, sealed, Buffer.from(other)), undefined)
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
      assert.equal(openBox(key, changed, aad), undefined, `byte ${at}`)
      assert.equal(openBox(key, sealed.subarray(0, at), aad), undefined, `cut at ${at}`)
    }
  })

  it('refuses a key of the wrong length', () => {
    assert.throws(() => sealBox(randomBytes(16), Buffer.from('x'), aad), /key length/i)
  })
})

describe('the primitives', () => {
  it('compute the example of RFC 8439 §2.8.2', () => {
    const clear = Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    )
    const key = hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f')
    const nonce = hex('070000004041424344454647')
    const ciphertext = hex(`d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 3dbea45e8ca9671282fafb69da92728b
      1a71de0a9e060b2905d6a5b67ecd3b36 92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc 3ff4def08e4b7a9de576d26586cec64b 6116`)
    const aad = hex('50515253c0c1c2c3c4c5c6c7')
    assert.deepEqual(openWith(key, nonce, Buffer.concat([ciphertext, hex('1ae10b594f09e26a7e902ecbd0600691')]), aad), clear)
    assert.deepEqual(sealWith(key, nonce, clear)[0], ciphertext)
  })

  it('derive the keys of RFC 5869 appendix A.1 and A.3', () => {
    const secret = Buffer.alloc(22, 0x0b)
    const first = derive(secret, hex('000102030405060708090a0b0c'), hex('f0f1f2f3f4f5f6f7f8f9'), 42)
    assert.equal(first.toString('hex'), '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865')
    const third = derive(secret, Buffer.alloc(0), '', 42)
    assert.equal(third.toString('hex'), '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8')
    assert.equal(derive(secret, Buffer.alloc(0), 'x').length, 32)
  })
})
