/** Remembers when the clock was last believed: entries made meanwhile carry a wrong time themselves. */
import { type Db, sql } from '../store/db.ts'

/** Milliseconds since 1970; undefined where nothing was noted yet. */
export async function lastSeen(db: Db): Promise<number | undefined> {
  const [row] = await db.read<{ seen_at: number | null }>(sql`SELECT seen_at FROM installation`)
  return row?.seen_at ?? undefined
}

/** Note that it was `now`; only while the clock is believed. */
export async function noteTime(db: Db, now: number): Promise<void> {
  await db.write(sql`UPDATE installation SET seen_at = ${now}`)
}
