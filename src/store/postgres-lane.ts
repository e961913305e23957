/** The one lane on which a process writes to PostgreSQL: whoever waits shares a transaction, and a commit whose answer was lost is asked after. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { OutcomeUnknown, type Row, type Statement, Unexpected } from './db.ts'
import { PostgresError } from './postgres-errors.ts'
import { type Asked, type Outcome, openWriter } from './postgres-writer.ts'

export type Lane = {
  /** See Db.write. */
  readonly write: (statements: readonly Statement[]) => Promise<Row[][]>
  /** Resolves when everything asked for is answered and the connection is closed. */
  readonly close: () => Promise<void>
}

/** How many writes share a transaction at most. */
const groupLimit = 100
/** Between two tries when the server is away, milliseconds. */
const retryPause = 200

/** What one caller asked for, until when it may be tried (monotonic milliseconds), and how to answer. */
type Job = Asked & {
  readonly until: number
  readonly done: (rows: Row[][]) => void
  readonly fail: (error: unknown) => void
}

/** `patience`: milliseconds for which a write waits for a server that is away, or for others, before it rejects. */
export function openLane(connect: () => Promise<Client>, patience: number): Lane {
  const writer = openWriter(connect)
  let waiting: Job[] = []
  let running: Promise<void> | undefined
  let closing = false

  const run = async (jobs: readonly Job[]): Promise<void> => {
    const outcome = await ask(await writer.attempt(jobs), Math.max(...jobs.map(({ until }) => until)))
    switch (outcome.kind) {
      case 'done':
        for (const [i, job] of jobs.entries()) job.done(outcome.answers[i] ?? [])
        return
      case 'unknown':
        return failAll(
          jobs,
          new OutcomeUnknown('the connection to PostgreSQL broke while a write was being committed; whether it was is not known'),
        )
      case 'again':
        return later(jobs, outcome.error)
      case 'wrong':
        if (jobs.length === 1) return failAll(jobs, told(outcome.error))
        // Something in one of them is wrong: half of them at a time, so that the others lose little.
        await run(jobs.slice(0, Math.ceil(jobs.length / 2)))
        return run(jobs.slice(Math.ceil(jobs.length / 2)))
    }
  }
  /** A commit that may have happened must neither be done again nor be called failed before the server was asked. */
  const ask = async (outcome: Outcome, until: number): Promise<Outcome> => {
    if (outcome.kind !== 'unknown') return outcome
    for (;;) {
      const committed = await writer.committed(outcome.mark).catch(() => undefined)
      if (committed === true) return { kind: 'done', answers: outcome.answers }
      if (committed === false) return { kind: 'again', error: outcome.error }
      if (performance.now() >= until) return outcome
      await pause(retryPause)
    }
  }
  const later = async (jobs: readonly Job[], error: unknown): Promise<void> => {
    const now = performance.now()
    failAll(
      jobs.filter(({ until }) => until <= now),
      told(error),
    )
    waiting = [...jobs.filter(({ until }) => until > now), ...waiting]
    await pause(retryPause)
  }
  const runAll = async () => {
    while (waiting.length > 0) {
      const jobs = waiting.splice(0, groupLimit)
      // Not even begun: the times in it, such as the end of a claim, are no longer true. We may have been stopped for minutes.
      const late = jobs.filter(({ until }) => until <= performance.now())
      failAll(late, new PostgresError(new Error('a write waited for too long and was not begun')))
      const timely = jobs.filter((job) => !late.includes(job))
      if (timely.length > 0) await run(timely)
    }
    running = undefined
  }
  return {
    write: async (statements) => {
      if (closing) throw new Error('the database is closed')
      if (statements.length === 0) return []
      const asked = writer.prepare(statements)
      return new Promise<Row[][]>((done, fail) => {
        waiting.push({ ...asked, until: performance.now() + patience, done, fail })
        // All that is asked for in this turn of the event loop goes together.
        running ??= new Promise<void>((settled) => setImmediate(() => runAll().then(settled)))
      })
    },
    close: async () => {
      closing = true
      await running
      await writer.close()
    },
  }
}

const failAll = (jobs: readonly Job[], error: unknown): void => {
  for (const { fail } of jobs) fail(error)
}

const told = (error: unknown): unknown => (error instanceof Unexpected ? error : new PostgresError(error))
