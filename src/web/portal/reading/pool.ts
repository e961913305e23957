/** Two worker threads with limits of time and memory: a hostile mail costs a worker, never the process. */
import { Worker } from 'node:worker_threads'
import type { Job, JobAnswer } from './content.ts'

const most = 2
const mostWaiting = 64

export type Pool = {
  /** Never rejects: too slow, too hungry, too busy or broken is `unreadable`. */
  readonly run: (job: Job) => Promise<JobAnswer>
  readonly close: () => Promise<void>
}

/** `time`: milliseconds that a mail may take. `memory`: MB of heap; bytes of mails lie outside. */
export type Limits = { readonly time: number; readonly memory: number }

export const usualLimits: Limits = { time: 2000, memory: 160 }

/** No thread runs before the first job. */
export function createPool({ time, memory }: Limits): Pool {
  const idle: Worker[] = []
  const all = new Set<Worker>()
  const waiting: ((worker: Worker | undefined) => void)[] = []
  let closed = false

  const borrow = (): Promise<Worker | undefined> => {
    const free = idle.pop()
    if (free) return Promise.resolve(free)
    if (all.size < most) return start()
    if (closed || waiting.length >= mostWaiting) return Promise.resolve(undefined)
    return new Promise((resolve) => waiting.push(resolve))
  }

  const start = async (): Promise<Worker | undefined> => {
    const worker = newWorker(memory)
    all.add(worker)
    worker.once('exit', () => all.delete(worker))
    const ready = await nextAnswer(worker, 30_000)
    if (ready.kind === 'ready' && !closed) return worker
    await discard(worker)
    return undefined
  }

  const discard = async (worker: Worker): Promise<void> => {
    all.delete(worker)
    await worker.terminate()
  }

  const giveBack = (worker: Worker): void => {
    const next = waiting.shift()
    if (next) next(worker)
    else idle.push(worker)
  }

  const run = async (job: Job): Promise<JobAnswer> => {
    const worker = closed ? undefined : await borrow()
    if (!worker) return { kind: 'unreadable', because: 'busy' }
    worker.postMessage(job, [job.bytes])
    const answer = await nextAnswer(worker, time)
    if (answer.kind !== 'unreadable') {
      giveBack(worker)
      return answer
    }
    // After a failure its memory is not to be trusted: a fresh one serves whoever waits.
    await discard(worker)
    const next = waiting.shift()
    if (next) next(closed ? undefined : await start())
    return answer
  }

  const close = async (): Promise<void> => {
    closed = true
    for (const next of waiting.splice(0)) next(undefined)
    await Promise.all([...all].map(discard))
  }

  return { run, close }
}

function nextAnswer(worker: Worker, limit: number): Promise<JobAnswer> {
  return new Promise((resolve) => {
    const settle = (answer: JobAnswer) => {
      clearTimeout(timer)
      worker.off('message', settle).off('error', broken).off('exit', ended)
      worker.unref()
      resolve(answer)
    }
    const broken = (error: Error) => settle({ kind: 'unreadable', because: 'code' in error ? String(error.code) : error.name })
    const ended = () => settle({ kind: 'unreadable', because: 'worker ended' })
    const timer = setTimeout(() => settle({ kind: 'unreadable', because: 'too slow' }), limit)
    worker.ref()
    worker.on('message', settle).on('error', broken).on('exit', ended)
  })
}

/** Compiled: the .js beside this file. From source: a worker does not inherit `--import tsx`, so it registers the loader itself. */
function newWorker(memory: number): Worker {
  const environment = { resourceLimits: { maxOldGenerationSizeMb: memory, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 }, env: {} }
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url), environment)
  const source = JSON.stringify(new URL('./worker.ts', import.meta.url).href)
  const script = `import('tsx/esm/api').then(({ register }) => { register(); return import(${source}) })`
  return new Worker(script, { ...environment, eval: true })
}
