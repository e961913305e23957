/** The headers of a letter: each lets one link open the file key, with the server's salt and what else the letter asks for. */
import { randomBytes } from 'node:crypto'
import { header as ageHeader, openHeader, x25519Identity } from '../../seal/age.ts'
import { openBox, sealBox } from '../../seal/box.ts'
import type { Keyring } from '../../seal/keyring.ts'
import { type Statement, sql } from '../../store/db.ts'
import type { Attachment } from './attachments.ts'
import { type Binding, type BoundHeader, metaBinding, saltBinding } from './binding.ts'
import type { Letter } from './letter.ts'
import { mixPhrase, phraseSaltLength } from './passphrase.ts'
import { decodeSecret, type LinkKind, linkIdentity, lookupOf, metaKey } from './secret.ts'

/** Sealed beside the header. `attachments` is null when the message's structure was beyond the limits. */
export type Meta = { readonly subject: string; readonly attachments: readonly Attachment[] | null }

type Lock = {
  readonly kind: LinkKind
  /** As in the link. */
  readonly secret: string
  readonly meta: Meta
  /** With a passphrase: its salt, and what Argon2id made of both. */
  readonly phrase?: { readonly salt: Buffer; readonly mixed: Buffer }
}

/** A header that the link opens: an age header for an identity made from secret, salt and passphrase, of which the secret is kept nowhere. */
export function sealHeader(keyring: Keyring, fileKey: Buffer, binding: Binding, { kind, secret, meta, phrase }: Lock): BoundHeader {
  const bytes = decodeSecret(secret) ?? Buffer.alloc(0)
  const salt = randomBytes(saltLength)
  const identity = x25519Identity(linkIdentity(bytes, salt, { kind, ...(phrase && { phrase: phrase.mixed }) }))
  const header = {
    kind,
    lookup: lookupOf(bytes, kind),
    header: ageHeader(fileKey, identity.publicKey),
    saltWrap: keyring.sealSalt(Buffer.concat([salt, phrase?.salt ?? Buffer.alloc(0)]), saltBinding(binding, kind)),
    meta: sealBox(metaKey(fileKey), Buffer.from(JSON.stringify(meta)), metaBinding(binding.letter)),
  }
  for (const key of [bytes, salt, identity.secret]) key.fill(0)
  return header
}

const saltLength = 32

/** The row of a header. */
export const insertHeader = (letter: string, header: BoundHeader, signature: Buffer): Statement =>
  sql`INSERT INTO letter_header (letter, kind, header, lookup, salt_wrap, meta, signature)
    VALUES (${letter}, ${header.kind}, ${header.header}, ${header.lookup}, ${header.saltWrap}, ${header.meta}, ${signature})`

/** The file key: it takes the link's secret and the salt, which only this server unwraps and only for this letter as it was sealed. */
export function openLetter(keyring: Keyring, { binding, header }: Opening, secret: Buffer): Buffer | undefined {
  const salts = keyring.openSalt(header.saltWrap, saltBinding(binding, header.kind))
  return salts && opened(header, secret, salts, undefined)
}

/**
 * The same for a letter with a passphrase: undefined when these are not its words, or the link is not. `busy`: too many words are being tried
 * just now.
 */
export async function openWithPhrase(
  keyring: Keyring,
  { binding, header }: Opening,
  secret: Buffer,
  phrase: string,
): Promise<Buffer | 'busy' | undefined> {
  const salts = keyring.openSalt(header.saltWrap, saltBinding(binding, header.kind))
  if (salts === undefined || salts.length !== saltLength + phraseSaltLength) return undefined
  const mixed = await mixPhrase(phrase, salts.subarray(saltLength))
  if (mixed === undefined) return 'busy'
  const fileKey = opened(header, secret, salts, mixed)
  mixed.fill(0)
  return fileKey
}

type Opening = Pick<Letter, 'binding' | 'header'>

function opened(header: BoundHeader, secret: Buffer, salts: Buffer, phrase: Buffer | undefined): Buffer | undefined {
  const identity = linkIdentity(secret, salts.subarray(0, saltLength), { kind: header.kind, ...(phrase && { phrase }) })
  const fileKey = openHeader(header.header, identity)
  salts.fill(0)
  identity.fill(0)
  return fileKey
}

/** Subject and attachments; undefined when they were changed. */
export function openMeta({ binding, header }: Opening, fileKey: Buffer): Meta | undefined {
  const clear = openBox(metaKey(fileKey), header.meta, metaBinding(binding.letter))
  return clear && (JSON.parse(clear.toString()) as Meta)
}
