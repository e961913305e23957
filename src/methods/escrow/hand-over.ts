/** Makes a letter openable by a new link and four words, which its sender is mailed to give to the reader. */
import { randomBytes } from 'node:crypto'
import { entry } from '../../audit/audit.ts'
import { expecting, type Statement, sql } from '../../store/db.ts'
import type { Parts as MethodParts } from '../method.ts'
import { type Binding, signLetter } from './binding.ts'
import { noticeLetter } from './codes.ts'
import { bury, destroyKeys } from './expiry.ts'
import { insertHeader, openLetter, openMeta, sealHeader } from './header.ts'
import type { Letter } from './letter.ts'
import { composeHandOver } from './notice.ts'
import { mixPhrase, newPhrase, phraseSaltLength } from './passphrase.ts'
import { decodeSecret, newSecret } from './secret.ts'

type Parts = Pick<MethodParts, 'db' | 'keyring' | 'spool' | 'settings' | 'clock'>

/**
 * All statements but those that take the notice back: header, salt and signature anew for a new link and the words, and the mail with both to
 * the sender. Fenced by what was seen of the letter. No copy of link or words is kept. `secret` is the sender's link as text, `session` the
 * sender's own. Undefined when that link does not open the letter.
 */
export async function prepareHandOver(
  parts: Parts,
  letter: Letter,
  { secret, session }: { readonly secret: string; readonly session: string },
): Promise<Statement[] | undefined> {
  const { keyring, spool, clock, db } = parts
  const fileKey = openLetter(keyring, letter, decodeSecret(secret) ?? Buffer.alloc(0))
  const meta = fileKey && openMeta(letter, fileKey)
  if (fileKey === undefined || meta === undefined) return undefined
  const [words, link] = [newPhrase(), newSecret()]
  const binding: Binding = { ...letter.binding, proof: 'passphrase', shown: { ...letter.binding.shown, label: 'handed-over' } }
  const phrase = await phraseLock(words)
  const headers = [
    sealHeader(keyring, fileKey, binding, { kind: 'link', secret: link, meta, phrase }),
    // The sender's link stays as it is: by it the letter can still be cancelled.
    sealHeader(keyring, fileKey, binding, { kind: 'sender', secret, meta }),
  ]
  for (const key of [fileKey, phrase.mixed]) key.fill(0)
  const [former] = await db.read<{ lookup: string }>(
    sql`SELECT lookup FROM letter_header WHERE letter = ${binding.letter} AND kind = 'link'`,
  )
  const mail = spool.draft(await composeHandOver(parts, noticeLetter(letter), { secret: link, words }))
  const id = binding.letter
  return [
    // The header that was seen: of two presses at once the later one would make the link in the other's mail a dead one.
    expecting(1, sql`DELETE FROM letter_header WHERE letter = ${id} AND kind = 'sender' AND salt_wrap = ${letter.header.saltWrap}`),
    ...destroyKeys(id, session),
    ...headers.map((header) => insertHeader(id, header, signLetter(keyring, binding, header))),
    bury(parts, former?.lookup ?? '', { kind: 'superseded', outside: { ...letter.outside, state: 'superseded' } }),
    ...statesOf(letter, binding, clock()),
    ...mail.statements,
    entry(clock(), {
      ...{ actor: 'sender', action: 'letter.handed-over', object: id },
      detail: { to: binding.address, sender: binding.shown.senderAddress, proof: binding.proof },
    }),
  ]
}

async function phraseLock(words: string): Promise<{ salt: Buffer; mixed: Buffer }> {
  const salt = randomBytes(phraseSaltLength)
  const mixed = await mixPhrase(words, salt)
  if (mixed === undefined) throw new Error('too many passphrases are being made or tried just now')
  return { salt, mixed }
}

const statesOf = ({ outside }: Letter, { letter, recipient, proof, shown }: Binding, now: number): Statement[] => [
  expecting(
    1,
    sql`UPDATE letter SET proof = ${proof}, label = ${shown.label}, state = 'notified', notified_at = ${now}, notice_assurance = NULL
      WHERE id = ${letter} AND state = ${outside.state} AND ended_at IS NULL`,
  ),
  sql`UPDATE recipient SET state = 'letter-notified', proof = ${proof} WHERE id = ${recipient} AND state IN ('letter-waiting', 'letter-notified')`,
]
