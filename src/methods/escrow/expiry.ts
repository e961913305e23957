/** Ends letters: headers are deleted, the payload with the last of them, and for seven days the link says what became of it. */
import { entry } from '../../audit/audit.ts'
import type { Keyring } from '../../seal/keyring.ts'
import type { Spool } from '../../spool/spool.ts'
import { type Db, expecting, type Statement, sql, Unexpected } from '../../store/db.ts'
import { joined } from './binding.ts'
import { day } from './code.ts'
import { type LetterOutside, readLetter } from './letter.ts'
import { idleLife } from './session.ts'

export type ExpiryParts = { readonly db: Db; readonly keyring: Keyring; readonly spool: Spool; readonly clock: () => number }

/** What is shown of a letter that ended. */
export type Ended = { readonly kind: 'expired' | 'recalled' | 'superseded'; readonly outside: LetterOutside }

type DueRow = { id: string; recipient: string; address: string; read_at: number | null; lookup: string | null }
const tombstoneLife = 7 * day

/**
 * End every letter past its date, and clear away what is left of ended letters, sessions and codes. Returns how many ended. A letter whose
 * notice waits is left a day longer: delivery gives the notice up now, tells the sender and ends the letter.
 */
export async function expireLetters(parts: ExpiryParts): Promise<number> {
  const { db, clock } = parts
  let ended = 0
  for (;;) {
    const due = await db.read<DueRow>(sql`SELECT letter.id, letter.recipient, letter.address, letter.read_at, letter_header.lookup
      FROM letter LEFT JOIN letter_header ON letter_header.letter = letter.id
      WHERE letter.ended_at IS NULL AND letter.expires_at <= ${clock()}
        AND (letter.state <> 'waiting' OR letter.expires_at <= ${clock() - day}) LIMIT 100`)
    if (due.length === 0) break
    for (const letter of due) ended += await expireOne(parts, letter)
  }
  const forgotten = await forgetPayloads(parts)
  await clearAway(parts)
  if (ended + forgotten > 0) await db.scrub()
  return ended
}

async function expireOne(parts: ExpiryParts, { id, recipient, address, read_at: readAt, lookup }: DueRow): Promise<number> {
  const now = parts.clock()
  const found = lookup === null ? undefined : await readLetter(parts, lookup)
  const tombstone =
    found?.kind === 'letter' ? [bury(parts, lookup ?? '', { kind: 'expired', outside: { ...found.letter.outside, state: 'expired' } })] : []
  try {
    await parts.db.write(
      expecting(1, sql`UPDATE letter SET state = 'expired', ended_at = ${now} WHERE id = ${id} AND ended_at IS NULL`),
      sql`UPDATE recipient SET state = 'letter-expired' WHERE id = ${recipient} AND state LIKE 'letter-%'`,
      ...destroyKeys(id),
      ...tombstone,
      entry(now, { actor: 'system', action: 'letter.expired', object: id, detail: { to: address, read: readAt !== null } }),
    )
    return 1
  } catch (error) {
    if (error instanceof Unexpected) return 0 // somebody else ended it
    throw error
  }
}

/** Everything with which the letter could be opened. */
const destroyKeys = (letter: string): Statement[] => [
  sql`DELETE FROM letter_header WHERE letter = ${letter}`,
  sql`DELETE FROM portal_session WHERE letter = ${letter}`,
  sql`DELETE FROM code WHERE letter = ${letter}`,
]

function bury({ keyring, clock }: ExpiryParts, lookup: string, ended: Ended): Statement {
  const shown = JSON.stringify(ended)
  const endsAt = clock() + tombstoneLife
  const { id } = ended.outside
  return sql`INSERT INTO letter_tombstone (lookup, letter, shown, ends_at, signature)
    VALUES (${lookup}, ${id}, ${shown}, ${endsAt}, ${keyring.sign(stone(lookup, id, shown, endsAt))})`
}

/** What became of the letter with this look-up; undefined when nothing is known, or no longer. */
export async function readTombstone({ db, keyring, clock }: Omit<ExpiryParts, 'spool'>, lookup: string): Promise<Ended | undefined> {
  const [row] = await db.read<{ letter: string; shown: string; ends_at: number; signature: Buffer }>(
    sql`SELECT * FROM letter_tombstone WHERE lookup = ${lookup}`,
  )
  if (row === undefined || row.ends_at <= clock()) return undefined
  return keyring.verify(stone(lookup, row.letter, row.shown, row.ends_at), row.signature) ? (JSON.parse(row.shown) as Ended) : undefined
}

const stone = (lookup: string, letter: string, shown: string, endsAt: number): Buffer =>
  joined('letterlock tombstone v1', lookup, letter, shown, String(endsAt))

/** Payloads of ended letters that no co-recipient needs; also those left by a crash or a bounced notice. */
async function forgetPayloads({ db, spool }: ExpiryParts): Promise<number> {
  const rows = await db.read<{
    message: string
  }>(sql`SELECT DISTINCT letter.message FROM letter JOIN content ON content.message = letter.message
    WHERE letter.ended_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM letter AS other WHERE other.message = letter.message AND other.ended_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM recipient WHERE recipient.message = letter.message AND recipient.state IN ('waiting', 'held'))`)
  for (const { message } of rows) await spool.forget(message)
  return rows.length
}

async function clearAway({ db, clock }: ExpiryParts): Promise<void> {
  const now = clock()
  await db.write(
    sql`DELETE FROM letter_tombstone WHERE ends_at <= ${now}`,
    sql`DELETE FROM portal_session WHERE ends_at <= ${now} OR seen_at <= ${now - idleLife}`,
    sql`DELETE FROM code WHERE asked_at <= ${now - day}`,
    sql`DELETE FROM code_try WHERE at <= ${now - 2 * day}`,
  )
}
