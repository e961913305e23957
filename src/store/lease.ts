/** Work for one process at a time among all that share a database: whoever holds the lease does it, and a lease lapses by itself. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../ops/clock.ts'
import { type Db, sql } from './db.ts'

export type Lease = {
  /** Whether the work is ours now; takes the lease when it is free. Rejects only when the database does. */
  readonly held: () => Promise<boolean>
  /** Let others have it at once. Never rejects. */
  readonly release: () => Promise<void>
}

/** Renewed when less than this part of it is left. */
const renewAt = 0.5

/**
 * The lease `name`, held for `length` milliseconds at a time; the only process of an SQLite database always holds it. A process that was
 * stopped may think for a moment that it still does: what it writes must say what it expects, as everywhere.
 */
export function openLease(db: Db, name: string, { clock, length }: { readonly clock: Clock; readonly length: number }): Lease {
  if (!db.engine.shared) return { held: async () => true, release: async () => {} }
  const holder = randomBytes(8).toString('hex')
  let until = 0
  const free = async (now: number): Promise<boolean> => {
    const [row] = await db.read<{ holder: string; until: number }>(sql`SELECT holder, until FROM lease WHERE name = ${name}`)
    return row === undefined || row.holder === holder || row.until <= now
  }
  return {
    held: async () => {
      const now = clock()
      // A clock that was set back must not make us hold it for days.
      if (until - now > renewAt * length && until - now <= length) return true
      if (!(await free(now))) return false
      const [rows] = await db.write(sql`INSERT INTO lease (name, holder, until) VALUES (${name}, ${holder}, ${now + length})
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE lease.holder = excluded.holder OR lease.until <= ${now} RETURNING until`)
      until = rows?.length === 1 ? now + length : 0
      return until > 0
    },
    release: async () => {
      if (until === 0) return
      until = 0
      await db.write(sql`DELETE FROM lease WHERE name = ${name} AND holder = ${holder}`).catch(() => undefined)
    },
  }
}
