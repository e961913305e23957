/** The age v1 format (age-encryption.org/v1) by node:crypto: file keys, the wrap and the header for an X25519 key, key texts. */
import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'
import { decodeBech32, encodeBech32 } from './bech32.ts'
import { derive, openWith, sealWith } from './box.ts'
import { agree, newKeyPair, privateKeyOf, publicHalf } from './x25519.ts'

export { opener, openPayload, openWhole, payloadSize, SealBroken, sealer, sealPayload, sealWhole } from './payload.ts'
export { type Identity, x25519Identity } from './x25519.ts'

/** The key of one content: 16 random bytes. */
export const newFileKey = (): Buffer => randomBytes(16)

/** Bytes of a header as we write it. */
export const headerLength = 168

const shareLength = 32
const wrapLength = 64 // share ‖ encrypted file key (16) ‖ tag (16)
const none = Buffer.alloc(0)
const zeroNonce = Buffer.alloc(12) // each wrap has a key of its own, used once

/** The file key for the holder of `publicKey` alone: ephemeral share (32) ‖ body (32), the two parts of age's X25519 stanza. */
export const wrapFileKey = (fileKey: Buffer, publicKey: Buffer): Buffer => wrapUnder(agreementWith(publicKey), fileKey)

/** A key for one wrap and our share of it. */
type Agreement = { readonly share: Buffer; readonly key: Buffer }

function agreementWith(publicKey: Buffer): Agreement {
  const ephemeral = newKeyPair()
  const shared = agree(ephemeral.privateKey, publicKey)
  if (!shared) throw new Error('this public key is of low order: nothing can be kept secret with it')
  return { share: ephemeral.publicKey, key: wrapKey(shared, ephemeral.publicKey, publicKey) }
}

/** Uses the agreement up. */
function wrapUnder({ share, key }: Agreement, fileKey: Buffer): Buffer {
  if (fileKey.length !== 16) throw new Error(`a file key has 16 bytes, not ${fileKey.length}`)
  const body = sealWith(key, zeroNonce, fileKey)
  key.fill(0)
  return Buffer.concat([share, ...body])
}

export type Wrapper = { readonly wrap: (fileKey: Buffer) => Buffer; readonly close: () => void }

/** Milliseconds after a wrap, in which its message is under way. */
const pause = 5

/**
 * Wraps as `wrapFileKey` does, for one holder. Almost all of that work needs no file key: in the pause after a message it is done for the next,
 * whose client need not wait for it. `close` wipes what was made ahead.
 */
export function wrapperFor(publicKey: Buffer): Wrapper {
  let ahead: Agreement | undefined
  let timer: NodeJS.Timeout | undefined
  const makeAhead = () => {
    timer = undefined
    ahead ??= agreementWith(publicKey)
  }
  return {
    wrap: (fileKey) => {
      const agreement = ahead ?? agreementWith(publicKey)
      ahead = undefined
      timer ??= setTimeout(makeAhead, pause).unref()
      return wrapUnder(agreement, fileKey)
    },
    close: () => {
      clearTimeout(timer)
      ahead?.key.fill(0)
      ahead = undefined
    },
  }
}

/** The file key; undefined when the wrap was made for somebody else or was changed. `secret`: 32 bytes, or the key made of them. */
export function unwrapFileKey(wrap: Buffer, secret: Buffer | KeyObject): Buffer | undefined {
  if (wrap.length !== wrapLength) return undefined
  const share = wrap.subarray(0, shareLength)
  const key = Buffer.isBuffer(secret) ? privateKeyOf(secret) : secret
  const shared = agree(key, share)
  if (!shared) return undefined
  return openWith(wrapKey(shared, share, publicHalf(key)), zeroNonce, wrap.subarray(shareLength))
}

const wrapKey = (shared: Buffer, share: Buffer, publicKey: Buffer): Buffer =>
  derive(shared, Buffer.concat([share, publicKey]), 'age-encryption.org/v1/X25519')

/** An age header for one X25519 recipient. Header ‖ payload is a file that `age -d` opens with that recipient's identity. */
export function header(fileKey: Buffer, publicKey: Buffer): Buffer {
  const wrap = wrapFileKey(fileKey, publicKey)
  const share = base64(wrap.subarray(0, shareLength))
  const text = `age-encryption.org/v1\n-> X25519 ${share}\n${base64(wrap.subarray(shareLength))}\n---`
  return Buffer.from(`${text} ${base64(headerMac(fileKey, text))}\n`)
}

/** Our header and no other: one X25519 stanza. 32 bytes are 43 characters of base64. */
const headerShape = /^(age-encryption\.org\/v1\n-> X25519 ([A-Za-z0-9+/]{43})\n([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n$/

/** The file key of a header made by `header`; undefined when it is for somebody else, was changed or is no such header. */
export function openHeader(sealed: Buffer, secret: Buffer): Buffer | undefined {
  const [, text, ...parts] = headerShape.exec(sealed.toString('latin1')) ?? []
  const [share, body, mac] = parts.map(canonical)
  if (text === undefined || !share || !body || !mac) return undefined
  const fileKey = unwrapFileKey(Buffer.concat([share, body]), secret)
  return fileKey && timingSafeEqual(headerMac(fileKey, text), mac) ? fileKey : undefined
}

const headerMac = (fileKey: Buffer, text: string): Buffer =>
  createHmac('sha256', derive(fileKey, none, 'header'))
    .update(text)
    .digest()

const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')

/** The format knows one spelling for each value: the unused bits of the last character must be zero. */
function canonical(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return base64(bytes) === text ? bytes : undefined
}

/** `AGE-SECRET-KEY-1…`: a secret, for a file that only its owner may read. */
export const encodeIdentity = (secret: Buffer): string => encodeBech32('age-secret-key-', secret).toUpperCase()

/** `age1…`: whom to encrypt to. */
export const encodeRecipient = (publicKey: Buffer): string => encodeBech32('age', publicKey)

/** The 32 secret bytes of `AGE-SECRET-KEY-1…`; undefined when it is mistyped. */
export const decodeIdentity = (text: string): Buffer | undefined => key32(decodeBech32('age-secret-key-', text))

/** The 32 bytes of `age1…`; undefined when it is mistyped. */
export const decodeRecipient = (text: string): Buffer | undefined => key32(decodeBech32('age', text))

const key32 = (bytes: Buffer | undefined): Buffer | undefined => (bytes?.length === 32 ? bytes : undefined)
