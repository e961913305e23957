/** The database as the rest of the house sees it: two functions, one SQL text for SQLite and PostgreSQL. */
import type { Engine } from './engine.ts'

/** One SQL text that both engines accept, with its parameters ($1, $2 …). */
export type Statement = {
  readonly text: string
  readonly values: readonly Value[]
  readonly expect?: number
  /** See `deletingSealed`. */
  readonly sealed?: true
  /** See `plannedAnew`. */
  readonly anew?: true
}
export type Value = string | number | bigint | Buffer | Uint8Array | null
export type Row = Record<string, unknown>

/** Build a Statement: sql`SELECT * FROM message WHERE id = ${id}`. Values never become SQL text. */
export function sql(parts: TemplateStringsArray, ...values: Value[]): Statement {
  const text = texts.get(parts) ?? parts.reduce((before, part, i) => `${before}$${i}${part}`)
  texts.set(parts, text)
  return { text, values }
}

/** Each place in the source has one text. */
const texts = new WeakMap<TemplateStringsArray, string>()

/** The same statement, but the whole write rolls back unless it touches (or returns) exactly `rows` rows: fencing. */
export const expecting = (rows: number, statement: Statement): Statement => ({ ...statement, expect: rows })

/**
 * The same statement, which deletes only what is sealed and whose key goes with it: nobody can read that, so its pages need not be overwritten,
 * as the files of larger contents are not.
 */
export const deletingSealed = (statement: Statement): Statement => ({ ...statement, sealed: true })

/**
 * The same statement, which joins a table that grows quickly: a plan made while it was small (PostgreSQL keeps those of our statements) would
 * read all of it.
 */
export const plannedAnew = (statement: Statement): Statement => ({ ...statement, anew: true })

/** A write rolled back because a statement with `expect` touched another number of rows: somebody else was faster. */
export class Unexpected extends Error {
  override readonly name = 'Unexpected'
}

/**
 * The connection broke while a write was being committed, and the database could not be asked since: it may have been written, or not. Tell
 * nobody that it was; undo nothing that would be needed if it was.
 */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown'
}

/** The error for a statement that touched (or returned) another number of rows than it may; undefined when all is well. */
export function unexpected({ expect, text }: Statement, touched: number): Unexpected | undefined {
  if (expect === undefined || expect === touched) return undefined
  return new Unexpected(`expected ${expect} rows, found ${touched}: ${text.replace(/\s+/g, ' ').slice(0, 120)}`)
}

/**
 * A database. `write` runs all its statements in one transaction with nothing awaited in between; it resolves, with the rows that each
 * statement returned, once they would survive a power cut, and rejects (nothing written) with Unexpected or the engine's error, or with OutcomeUnknown. Writes
 * follow one another, those of other processes included: none sees another half done, and what a write has read still holds when it commits.
 * Numbers come back as JavaScript numbers, bytes as Buffer.
 */
export type Db = {
  readonly engine: Engine
  readonly read: <R extends Row>(statement: Statement) => Promise<R[]>
  readonly write: (...statements: Statement[]) => Promise<Row[][]>
  /**
   * Bring everything deleted or overwritten off the disk: the write-ahead log is emptied (SQLite, four times a second at most) or nothing is
   * done (PostgreSQL). Resolves when it was.
   */
  readonly scrub: () => Promise<void>
  /** Tell the other processes on this database that mail has become due; soon, not at once. Never rejects; nobody may hear it. */
  readonly wakeOthers: () => void
  /** Hear of what others told; until the returned function is called. */
  readonly onWake: (listener: () => void) => () => void
  readonly close: () => Promise<void>
}
