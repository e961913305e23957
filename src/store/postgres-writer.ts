/** Runs one group of writes as one PostgreSQL transaction, in two round trips, and says exactly what became of it. */
import { randomBytes } from 'node:crypto'
import type { Client, QueryResult } from 'pg'
import { type Row, type Statement, unexpected } from './db.ts'
import { troubleOf } from './postgres-errors.ts'
import { type Prepared, prepared } from './postgres-values.ts'

/** One write, ready to be sent. */
export type Asked = { readonly statements: readonly Statement[]; readonly prepared: readonly Prepared[] }

/** What became of a group. Only after `unknown` may it have been committed without our knowing. */
export type Outcome =
  /** Committed: the rows of each statement of each write. */
  | { readonly kind: 'done'; readonly answers: Row[][][] }
  /** Not committed: one of its statements fails, or touches other rows than expected. */
  | { readonly kind: 'wrong'; readonly error: unknown }
  /** Not committed, through no fault of its own. */
  | { readonly kind: 'again'; readonly error: unknown }
  /** The connection was lost during the commit; `committed(mark)` asks. */
  | { readonly kind: 'unknown'; readonly error: unknown; readonly mark: number; readonly answers: Row[][][] }

export type Writer = {
  /** Throws when a value cannot be sent: a bug of ours. */
  readonly prepare: (statements: readonly Statement[]) => Asked
  /** Never rejects. */
  readonly attempt: (group: readonly Asked[]) => Promise<Outcome>
  /** Whether the commit with this mark, the last one, has happened. Rejects when the server cannot be asked. */
  readonly committed: (mark: number) => Promise<boolean>
  readonly close: () => Promise<void>
}

/**
 * Writes follow one another, those of all processes: each transaction first takes this lock of its database. So a write means what it means
 * with SQLite; no two can block each other or have to be undone because they met. The width lost is won back by writing for many at once.
 */
export const writeLock = 'SELECT pg_advisory_xact_lock(7817844250)' // any number that nobody else uses in this database

/** Where each process counts its commits: its row tells whether one whose answer was lost has happened. */
export const commitMarks = `CREATE TABLE IF NOT EXISTS commit_mark
  (writer TEXT PRIMARY KEY, mark BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL) WITH (fillfactor = 10)`
export const forgetOldMarks = "DELETE FROM commit_mark WHERE at < now() - INTERVAL '7 days'"

/** `connect` gives a connection in pipeline mode; it is called again whenever one was lost. */
export function openWriter(connect: () => Promise<Client>): Writer {
  const name = randomBytes(8).toString('hex')
  let mark = 0
  let client: Client | undefined

  const connected = async (): Promise<Client> => {
    if (client) return client
    const fresh = await connect()
    const forget = () => {
      if (client === fresh) client = undefined
    }
    fresh.on('end', forget)
    fresh.on('error', forget)
    client = fresh
    return fresh
  }
  const drop = async () => {
    const lost = client
    client = undefined
    await lost?.end().catch(() => {})
  }
  const rolledBack = async (on: Client, error: unknown): Promise<Outcome> => {
    const trouble = troubleOf(error)
    if (trouble === 'lost') throw error
    await on.query('ROLLBACK')
    return { kind: trouble === 'wrong' ? 'wrong' : 'again', error }
  }
  const commit = async (on: Client, answers: Row[][][]): Promise<Outcome> => {
    const now = ++mark
    try {
      await on.query(`INSERT INTO commit_mark VALUES ('${name}', ${now}, now())
        ON CONFLICT (writer) DO UPDATE SET mark = excluded.mark, at = excluded.at; COMMIT`)
      return { kind: 'done', answers }
    } catch (error) {
      if (troubleOf(error) !== 'lost') return rolledBack(on, error)
      await drop()
      return { kind: 'unknown', error, mark: now, answers }
    }
  }
  const attempt = async (group: readonly Asked[]): Promise<Outcome> => {
    const on = await connected()
    const sent = inOnePiece(on, () => [
      on.query(`BEGIN ISOLATION LEVEL READ COMMITTED; ${writeLock}`),
      ...group.flatMap((asked) => asked.prepared.map((statement) => on.query<Row>(statement))),
    ])
    const [begun, ...results] = await Promise.allSettled(sent)
    if (begun?.status === 'rejected') return rolledBack(on, begun.reason)
    const answered = read(group, results)
    return 'error' in answered ? rolledBack(on, answered.error) : commit(on, answered.answers)
  }
  return {
    prepare: (statements) => ({ statements, prepared: statements.map(prepared) }),
    attempt: async (group) => {
      try {
        return await attempt(group)
      } catch (error) {
        await drop() // with the connection ends the transaction
        return { kind: 'again', error }
      }
    },
    committed: async (wanted) => {
      try {
        const on = await connected()
        // The lock is held by a commit that is still under way: we wait for its end.
        await on.query(`BEGIN; ${writeLock}`)
        const { rows } = await on.query<{ mark: string }>(`SELECT mark FROM commit_mark WHERE writer = '${name}'`)
        await on.query('COMMIT')
        return Number(rows[0]?.mark ?? 0) === wanted
      } catch (error) {
        await drop()
        throw error
      }
    },
    close: async () => {
      if (mark > 0) await client?.query(`DELETE FROM commit_mark WHERE writer = '${name}'`).catch(() => {})
      await drop()
    },
  }
}

/** What is sent meanwhile goes out at once: a packet for each statement would cost us a system call, and the server a wakening, for each. */
function inOnePiece<T>({ connection: { stream } }: Client, send: () => T): T {
  stream.cork()
  try {
    return send()
  } finally {
    stream.uncork()
  }
}

/**
 * The rows of every statement, or the first thing that went wrong: a statement that finds other rows than expected comes before the failures
 * of those sent after it.
 */
function read(
  group: readonly Asked[],
  results: readonly PromiseSettledResult<QueryResult<Row>>[],
): { readonly answers: Row[][][] } | { readonly error: unknown } {
  const lost = results.find((result) => result.status === 'rejected' && troubleOf(result.reason) === 'lost')
  if (lost?.status === 'rejected') return { error: lost.reason }
  let at = 0
  const answers: Row[][][] = []
  for (const { statements } of group) {
    const rows: Row[][] = []
    for (const statement of statements) {
      const result = results[at++]
      if (result?.status !== 'fulfilled') return { error: result?.reason }
      const error = unexpected(statement, result.value.rowCount ?? 0)
      if (error) return { error }
      rows.push(result.value.rows)
    }
    answers.push(rows)
  }
  return { answers }
}
