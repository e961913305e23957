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

type DueRow = { id: string; recipient: string; address: string; read_at: number | null }
const tombstoneLife = 7 * day

/**
 * End every letter past its date, and clear away what is left of ended letters, sessions and codes. Returns how many ended. A letter whose
 * notice waits is left a day longer: delivery gives the notice up now, tells the sender and ends the letter.
 */
export async function expireLetters(parts: ExpiryParts): Promise<number> {
  const { db, clock } = parts
  let ended = 0
  for (;;) {
    const due = await db.read<DueRow>(sql`SELECT id, recipient, address, read_at FROM letter
      WHERE ended_at IS NULL AND expires_at <= ${clock()}
        AND (state <> 'waiting' OR expires_at <= ${clock() - day}) LIMIT 100`)
    if (due.length === 0) break
    for (const letter of due) ended += await expireOne(parts, letter)
  }
  const forgotten = await forgetPayloads(parts)
  await clearAway(parts)
  if (ended + forgotten > 0) await db.scrub()
  return ended
}

async function expireOne(parts: ExpiryParts, { id, recipient, address, read_at: readAt }: DueRow): Promise<number> {
  const now = parts.clock()
  try {
    await parts.db.write(
      ...(await ending(parts, { id, recipient }, 'expired')),
      entry(now, { actor: 'system', action: 'letter.expired', object: id, detail: { to: address, read: readAt !== null } }),
    )
    return 1
  } catch (error) {
    if (error instanceof Unexpected) return 0 // somebody else ended it
    throw error
  }
}

/**
 * The statements that end a letter: fenced, so that it ends but once. Its headers go, and each of its links says for a while what became of it.
 * `keep`: the session in which it is ended, which is to say so.
 */
export async function ending(
  parts: Omit<ExpiryParts, 'spool'>,
  { id, recipient }: { readonly id: string; readonly recipient: string },
  kind: 'expired' | 'recalled',
  keep = '',
): Promise<Statement[]> {
  const headers = await parts.db.read<{ kind: string; lookup: string }>(sql`SELECT kind, lookup FROM letter_header WHERE letter = ${id}`)
  const link = headers.find((header) => header.kind === 'link')
  const found = link && (await readLetter(parts, link.lookup))
  const outside = found?.kind === 'letter' ? { ...found.letter.outside, state: kind } : undefined
  return [
    expecting(1, sql`UPDATE letter SET state = ${kind}, ended_at = ${parts.clock()} WHERE id = ${id} AND ended_at IS NULL`),
    sql`UPDATE recipient SET state = ${`letter-${kind}`} WHERE id = ${recipient} AND state LIKE 'letter-%'`,
    ...destroyKeys(id, keep),
    ...(outside ? headers.map(({ lookup }) => bury(parts, lookup, { kind, outside })) : []),
  ]
}

/** Everything with which the letter could be opened. */
export const destroyKeys = (letter: string, keep: string): Statement[] => [
  sql`DELETE FROM letter_header WHERE letter = ${letter}`,
  sql`DELETE FROM portal_session WHERE letter = ${letter} AND id <> ${keep}`,
  sql`DELETE FROM code WHERE letter = ${letter}`,
]

/** What a link says for seven days after it has ended. */
export function bury({ keyring, clock }: Pick<ExpiryParts, 'keyring' | 'clock'>, lookup: string, ended: Ended): Statement {
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
