/** The secret of a letter's link, and the two things made from it: where the letter is found and the key that opens it. */
import { createHash, randomBytes } from 'node:crypto'
import { derive } from '../../seal/box.ts'

/** Crockford's base32: no i, l, o, u. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const none = Buffer.alloc(0)

/** 160 random bits as 32 lower-case characters. */
export function newSecret(): string {
  let value = BigInt(`0x${randomBytes(20).toString('hex')}`)
  let text = ''
  for (; text.length < 32; value >>= 5n) text = `${alphabet[Number(value & 31n)]}${text}`
  return text
}

/** The 20 bytes behind a secret in any case, with o, i and l read as Crockford says; undefined when it is none. */
export function decodeSecret(text: string): Buffer | undefined {
  const digits = text.toLowerCase().replaceAll('o', '0').replace(/[il]/g, '1')
  if (digits.length !== 32 || !/^[0-9a-hjkmnp-tv-z]+$/.test(digits)) return undefined
  const value = [...digits].reduce((sum, digit) => (sum << 5n) | BigInt(alphabet.indexOf(digit)), 0n)
  return Buffer.from(value.toString(16).padStart(40, '0'), 'hex')
}

/** Whose link: the reader's, in the notice, or the sender's, in the mail that tells of a notice that waits. */
export type LinkKind = 'link' | 'sender'

/** The hex SHA-256 of the look-up id: all that the database knows of a secret. The other kind of link leads elsewhere, so nowhere. */
export const lookupOf = (secret: Buffer, kind: LinkKind = 'link'): string =>
  createHash('sha256')
    .update(derive(secret, none, kind === 'link' ? 'letterlock letter look-up v1' : 'letterlock sender look-up v1'))
    .digest('hex')

/**
 * The X25519 secret (32 bytes) that opens the header: it takes the link and the letter's salt, which the server wraps, and what Argon2id made
 * of the passphrase where there is one.
 */
export const linkIdentity = (secret: Buffer, salt: Buffer, { kind = 'link', phrase = none }: LinkUse = {}): Buffer =>
  derive(Buffer.concat([secret, phrase]), salt, kind === 'link' ? 'letterlock letter link v1' : 'letterlock letter sender v1')

export type LinkUse = { readonly kind?: LinkKind; readonly phrase?: Buffer }

/** The key under which subject and attachment names are sealed (spec "Format"). */
export const metaKey = (fileKey: Buffer): Buffer => derive(fileKey, none, 'meta')
