/** Makes a restored database harmless: what waited when the backup was made may have been delivered since, so nothing leaves by itself. */
import { entry } from '../audit/audit.ts'
import { type Db, type Statement, sql } from '../store/db.ts'
import type { Manifest } from './manifest.ts'

export type HeldBack = {
  /** Recipients that wait for an operator's word. */
  readonly held: number
  /** Recipients, of these or held before, whose message nobody can open. */
  readonly unreadable: number
  /** Recipients whose message was done while the backup was made. */
  readonly done: number
}

export type Restored = {
  readonly manifest: Pick<Manifest, 'madeAt' | 'gone' | 'version'>
  /** Epochs whose keys are there. */
  readonly epochs: readonly string[]
  readonly actor: string
  /** Milliseconds since 1970. */
  readonly now: number
}

const pages = 500

/** Hold everything that waits, end sessions, codes and API tokens, and tell the audit. All of it is one write. */
export async function holdBack(db: Db, { manifest, epochs, actor, now }: Restored): Promise<HeldBack> {
  const from = `the backup of ${new Date(manifest.madeAt).toISOString().slice(0, 19).replace('T', ' ')}Z`
  const held = await count(db, sql`SELECT COUNT(*) AS count FROM recipient WHERE state = 'waiting'`)
  const unreadable = await unreadableMessages(db, epochs)
  const done = manifest.gone
  const counted = {
    held,
    unreadable: await recipientsOf(db, unreadable),
    done: await recipientsOf(db, done),
  }
  const statements = [
    hold(`restored from ${from}: it may have been delivered since; \`letterlock queue release --reason restored\` sends it`),
    ...inPages(unreadable, (ids) =>
      mark(
        ids,
        'content-damaged',
        `held: restored from ${from}, which lacks the key of its hour: nobody can open it; \`letterlock queue bounce --reason content-damaged\` returns it to its sender`,
      ),
    ),
    ...inPages(done, (ids) =>
      mark(ids, 'content-damaged', `held: it was delivered or returned while ${from} was made; its content is not in the backup`),
    ),
    // What was opened then must not be open now: a session or a code of that time may be in other hands.
    sql`DELETE FROM portal_session`,
    sql`UPDATE code SET spent = 1 WHERE spent = 0`,
    // One that was revoked since would be good again.
    sql`UPDATE api_token SET revoked_at = ${now} WHERE revoked_at IS NULL`,
    sql`DELETE FROM api_answer`,
    entry(now, {
      actor,
      action: 'backup.restored',
      object: new Date(manifest.madeAt).toISOString(),
      detail: { text: `restored from ${from}`, version: manifest.version, ...counted },
    }),
  ]
  await db.write(...statements)
  return counted
}

/** What was in doubt stays so: it must never be sent another way. */
const hold = (why: string): Statement =>
  sql`UPDATE recipient SET state = 'held', reason = CASE WHEN reason = 'in-doubt' THEN reason ELSE 'restored' END, last_reply = ${why}, claimed_until = 0, fence = fence + 1 WHERE state = 'waiting'`

function mark(ids: readonly string[], reason: 'content-damaged', why: string): Statement {
  const places = ids.map((_, index) => `$${index + 3}`).join(', ')
  const text = `UPDATE recipient SET reason = $1, last_reply = $2 WHERE state IN ('waiting', 'held') AND message IN (${places})`
  return { text, values: [reason, why, ...ids] }
}

/** Messages that wait or are held, under a key that is not there. */
async function unreadableMessages(db: Db, epochs: readonly string[]): Promise<string[]> {
  const rows = await db.read<{ id: string; epoch: string | null }>(sql`SELECT id, epoch FROM message
    WHERE EXISTS (SELECT 1 FROM recipient WHERE recipient.message = message.id AND state IN ('waiting', 'held'))`)
  return rows.filter(({ epoch }) => epoch === null || !epochs.includes(epoch)).map(({ id }) => id)
}

async function recipientsOf(db: Db, messages: readonly string[]): Promise<number> {
  let sum = 0
  for (const { text, values } of inPages(messages, (ids) => ({
    text: `SELECT COUNT(*) AS count FROM recipient WHERE state IN ('waiting', 'held') AND message IN (${ids.map((_, at) => `$${at + 1}`).join(', ')})`,
    values: [...ids],
  })))
    sum += await count(db, { text, values })
  return sum
}

const count = async (db: Db, statement: Statement): Promise<number> => (await db.read<{ count: number }>(statement))[0]?.count ?? 0

/** Statements for at most some hundred ids each: engines limit the number of parameters. */
function inPages(ids: readonly string[], statement: (ids: readonly string[]) => Statement): Statement[] {
  const made: Statement[] = []
  for (let at = 0; at < ids.length; at += pages) made.push(statement(ids.slice(at, at + pages)))
  return made
}
