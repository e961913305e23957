/** A letter's rows: sealed for one recipient over the message's file key, and read back only when nothing in them was changed. */
import { randomBytes } from 'node:crypto'
import { entry } from '../../audit/audit.ts'
import { maskAddress } from '../../mail/address.ts'
import { newId, newReference } from '../../mail/id.ts'
import { header as ageHeader, openHeader, x25519Identity } from '../../seal/age.ts'
import { openBox, sealBox } from '../../seal/box.ts'
import type { Keyring } from '../../seal/keyring.ts'
import { type Db, type Statement, sql } from '../../store/db.ts'
import type { Attachment } from './attachments.ts'
import { type Binding, type BoundHeader, metaBinding, type Proof, proofNamed, saltBinding, signLetter, verifyLetter } from './binding.ts'
import { type LetterLabel, labelShown } from './label.ts'
import { type LanguageName, languageNamed } from './notice-text.ts'
import { decodeSecret, linkIdentity, lookupOf, metaKey, newSecret } from './secret.ts'

/** Sealed beside the header. `attachments` is null when the message's structure was beyond the limits. */
export type Meta = { readonly subject: string; readonly attachments: readonly Attachment[] | null }

/** What pages may show before the code. */
export type LetterOutside = {
  readonly id: string
  readonly reference: string
  readonly senderName: string
  readonly senderAddress: string
  readonly maskedAddress: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly state: LetterState
  /** Why it is a letter. */
  readonly label: LetterLabel
  readonly language?: LanguageName
}

export const openStates = ['waiting', 'notified', 'read'] as const
export type LetterState = (typeof openStates)[number] | 'expired' | 'recalled' | 'superseded'

/** A letter that is what we sealed, without what is in it. */
export type Letter = {
  readonly binding: Binding
  readonly header: BoundHeader
  readonly outside: LetterOutside
  readonly languages: readonly LanguageName[]
  /** Bytes of the message in clear. */
  readonly size: number
  /** What the reader needs: a `link` whose notice did not go over a verified channel is raised to a code (spec N1). */
  readonly proof: Proof
}

/** Seal one letter: its statements, and the link's secret, which exists nowhere else. `fileKey` is the message's own: nothing is re-encrypted. */
export function sealLetter(
  keyring: Keyring,
  fileKey: Buffer,
  letter: Omit<Binding, 'letter' | 'shown'> & { readonly shown: Omit<Binding['shown'], 'reference'> },
  meta: Meta,
): { readonly id: string; readonly reference: string; readonly secret: string; readonly statements: readonly Statement[] } {
  const reference = newReference()
  const binding: Binding = { ...letter, letter: newId(letter.shown.createdAt), shown: { ...letter.shown, reference } }
  const secret = newSecret()
  const header = sealHeader(keyring, fileKey, binding, secret, meta)
  const signature = signLetter(keyring, binding, header)
  return { id: binding.letter, reference, secret, statements: letterRows(binding, header, signature) }
}

function sealHeader(keyring: Keyring, fileKey: Buffer, binding: Binding, secret: string, meta: Meta): BoundHeader {
  const bytes = decodeSecret(secret) ?? Buffer.alloc(0)
  const salt = randomBytes(32)
  const identity = x25519Identity(linkIdentity(bytes, salt))
  const header = {
    kind: 'link',
    lookup: lookupOf(bytes),
    header: ageHeader(fileKey, identity.publicKey),
    saltWrap: keyring.sealSalt(salt, saltBinding(binding)),
    meta: sealBox(metaKey(fileKey), Buffer.from(JSON.stringify(meta)), metaBinding(binding.letter)),
  }
  for (const key of [bytes, salt, identity.secret]) key.fill(0)
  return header
}

function letterRows(binding: Binding, header: BoundHeader, signature: Buffer): Statement[] {
  const { letter, message, recipient, address, proof, expiresAt, shown } = binding
  return [
    sql`INSERT INTO letter (id, reference, message, recipient, address, sender_address, sender_name, message_id, references_field, proof,
        label, language, created_at, expires_at, state)
      VALUES (${letter}, ${shown.reference}, ${message}, ${recipient}, ${address}, ${shown.senderAddress}, ${shown.senderName},
        ${shown.messageId}, ${shown.references}, ${proof}, ${shown.label}, ${shown.language}, ${shown.createdAt}, ${expiresAt}, 'waiting')`,
    sql`INSERT INTO letter_header (letter, kind, header, lookup, salt_wrap, meta, signature)
      VALUES (${letter}, ${header.kind}, ${header.header}, ${header.lookup}, ${header.saltWrap}, ${header.meta}, ${signature})`,
    entry(shown.createdAt, {
      actor: 'delivery',
      action: 'letter.sealed',
      object: letter,
      detail: { message, to: address, reference: shown.reference, proof, expiresAt, label: shown.label },
    }),
  ]
}

export type LetterRow = {
  id: string
  reference: string
  message: string
  recipient: string
  address: string
  sender_address: string
  sender_name: string
  message_id: string
  references_field: string
  proof: string
  label: string
  language: string
  created_at: number
  expires_at: number
  state: string
  notice_assurance: string | null
}
type HeaderRow = {
  kind: string
  lookup: string
  header: Buffer
  salt_wrap: Buffer
  meta: Buffer
  signature: Buffer
  payload_sha256: string | null
  size: number | null
}

/** A letter by the stored form of its look-up id; `altered` when a row was planted or changed, or the payload is gone or another one. */
export type LetterFound =
  | { readonly kind: 'letter'; readonly letter: Letter }
  | { readonly kind: 'altered'; readonly id: string }
  | { readonly kind: 'none' }

/** Look a letter up and check its signature. A look-up that finds nothing checks one too, so that both take the same time. */
export async function readLetter({ db, keyring }: { readonly db: Db; readonly keyring: Keyring }, lookup: string): Promise<LetterFound> {
  const [row] = await db.read<LetterRow & HeaderRow>(sql`
    SELECT letter.*, letter_header.kind, letter_header.lookup, letter_header.header, letter_header.salt_wrap, letter_header.meta,
      letter_header.signature, content.payload_sha256, message.size
    FROM letter_header JOIN letter ON letter.id = letter_header.letter
      LEFT JOIN content ON content.message = letter.message LEFT JOIN message ON message.id = letter.message
    WHERE letter_header.lookup = ${lookup}`)
  const seen = row ?? nobody
  const binding = bindingOf(seen, seen.payload_sha256 ?? '')
  const header = { kind: seen.kind, lookup: seen.lookup, header: seen.header, saltWrap: seen.salt_wrap, meta: seen.meta }
  const sound = verifyLetter(keyring, binding, header, seen.signature)
  if (row === undefined) return { kind: 'none' }
  if (!sound || !isOpen(row.state)) return { kind: 'altered', id: row.id }
  return { kind: 'letter', letter: letterOf(row, binding, header, row.state) }
}

function letterOf(row: LetterRow & HeaderRow, binding: Binding, header: BoundHeader, state: LetterState): Letter {
  return {
    binding,
    header,
    outside: outsideOf(row, state),
    languages: languagesOf(row.language),
    size: row.size ?? 0,
    proof: binding.proof === 'link' && !provenChannel(row.notice_assurance) ? 'code' : binding.proof,
  }
}

/** What may be shown of a letter's row. */
export function outsideOf(row: LetterRow, state: LetterState): LetterOutside {
  const [language] = languagesOf(row.language)
  return {
    id: row.id,
    reference: row.reference,
    senderName: row.sender_name,
    senderAddress: row.sender_address,
    maskedAddress: maskAddress(row.address),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    state,
    label: labelShown(row.label, row.notice_assurance),
    ...(language !== undefined && { language }),
  }
}

/** The file key: it takes the link's secret and the salt, which only this server unwraps and only for this letter as it was sealed. */
export function openLetter(keyring: Keyring, { binding, header }: Letter, secret: Buffer): Buffer | undefined {
  const salt = keyring.openSalt(header.saltWrap, saltBinding(binding))
  if (salt === undefined) return undefined
  const identity = linkIdentity(secret, salt)
  const fileKey = openHeader(header.header, identity)
  salt.fill(0)
  identity.fill(0)
  return fileKey
}

/** Subject and attachments; undefined when they were changed. */
export function openMeta({ binding, header }: Letter, fileKey: Buffer): Meta | undefined {
  const clear = openBox(metaKey(fileKey), header.meta, metaBinding(binding.letter))
  return clear && (JSON.parse(clear.toString()) as Meta)
}

const isOpen = (state: string): state is (typeof openStates)[number] => openStates.some((one) => one === state)

const provenChannel = (assurance: string | null) => ['verified', 'authenticated', 'dane', 'pinned'].includes(assurance ?? '')

export const languagesOf = (list: string): LanguageName[] => list.split(',').flatMap((name) => languageNamed(name) ?? [])

const bindingOf = (row: LetterRow, payloadSha256: string): Binding => ({
  letter: row.id,
  message: row.message,
  recipient: row.recipient,
  address: row.address,
  proof: proofNamed(row.proof),
  expiresAt: row.expires_at,
  payloadSha256,
  shown: {
    reference: row.reference,
    senderAddress: row.sender_address,
    senderName: row.sender_name,
    messageId: row.message_id,
    references: row.references_field,
    label: row.label,
    language: row.language,
    createdAt: row.created_at,
  },
})

/** Stands in for a letter that does not exist, so that looking for it costs as much. */
const nobody: LetterRow & HeaderRow = {
  id: '',
  reference: '',
  message: '',
  recipient: '',
  address: '',
  sender_address: '',
  sender_name: '',
  message_id: '',
  references_field: '',
  proof: 'code',
  label: '',
  language: '',
  created_at: 0,
  expires_at: 0,
  state: '',
  notice_assurance: null,
  kind: 'link',
  lookup: '',
  header: Buffer.alloc(168),
  salt_wrap: Buffer.alloc(60),
  meta: Buffer.alloc(100),
  signature: Buffer.alloc(64),
  payload_sha256: '',
  size: 0,
}
