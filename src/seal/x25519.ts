/** X25519 keys as 32 plain bytes (RFC 7748), on top of node:crypto, which wants them dressed. */
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject, randomBytes } from 'node:crypto'

/** Who can be encrypted to (`publicKey`) and opens with `secret`; both 32 bytes. */
export type Identity = { readonly secret: Buffer; readonly publicKey: Buffer }

/** The identity that belongs to 32 secret bytes. Throws when they are not 32. */
export const x25519Identity = (secret: Buffer): Identity => ({ secret, publicKey: publicHalf(shortLived(secret)) })

/**
 * A fresh key pair from the system's random numbers, for one use. Not by generateKeyPair: what is left of its work locks the key when it is
 * collected, and Node 20 stands still for ever when that happens while the key is written as JWK (test/seal/x25519.test.ts).
 */
export function newKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: Buffer } {
  const secret = randomBytes(32)
  const privateKey = shortLived(secret)
  secret.fill(0)
  return { privateKey, publicKey: publicHalf(privateKey) }
}

/** RFC 8410 §7: everything that stands before the 32 secret bytes. */
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')

/** 32 secret bytes as node:crypto's key. It takes 0.4 ms: who uses a key often keeps the KeyObject. */
export function privateKeyOf(secret: Buffer): KeyObject {
  if (secret.length !== 32) throw new Error(`an X25519 secret has 32 bytes, not ${secret.length}`)
  const der = Buffer.concat([pkcs8Prefix, secret])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

/** The 32 public bytes of a private key; by JWK (RFC 8037 §2), which is 60 times faster here than DER. */
export const publicHalf = (key: KeyObject): Buffer => Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url')

/** A recipient's 32 public bytes as node:crypto's key. The last few are remembered: the queue's key takes part in every message. */
function publicKeyOf(publicKey: Buffer): KeyObject {
  const x = publicKey.toString('base64url')
  const known = recipients.get(x) ?? createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
  recipients.delete(x)
  recipients.set(x, known)
  const [oldest] = recipients.keys()
  if (recipients.size > mostRemembered && oldest !== undefined) recipients.delete(oldest)
  return known
}

const recipients = new Map<string, KeyObject>()
const mostRemembered = 16

/** The secret shared with the holder of `publicKey`; undefined when that is no point to share with (RFC 7748 §6.1: all zeros). */
export function agree(privateKey: KeyObject, publicKey: Buffer): Buffer | undefined {
  if (publicKey.length !== 32) throw new Error(`an X25519 public key has 32 bytes, not ${publicKey.length}`)
  const theirs = publicKeyOf(publicKey)
  try {
    return diffieHellman({ privateKey, publicKey: theirs })
  } catch {
    return undefined
  }
}

/**
 * As `privateKeyOf` in a tenth of the time. The secret lies about as a string until it is collected, so not for keys that are kept. RFC 8037 §2
 * wants the public half beside `d`; Node makes it itself and does not look at it. A Node that does gets DER.
 */
const shortLived = (secret: Buffer): KeyObject => (jwkSuffices && secret.length === 32 ? fromJwk(secret) : privateKeyOf(secret))

const fromJwk = (secret: Buffer): KeyObject =>
  createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', d: secret.toString('base64url'), x: '' }, format: 'jwk' })

const jwkSuffices = givesTheSame(Buffer.alloc(32, 7))

function givesTheSame(sample: Buffer): boolean {
  try {
    return publicHalf(fromJwk(sample)).equals(publicHalf(privateKeyOf(sample)))
  } catch {
    return false
  }
}
