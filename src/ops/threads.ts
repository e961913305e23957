/** A few threads for work that would hold up everybody: one job each at a time, within limits; one that breaks them is ended and replaced. */
import { availableParallelism } from 'node:os'
import { parentPort, type TransferListItem, Worker } from 'node:worker_threads'

/** `too-much`: the job was ended because it took more than it may, or was not begun because too many wait. `broken`: it failed. */
export type Ran<Result> =
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'too-much'; readonly because: 'time' | 'memory' | 'queue' }
  /** `because`: the name of the error, no text of it: that may quote the content. */
  | { readonly kind: 'broken'; readonly because: string }

export type Threads<Job, Result> = {
  /** Never rejects. What is in `transfer` is handed over, not copied. `time` in milliseconds, instead of the usual limit. */
  readonly run: (job: Job, more?: { readonly transfer?: readonly TransferListItem[]; readonly time?: number }) => Promise<Ran<Result>>
  /** What is under way is broken off, what waits is not begun. */
  readonly close: () => Promise<void>
}

export type ThreadLimits = {
  /** Default: one for each core, at most 4. */
  readonly threads?: number
  /** Jobs that may wait for a thread. */
  readonly waiting: number
  /** Milliseconds that a job may take once it has a thread. */
  readonly time: number
  /** MB of heap of a thread; the bytes of buffers lie outside. */
  readonly memory: number
}

/** Milliseconds that a thread may take to start, and that one stays without work. */
const patience = { start: 30_000, idle: 60_000 }

/**
 * Threads that run `script`, the URL of a .ts file that calls `serveJobs`; compiled, of the .js beside it. None runs before the first job, and
 * none keeps the program alive by itself. They see no environment, which may hold secrets.
 */
export function createThreads<Job, Result>(script: URL, limits: ThreadLimits): Threads<Job, Result> {
  const all = new Set<Worker>()
  const idle: { readonly thread: Worker; readonly timer: NodeJS.Timeout }[] = []
  const turns = createTurns(limits.threads ?? Math.min(4, availableParallelism()), limits.waiting)
  let closed = false

  const discard = async (thread: Worker) => {
    all.delete(thread)
    await thread.terminate()
  }

  const start = async (): Promise<Worker | Ran<never>> => {
    const thread = newThread(script, limits.memory)
    all.add(thread)
    thread.once('exit', () => all.delete(thread))
    const ready = await nextAnswer(thread, patience.start)
    if (ready.kind === 'done' && !closed) return thread
    await discard(thread)
    return ready.kind === 'done' ? isClosed : ready
  }

  const rest = (thread: Worker) => {
    const end = () => {
      idle.splice(
        idle.findIndex((one) => one.thread === thread),
        1,
      )
      void discard(thread)
    }
    idle.push({ thread, timer: setTimeout(end, patience.idle).unref() })
  }

  /** A thread that rests is used again; one that ended meanwhile is not. */
  const wake = (): Worker | undefined => {
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      clearTimeout(last.timer)
      if (all.has(last.thread)) return last.thread
    }
    return undefined
  }

  const run: Threads<Job, Result>['run'] = async (job, { transfer = [], time = limits.time } = {}) => {
    if (!(await turns.take())) return closed ? isClosed : { kind: 'too-much', because: 'queue' }
    try {
      const thread = closed ? isClosed : (wake() ?? (await start()))
      if ('kind' in thread) return thread
      thread.postMessage(job, transfer)
      const ran = await nextAnswer<Result>(thread, time)
      // After a failure its memory is not to be trusted.
      if (ran.kind === 'done' && !closed) rest(thread)
      else await discard(thread)
      return ran
    } finally {
      turns.giveBack()
    }
  }

  const close = async () => {
    closed = true
    turns.close()
    for (const { timer } of idle) clearTimeout(timer)
    await Promise.all([...all].map(discard))
  }
  return { run, close }
}

const isClosed = { kind: 'broken', because: 'closed' } as const

/** What a thread says: that it is ready, or how its job went. */
type Said = { readonly done: unknown } | { readonly failed: string }

/** In a thread's script: answer every job with what `work` makes of it; a rejection ends the thread. `transfer` is handed over with the result. */
export function serveJobs<Job, Result>(work: (job: Job) => Promise<{ readonly result: Result; readonly transfer?: TransferListItem[] }>) {
  const port = parentPort
  if (port === null) throw new Error('this file runs in a worker thread only')
  const say = (said: Said, transfer: TransferListItem[] = []) => port.postMessage(said, transfer)
  port.on('message', (job: Job) => {
    work(job).then(
      ({ result, transfer }) => say({ done: result }, transfer),
      (error: unknown) => say({ failed: error instanceof Error ? error.name : 'unknown' }),
    )
  })
  say({ done: 'ready' })
}

function nextAnswer<Result>(thread: Worker, limit: number): Promise<Ran<Result>> {
  return new Promise((resolve) => {
    const settle = (ran: Ran<Result>) => {
      clearTimeout(timer)
      thread.off('message', hear).off('error', broken).off('exit', ended)
      thread.unref()
      resolve(ran)
    }
    const hear = (said: Said) =>
      settle('done' in said ? { kind: 'done', result: said.done as Result } : { kind: 'broken', because: said.failed })
    const broken = (error: Error & { readonly code?: unknown }) =>
      settle(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? { kind: 'too-much', because: 'memory' } : { kind: 'broken', because: error.name })
    const ended = () => settle({ kind: 'broken', because: 'the thread ended' })
    const timer = setTimeout(() => settle({ kind: 'too-much', because: 'time' }), limit)
    thread.ref()
    thread.on('message', hear).on('error', broken).on('exit', ended)
  })
}

/** So many at once, and so many more that wait, in order. */
function createTurns(most: number, mostWaiting: number) {
  const waiting: ((mine: boolean) => void)[] = []
  let taken = 0
  return {
    take: (): Promise<boolean> => {
      if (taken < most) {
        taken += 1
        return Promise.resolve(true)
      }
      if (waiting.length >= mostWaiting) return Promise.resolve(false)
      return new Promise((resolve) => waiting.push(resolve))
    },
    giveBack: () => {
      const next = waiting.shift()
      if (next !== undefined) next(true)
      else taken -= 1
    },
    close: () => {
      for (const next of waiting.splice(0)) next(false)
    },
  }
}

/** Start a thread that runs `script` (see createThreads), with `memory` MB of heap. What ends it is told to its listeners, and ends nothing else. */
export function newThread(script: URL, memory: number): Worker {
  const given = { resourceLimits: { maxOldGenerationSizeMb: memory, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 }, env: {} }
  const thread = import.meta.url.endsWith('.ts')
    ? new Worker(fromSource(script), { ...given, eval: true })
    : new Worker(new URL(script.href.replace(/\.ts$/, '.js')), given)
  // An error while nobody listens would end the program.
  thread.on('error', () => undefined)
  return thread
}

/** A thread does not inherit the loader that reads TypeScript in development and tests: it registers it again. */
const fromSource = (script: URL): string =>
  `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => { register(); return import(${JSON.stringify(script.href)}) })`
