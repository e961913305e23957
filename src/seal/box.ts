/** Small secrets in a box: ChaCha20-Poly1305 under a random nonce, and the derivation of keys from keys. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'

const cipher = 'chacha20-poly1305'
const options = { authTagLength: 16 } as const
const nonceLength = 12
const tagLength = 16

/**
 * Seal `clear` under a key of 32 bytes: nonce (12) ‖ ciphertext ‖ tag (16). `aad` is not inside, but the box opens only with the same.
 * The nonce is random: seal fewer than 2^32 boxes under one key (RFC 8439 §2.8, NIST SP 800-38D §8.3 for the bound).
 */
export function sealBox(key: Buffer, clear: Buffer, aad: Buffer): Buffer {
  const nonce = randomBytes(nonceLength)
  const sealing = createCipheriv(cipher, key, nonce, options).setAAD(aad, { plaintextLength: clear.length })
  return Buffer.concat([nonce, sealing.update(clear), sealing.final(), sealing.getAuthTag()])
}

/** What was sealed; undefined when the box, the key or the aad is another one. */
export function openBox(key: Buffer, sealed: Buffer, aad: Buffer): Buffer | undefined {
  if (sealed.length < nonceLength + tagLength) return undefined
  return openWith(key, sealed.subarray(0, nonceLength), sealed.subarray(nonceLength), aad)
}

/** Encrypt with a nonce that the caller never uses twice under this key: ciphertext and tag, not joined, to save a copy. */
export function sealWith(key: Buffer, nonce: Buffer, clear: Buffer): [ciphertext: Buffer, tag: Buffer] {
  const sealing = createCipheriv(cipher, key, nonce, options)
  const ciphertext = sealing.update(clear)
  sealing.final()
  return [ciphertext, sealing.getAuthTag()]
}

/** Decrypt ciphertext ‖ tag; undefined when anything differs. Nothing is given out before the tag was checked. */
export function openWith(key: Buffer, nonce: Buffer, sealed: Buffer, aad?: Buffer): Buffer | undefined {
  const ciphertext = sealed.subarray(0, -tagLength)
  const opening = createDecipheriv(cipher, key, nonce, options)
  if (aad) opening.setAAD(aad, { plaintextLength: ciphertext.length })
  opening.setAuthTag(sealed.subarray(-tagLength))
  const clear = opening.update(ciphertext)
  try {
    opening.final()
    return clear
  } catch {
    clear.fill(0)
    return undefined
  }
}

const firstBlock = Buffer.of(1)

/** HKDF-SHA-256 (RFC 5869): `length` bytes made from `secret` for the purpose `info`. */
export function derive(secret: Buffer, salt: Buffer, info: string | Buffer, length = 32): Buffer {
  if (length > 32) return Buffer.from(hkdfSync('sha256', secret, salt, info, length))
  // One block, as almost always: two HMACs take half the time of node's job.
  const key = createHmac('sha256', salt).update(secret).digest()
  return createHmac('sha256', key).update(info).update(firstBlock).digest().subarray(0, length)
}
