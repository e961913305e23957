/** Reads how much waits, since when, and how letters stand: cheap enough to be asked every few seconds with 100,000 waiting. */
import type { Count } from '../ops/counters.ts'
import type { Figures } from '../ops/metrics.ts'
import { readCounts } from '../store/count.ts'
import { type Db, plannedAnew, type Row, sql } from '../store/db.ts'

/** `now` in milliseconds. Rejects as the database does. */
export async function readFigures(db: Db, now: number): Promise<Figures> {
  const [counts, waiting, held, letters] = await Promise.all([
    readCounts(db),
    // By indexes alone (migrations 0014 and 0015); ids of messages sort by the time of their acceptance.
    db.read<Standing>(plannedAnew(sql`SELECT COUNT(*) AS count, MIN(message) AS oldest FROM recipient WHERE state = 'waiting'`)),
    db.read<Standing>(plannedAnew(sql`SELECT COUNT(*) AS count, MIN(message) AS oldest FROM recipient WHERE state = 'held'`)),
    db.read<Letters>(plannedAnew(sql`SELECT state, COUNT(*) AS count FROM letter WHERE ended_at IS NULL GROUP BY state`)),
  ])
  const oldest = waiting[0]?.oldest ?? undefined
  return {
    counts: counts satisfies readonly Count[],
    queue: { waiting: waiting[0]?.count ?? 0, held: held[0]?.count ?? 0 },
    oldest: oldest === undefined ? 0 : await ageOf(db, oldest, now),
    letters: Object.fromEntries(letterStates.map((state) => [state, letters.find((row) => row.state === state)?.count ?? 0])),
  }
}

type Standing = Row & { count: number; oldest: string | null }
type Letters = Row & { state: string; count: number }

/** Those of letters that can still be opened. */
const letterStates = ['waiting', 'notified', 'read'] as const

/** Milliseconds since the message was accepted; 0 when it is gone meanwhile, or the clock was set back. */
async function ageOf(db: Db, message: string, now: number): Promise<number> {
  const [row] = await db.read<{ accepted_at: number }>(sql`SELECT accepted_at FROM message WHERE id = ${message}`)
  return Math.max(0, now - (row?.accepted_at ?? now))
}
