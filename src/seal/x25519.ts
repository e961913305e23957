/** X25519 keys as 32 plain bytes (RFC 7748), on top of node:crypto, which wants them dressed in DER. */
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto'

/** Who can be encrypted to (`publicKey`) and opens with `secret`; both 32 bytes. */
export type Identity = { readonly secret: Buffer; readonly publicKey: Buffer }

/** RFC 8410 §7 and §4: everything that stands before the 32 bytes of an X25519 key. */
const secretPrefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b656e032100', 'hex')

/** The identity that belongs to 32 secret bytes. Throws when they are not 32. */
export function x25519Identity(secret: Buffer): Identity {
  return { secret, publicKey: rawPublic(createPublicKey(secretKey(secret))) }
}

/** A fresh identity from the system's random numbers. */
export function newIdentity(): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return { secret: Buffer.from(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)), publicKey: rawPublic(publicKey) }
}

/** The secret shared by `secret` and `publicKey`; undefined when that point is of low order (RFC 7748 §6.1: all zeros must be refused). */
export function agree(secret: Buffer, publicKey: Buffer): Buffer | undefined {
  try {
    return diffieHellman({ privateKey: secretKey(secret), publicKey: publicKeyOf(publicKey) })
  } catch (error) {
    if (publicKey.length === 32 && secret.length === 32) return undefined
    throw error
  }
}

const secretKey = (secret: Buffer): KeyObject =>
  createPrivateKey({ key: Buffer.concat([secretPrefix, exactly32(secret)]), format: 'der', type: 'pkcs8' })

const publicKeyOf = (raw: Buffer): KeyObject =>
  createPublicKey({ key: Buffer.concat([publicPrefix, exactly32(raw)]), format: 'der', type: 'spki' })

const rawPublic = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'der', type: 'spki' }).subarray(-32))

function exactly32(key: Buffer): Buffer {
  if (key.length !== 32) throw new Error(`an X25519 key has 32 bytes, not ${key.length}`)
  return key
}
