/** A letter's rows: sealed for one recipient over the message's file key, and read back only when nothing in them was changed. */
import { entry } from '../../audit/audit.ts'
import { maskAddress } from '../../mail/address.ts'
import { newId, newReference } from '../../mail/id.ts'
import type { Keyring } from '../../seal/keyring.ts'
import { type Db, type Statement, sql } from '../../store/db.ts'
import { type Binding, type BoundHeader, type Proof, proofNamed, signLetter, verifyLetter } from './binding.ts'
import { insertHeader, type Meta, sealHeader } from './header.ts'
import { type LetterLabel, labelShown } from './label.ts'
import { type LanguageName, languageNamed } from './notice-text.ts'
import { type LinkKind, newSecret } from './secret.ts'

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
  /** What is asked for besides the link. */
  readonly asks: Proof
  readonly language?: LanguageName
}

export { openLetter, openMeta } from './header.ts'

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
  /** Milliseconds since 1970; null: not yet. */
  readonly times: { readonly notifiedAt: number | null; readonly readAt: number | null }
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
  const header = sealHeader(keyring, fileKey, binding, { kind: 'link', secret, meta })
  const signature = signLetter(keyring, binding, header)
  return { id: binding.letter, reference, secret, statements: letterRows(binding, header, signature) }
}

function letterRows(binding: Binding, header: BoundHeader, signature: Buffer): Statement[] {
  const { letter, message, recipient, address, proof, expiresAt, shown } = binding
  return [
    sql`INSERT INTO letter (id, reference, message, recipient, address, sender_address, sender_name, message_id, references_field, proof,
        label, language, created_at, expires_at, state)
      VALUES (${letter}, ${shown.reference}, ${message}, ${recipient}, ${address}, ${shown.senderAddress}, ${shown.senderName},
        ${shown.messageId}, ${shown.references}, ${proof}, ${shown.label}, ${shown.language}, ${shown.createdAt}, ${expiresAt}, 'waiting')`,
    insertHeader(letter, header, signature),
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
  notified_at: number | null
  read_at: number | null
}
type HeaderRow = {
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
export async function readLetter(
  { db, keyring }: { readonly db: Db; readonly keyring: Keyring },
  lookup: string,
  kind: LinkKind = 'link',
): Promise<LetterFound> {
  const [row] = await db.read<LetterRow & HeaderRow>(sql`
    SELECT letter.*, letter_header.lookup, letter_header.header, letter_header.salt_wrap, letter_header.meta,
      letter_header.signature, content.payload_sha256, message.size
    FROM letter_header JOIN letter ON letter.id = letter_header.letter
      LEFT JOIN content ON content.message = letter.message LEFT JOIN message ON message.id = letter.message
    WHERE letter_header.lookup = ${lookup} AND letter_header.kind = ${kind}`)
  const seen = row ?? nobody
  const binding = bindingOf(seen, seen.payload_sha256 ?? '')
  const header = { kind, lookup: seen.lookup, header: seen.header, saltWrap: seen.salt_wrap, meta: seen.meta }
  const sound = verifyLetter(keyring, binding, header, seen.signature)
  if (row === undefined) return { kind: 'none' }
  if (!sound || !isOpen(row.state)) return { kind: 'altered', id: row.id }
  return { kind: 'letter', letter: letterOf(row, binding, header, row.state) }
}

function letterOf(row: LetterRow & HeaderRow, binding: Binding, header: BoundHeader, state: LetterState): Letter {
  const outside = outsideOf(row, state)
  return { binding, header, outside, languages: languagesOf(row.language), size: row.size ?? 0, proof: outside.asks, times: timesOf(row) }
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
    asks: row.proof === 'link' && !provenChannel(row.notice_assurance) ? 'code' : proofNamed(row.proof),
    ...(language !== undefined && { language }),
  }
}

const timesOf = ({ notified_at, read_at }: LetterRow): Letter['times'] => ({ notifiedAt: notified_at, readAt: read_at })

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
  notified_at: null,
  read_at: null,
  lookup: '',
  header: Buffer.alloc(168),
  salt_wrap: Buffer.alloc(60),
  meta: Buffer.alloc(100),
  signature: Buffer.alloc(64),
  payload_sha256: '',
  size: 0,
}
