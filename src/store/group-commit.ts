/** Group commit: all writes asked for in one turn of the event loop share one transaction, hence one fsync. */

import type Database from 'better-sqlite3'
import { failpoint } from '../ops/failpoint.ts'
import { type Row, type Statement, unexpected } from './db.ts'
import { patiently } from './patience.ts'

/** What one statement did: the rows it returned, and how many it touched or returned. */
export type Ran = { readonly rows: Row[]; readonly touched: number }

export type Commits = {
  /** See Db.write. */
  readonly write: (statements: readonly Statement[]) => Promise<Row[][]>
  /** The same, answered by calling one of the two. Everybody of a group is answered in one go. */
  readonly ask: (job: Job) => void
  /** Resolves when nothing that was asked for before is still waiting. */
  readonly idle: () => Promise<void>
}

/** What one caller asked for, and how to answer. */
export type Job = {
  readonly statements: readonly Statement[]
  readonly done: (rows: Row[][]) => void
  readonly fail: (error: unknown) => void
}

/** Group the writes to `database`, whose statements are run by `run`. */
export function groupCommit(database: Database.Database, run: (statement: Statement) => Ran): Commits {
  const transaction = transactions(database)
  let waiting: Job[] = []
  let last = Promise.resolve()
  const take = () => {
    const jobs = waiting
    waiting = []
    return jobs
  }
  const flush = async () => {
    try {
      // Nothing is awaited between begin and commit; who came while we waited for the lock is taken along.
      await patiently(() => {
        transaction.begin()
        runGroup(take(), transaction, run)
      })
    } catch (error) {
      for (const job of take()) job.fail(error)
    }
  }
  const ask = (job: Job) => {
    if (waiting.push(job) > 1) return
    last = new Promise<void>((settled) => setImmediate(() => flush().then(settled)))
  }
  const write = (statements: readonly Statement[]) => new Promise<Row[][]>((done, fail) => ask({ statements, done, fail }))
  return { write, ask, idle: () => last }
}

/** Run every job in its savepoint, commit once, then answer all. Throws nothing: what goes wrong is told to the jobs. */
function runGroup(jobs: readonly Job[], transaction: Transaction, run: (statement: Statement) => Ran): void {
  const answers: (() => void)[] = []
  try {
    for (const job of jobs) answers.push(runJob(job, transaction, run))
    // A failed fsync makes COMMIT throw. SQLite then writes the same part of the log anew with the next commit and syncs that; it never
    // takes a second fsync of the old pages for success.
    failpoint('commit.before')
    transaction.commit()
    failpoint('commit.after')
  } catch (error) {
    // Should the roll back fail as well, nothing was committed all the same; the next group tries it again before it begins.
    attempt(transaction.rollBack)
    for (const job of jobs) job.fail(error)
    return
  }
  for (const answer of answers) answer()
}

/** For a clean-up whose failure changes no answer. */
function attempt(cleanUp: () => void): void {
  try {
    cleanUp()
  } catch {}
}

/** One write: all its statements or none. The answer is given after the commit, by calling what is returned. */
function runJob(job: Job, transaction: Transaction, run: (statement: Statement) => Ran): () => void {
  transaction.save()
  try {
    const rows = job.statements.map((statement) => {
      failpoint('commit.statement')
      return expected(statement, run(statement))
    })
    transaction.release()
    return () => job.done(rows)
  } catch (error) {
    // A full disk or an I/O error ends the whole transaction, with what other jobs did in it: then nobody may be told "done".
    if (!transaction.running()) throw error
    transaction.undo()
    return () => job.fail(error)
  }
}

function expected(statement: Statement, { rows, touched }: Ran): Row[] {
  const error = unexpected(statement, touched)
  if (error) throw error
  return rows
}

type Transaction = ReturnType<typeof transactions>

/** The words of a transaction, prepared once. IMMEDIATE: take the write lock at once, so that no statement finds it taken half-way. */
function transactions(database: Database.Database) {
  const [begin, commit, rollback] = [database.prepare('BEGIN IMMEDIATE'), database.prepare('COMMIT'), database.prepare('ROLLBACK')]
  const [save, release] = [database.prepare('SAVEPOINT write'), database.prepare('RELEASE write')]
  const undo = database.prepare('ROLLBACK TO write')
  return {
    begin: () => {
      if (database.inTransaction) rollback.run() // left open by a roll back that failed
      begin.run()
    },
    commit: () => void commit.run(),
    rollBack: () => void (database.inTransaction && rollback.run()),
    running: () => database.inTransaction,
    save: () => void save.run(),
    release: () => void release.run(),
    undo: () => {
      undo.run()
      release.run()
    },
  }
}
