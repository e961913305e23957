/** Counts that outlive the program: added to in the same write as what they count. */
import { type Count, isCounter } from '../ops/counters.ts'
import { type Db, type Row, type Statement, sql, type Value } from './db.ts'

/**
 * The statements that add these counts; put them in the same write as what they count: then a crash or a lost claim neither loses nor doubles
 * one. Equal ones are added up, and all go in one order, so that no two writers can wait for each other.
 */
export function count(counts: readonly Count[]): Statement[] {
  const sums = new Map<string, readonly [name: string, labels: string, by: number]>()
  for (const { name, labels, by } of counts) {
    const text = JSON.stringify(labels)
    const key = `${name} ${text}`
    sums.set(key, [name, text, by + (sums.get(key)?.[2] ?? 0)])
  }
  const rows = [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  return Array.from({ length: Math.ceil(rows.length / atOnce) }, (_, i) => adding(rows.slice(i * atOnce, (i + 1) * atOnce)))
}

/** Rows of a statement at most: there is one text for each number of rows, and each is prepared once. */
const atOnce = 4

function adding(rows: readonly (readonly Value[])[]): Statement {
  return { text: texts[rows.length - 1] ?? '', values: rows.flat() }
}

const texts = Array.from({ length: atOnce }, (_, last) => {
  const rows = Array.from({ length: last + 1 }, (_, i) => `($${3 * i + 1}, $${3 * i + 2}, $${3 * i + 3})`)
  return `INSERT INTO counter (name, labels, count) VALUES ${rows.join(', ')}
    ON CONFLICT (name, labels) DO UPDATE SET count = counter.count + excluded.count`
})

/** All that was counted since the database was made. What only a newer version counts is left out. */
export async function readCounts(db: Db): Promise<Count[]> {
  const rows = await db.read<Row & { name: string; labels: string; count: number }>(sql`SELECT name, labels, count FROM counter`)
  return rows.flatMap(({ name, labels, count: by }) =>
    isCounter(name) ? [{ name, labels: JSON.parse(labels) as Count['labels'], by }] : [],
  )
}
