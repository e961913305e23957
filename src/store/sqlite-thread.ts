/** Writes to SQLite in a thread of its own: ours receives and delivers mail while a commit syncs, and what comes meanwhile is the next group. */
import Database from 'better-sqlite3'
import { armedFailpoint } from '../ops/failpoint.ts'
import { newThread } from '../ops/threads.ts'
import { OutcomeUnknown, type Row, type Statement } from './db.ts'
import type { Job } from './group-commit.ts'
import { type Answer, type Asked, isValue, type Opening, type Outcome, packer, unpackOutcome } from './sqlite-messages.ts'
import type { Writer } from './sqlite-writer.ts'

/** MB of heap, as much as a program has: beyond it the engine's answers would end the whole program. */
const memory = 2048

const ownScript = new URL('./sqlite-thread-worker.ts', import.meta.url)

/** Bytes that may be with the thread at once. While a disk hangs mail still comes in here: it is refused once nobody can say how much it will be. */
const mostAsked = 128 * 1024 * 1024

/**
 * A writer of the file at `path`, which is there. What is asked for in one turn of the event loop goes over together; the thread starts with the
 * first, and a new one with the first after it broke. `script`: what the thread runs. While more than `most` bytes are asked for, a write rejects
 * with SQLITE_BUSY.
 */
export function writeInThread(path: string, { script = ownScript, most = mostAsked } = {}): Writer {
  let thread: Thread | undefined
  let waiting: Job[] = []
  let asked = 0
  const running = () => {
    if (thread === undefined || thread.ended()) thread = startThread(path, script)
    return thread
  }
  const post = () => {
    const jobs = waiting
    waiting = []
    if (jobs.length === 0) return
    try {
      running().write(jobs)
    } catch (error) {
      // No memory for them, or for a thread: nothing went over.
      for (const job of jobs) job.fail(error)
    }
  }
  const accepted = (statements: readonly Statement[]) =>
    new Promise<Row[][]>((done, fail) => {
      if (waiting.push({ statements, done, fail }) === 1) setImmediate(post)
    })
  const write = async (statements: readonly Statement[]) => {
    if (!statements.every(({ values }) => values.every(isValue))) throw new TypeError('a value is no number, text, bytes or null')
    if (asked > most) throw new Database.SqliteError('too much waits to be written: the disk is too slow, or hangs', 'SQLITE_BUSY')
    const size = sizeOf(statements)
    asked += size
    try {
      return await accepted(statements)
    } finally {
      asked -= size
    }
  }
  return {
    write,
    emptyLog: async () => {
      post()
      await running().emptyLog()
    },
    close: async () => {
      post()
      if (thread !== undefined && !thread.ended()) await thread.close()
    },
  }
}

/** Bytes, about. */
function sizeOf(statements: readonly Statement[]): number {
  let size = 0
  for (const { values } of statements) {
    size += 200
    for (const value of values) size += value instanceof Uint8Array ? value.byteLength : typeof value === 'string' ? value.length : 8
  }
  return size
}

type Thread = {
  readonly write: (jobs: readonly Job[]) => void
  readonly emptyLog: () => Promise<void>
  readonly close: () => Promise<void>
  readonly ended: () => boolean
}

function startThread(path: string, script: URL): Thread {
  const worker = newThread(script, memory)
  const pack = packer()
  const asked = new Map<number, readonly Job[]>()
  let ended = false
  let number = 0
  const opening: Opening = { path, failpoint: armedFailpoint() }
  worker.postMessage(opening)
  worker.on('message', (answers: readonly Answer[]) => {
    for (const { number, outcomes } of answers) {
      const jobs = asked.get(number) ?? []
      asked.delete(number)
      for (const [i, job] of jobs.entries()) settle(job, 'name' in outcomes ? outcomes : (outcomes[i] ?? unanswered))
    }
    if (asked.size === 0) worker.unref()
  })
  const end = (why: string) => {
    ended = true
    const error = new OutcomeUnknown(`the thread that writes the database ended: ${why}`)
    for (const job of [...asked.values()].flat()) job.fail(error)
    asked.clear()
  }
  worker.once('error', (error) => end(error.message)).once('exit', () => end('it was stopped'))
  const post = (question: Asked, jobs: readonly Job[], transfer: readonly ArrayBuffer[] = []) => {
    // It keeps the program alive only while somebody waits for it.
    if (asked.size === 0) worker.ref()
    asked.set(question.number, jobs)
    worker.postMessage(question, transfer)
  }
  const ask = (kind: 'empty-log' | 'close') =>
    new Promise<void>((resolve, fail) => {
      post({ kind, number: number++ }, [{ statements: [], done: () => resolve(), fail }])
    })
  return {
    write: (jobs) => {
      const packed = pack(jobs.map(({ statements }) => statements))
      post({ kind: 'write', number: number++, packed }, jobs, [packed.bytes.buffer as ArrayBuffer])
    },
    emptyLog: () => ask('empty-log'),
    close: async () => {
      await ask('close')
      await worker.terminate()
    },
    ended: () => ended,
  }
}

const unanswered = { name: 'Error', message: 'the thread that writes the database did not say what became of this', code: undefined }

function settle(job: Job, outcome: Outcome): void {
  try {
    job.done(unpackOutcome(outcome))
  } catch (error) {
    job.fail(error)
  }
}
