/** The database as the rest of the house sees it: two functions, one SQL text for SQLite and PostgreSQL. */

/** One SQL text that both engines accept, with its parameters ($1, $2 …). */
export type Statement = { readonly text: string; readonly values: readonly Value[]; readonly expect?: number }
export type Value = string | number | bigint | Buffer | Uint8Array | null
export type Row = Record<string, unknown>

/** Build a Statement: sql`SELECT * FROM message WHERE id = ${id}`. Values never become SQL text. */
export function sql(parts: TemplateStringsArray, ...values: Value[]): Statement {
  return { text: parts.reduce((text, part, i) => `${text}$${i}${part}`), values }
}

/** The same statement, but the whole write rolls back unless it touches (or returns) exactly `rows` rows: fencing. */
export const expecting = (rows: number, statement: Statement): Statement => ({ ...statement, expect: rows })

/** A write rolled back because a statement with `expect` touched another number of rows: somebody else was faster. */
export class Unexpected extends Error {
  override readonly name = 'Unexpected'
}

/**
 * A database. `write` runs all its statements in one transaction with nothing awaited in between; it resolves, with the rows that each
 * statement returned, once they would survive a power cut, and rejects (nothing written) with Unexpected or the engine's error.
 * Numbers come back as JavaScript numbers, bytes as Buffer.
 */
export type Db = {
  readonly read: <R extends Row>(statement: Statement) => Promise<R[]>
  readonly write: (...statements: Statement[]) => Promise<Row[][]>
  /** Bring everything deleted or overwritten off the disk: the write-ahead log is emptied (SQLite) or nothing is done (PostgreSQL). */
  readonly scrub: () => Promise<void>
  readonly close: () => Promise<void>
}
