/** The audit trail: entries written together with what they tell of, chained by hashes within a second. */

import { createHash } from 'node:crypto'
import { newId } from '../mail/id.ts'
import { failpoint } from '../ops/failpoint.ts'
import { type Db, expecting, plannedAnew, type Statement, sql, Unexpected, type Value } from '../store/db.ts'

export type AuditEntry = {
  /** `system`, `cli:user`, `portal`, an SMTP user … */
  readonly actor: string
  /** `message.accepted`, `recipient.delivered`, `letter.read`, `policy.applied` … */
  readonly action: string
  /** What it happened to: an id, an address, a revision. */
  readonly object: string
  /** Never content, subject, code, secret or password. */
  readonly detail: { readonly [name: string]: unknown }
}

/** The statement that records an entry; put it in the same write as the change itself. `now` in milliseconds. */
export function entry(now: number, { actor, action, object, detail }: AuditEntry): Statement {
  return sql`INSERT INTO audit (id, at, actor, action, object, detail)
    VALUES (${newId()}, ${now}, ${actor}, ${action}, ${object}, ${JSON.stringify(detail)})`
}

type ChainedRow = { id: string; at: number; actor: string; action: string; object: string; detail: string; seq: number; hash: string }
const chunk = 500
/** Entries that one statement gives their numbers. */
const atOnce = 50

/**
 * Give every entry without a number the next one, and the hash over itself and its predecessor. Two sequencers cannot
 * both win: `seq` is unique. Returns how many were chained.
 */
export async function chainEntries(db: Db): Promise<number> {
  const fresh = await db.read<ChainedRow>(sql`SELECT * FROM audit WHERE seq IS NULL ORDER BY at, id LIMIT ${chunk}`)
  if (fresh.length === 0) return 0
  const [last] = await db.read<ChainedRow>(sql`SELECT * FROM audit WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1`)
  let { seq, hash } = last ?? { seq: 0, hash: '' }
  const linked = fresh.map((row): Linked => {
    seq += 1
    hash = link(hash, row)
    return [row.id, seq, hash]
  })
  const statements = Array.from({ length: Math.ceil(linked.length / atOnce) }, (_, i) =>
    numbering(linked.slice(i * atOnce, (i + 1) * atOnce)),
  )
  failpoint('audit.before-chaining')
  await db.write(...statements)
  failpoint('audit.chained')
  return fresh.length
}

type Linked = readonly [id: string, seq: number, hash: string]

/** An entry that has a number already is not given another: then somebody else was faster, and nothing is written. */
function numbering(linked: readonly Linked[]): Statement {
  const rows = linked.map((_, i) => `($${3 * i + 1}, $${3 * i + 2}, $${3 * i + 3})`)
  const text = `WITH linked (id, seq, hash) AS (VALUES ${rows.join(', ')})
    UPDATE audit SET seq = linked.seq, hash = linked.hash FROM linked WHERE audit.id = linked.id AND audit.seq IS NULL`
  return expecting(linked.length, plannedAnew({ text, values: linked.flatMap((one): Value[] => [...one]) }))
}

export type Sequencer = { readonly stop: () => Promise<void> }

/**
 * Chain new entries every `interval` milliseconds until stopped; what is left is chained at the next start. `mine` tells whether it is for this
 * process to do, among those that share the database.
 */
export function startSequencer(
  db: Db,
  {
    interval = 1000,
    failed,
    mine = async () => true,
  }: { interval?: number; failed: (error: unknown) => void; mine?: () => Promise<boolean> },
): Sequencer {
  let running: Promise<void> = Promise.resolve()
  const round = async () => {
    try {
      if (!(await mine())) return
      while ((await chainEntries(db)) === chunk);
    } catch (error) {
      if (!(error instanceof Unexpected)) failed(error)
    }
  }
  const timer = setInterval(() => {
    running = running.then(round)
  }, interval)
  timer.unref()
  return {
    stop: async () => {
      clearInterval(timer)
      await running
      await round()
    },
  }
}

export type Verified =
  | { readonly kind: 'sound'; readonly entries: number }
  | { readonly kind: 'broken'; readonly seq: number; readonly text: string }

/**
 * Recompute the whole chain: an edited, deleted or reordered entry is named by its number. `rows` are read at a time; `between` is awaited after
 * each such reading.
 */
export async function verifyChain(
  db: Db,
  { rows: most = 1000, between = async () => {} }: { readonly rows?: number; readonly between?: () => Promise<void> } = {},
): Promise<Verified> {
  let hash = ''
  let seq = 0
  for (;;) {
    const rows = await db.read<ChainedRow>(sql`SELECT * FROM audit WHERE seq > ${seq} ORDER BY seq LIMIT ${most}`)
    if (rows.length === 0) return { kind: 'sound', entries: seq }
    for (const row of rows) {
      if (row.seq !== seq + 1) return { kind: 'broken', seq: seq + 1, text: `entry ${seq + 1} is missing` }
      hash = link(hash, row)
      if (row.hash !== hash) return { kind: 'broken', seq: row.seq, text: `entry ${row.seq} (${row.action}) was altered` }
      seq = row.seq
    }
    await between()
  }
}

const link = (previous: string, { id, at, actor, action, object, detail }: ChainedRow): string =>
  createHash('sha256')
    .update(JSON.stringify([previous, id, at, actor, action, object, detail]))
    .digest('hex')
