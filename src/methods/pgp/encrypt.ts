/** Encrypting a stream to OpenPGP keys in a thread of its own; one message at a time, so that memory stays bounded. */
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { Worker } from 'node:worker_threads'
import type { Ciphertext } from './armor.ts'
import type { EncryptAnswer } from './encrypt-worker.ts'

export type Encryptor = {
  /**
   * Rejects with the source's error, or when the thread fails or takes longer than a minute and a second for each MiB: a fault of ours, to be
   * tried again.
   */
  readonly encrypt: (clear: Readable, keys: readonly string[], now: number) => Promise<Ciphertext>
}

/** How long one message may take: milliseconds at least, and for each MiB of it. */
export type Patience = { readonly least: number; readonly perMiB: number }

const usual: Patience = { least: 60_000, perMiB: 1000 }

/** The thread is started by the first message, and never keeps the process alive by itself. */
export function createEncryptor(patience = usual): Encryptor {
  let worker: Worker | undefined
  let turn: Promise<unknown> = Promise.resolve()
  let jobs = 0

  const started = (): Worker => {
    if (worker !== undefined) return worker
    const fresh = startWorker()
    // A thread that ends (out of memory) is replaced by the next message.
    fresh.on('error', () => {})
    fresh.once('exit', () => {
      if (worker === fresh) worker = undefined
    })
    worker = fresh
    return fresh
  }

  return {
    encrypt(clear, keys, now) {
      const fault = faultOf(clear)
      const result = turn.then(() => run(started(), { job: ++jobs, keys, now }, clear, { fault, patience }))
      turn = result.catch(() => undefined)
      return result
    },
  }
}

function startWorker(): Worker {
  // No environment: it may hold secrets that this thread has no use for.
  const worker = new Worker(import.meta.url.endsWith('.ts') ? fromSource() : new URL('./encrypt-worker.js', import.meta.url), {
    env: {},
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  })
  worker.unref()
  return worker
}

/** A thread does not inherit the loader that reads TypeScript in development and tests: it registers it again. */
function fromSource(): URL {
  const loader = import.meta.resolve('tsx/esm/api')
  const file = new URL('./encrypt-worker.ts', import.meta.url).href
  return new URL(`data:text/javascript,${encodeURIComponent(`import { register } from '${loader}'; register(); await import('${file}')`)}`)
}

type Job = { readonly job: number; readonly keys: readonly string[]; readonly now: number }

/** Remembers how a source failed, from now on: also while the message waits for its turn. */
function faultOf(source: Readable): () => Error | undefined {
  let fault = source.errored ?? undefined
  source.on('error', (error) => {
    fault ??= error
  })
  return () => fault
}

type Care = { readonly fault: () => Error | undefined; readonly patience: Patience }

async function run(worker: Worker, job: Job, clear: Readable, { fault, patience }: Care): Promise<Ciphertext> {
  // A destroyed stream would be taken for an empty one.
  if (clear.destroyed) throw fault() ?? new Error('the content was closed before it was encrypted')
  const listeners = new AbortController()
  const overdue = deadline(patience)
  worker.ref()
  try {
    return await new Promise<Ciphertext>((resolve, reject) => {
      const chunks: Uint8Array[] = []
      let end = 'the encrypting thread ended'
      overdue.begin(() => {
        // It may sit in a loop that never looks up: only its end helps. The next message starts another.
        end = 'the encrypting thread took too long and was ended'
        void worker.terminate()
      })
      hear(worker, listeners.signal, {
        message: (given: EncryptAnswer) => {
          if (given.job !== job.job) return
          if (given.kind === 'chunk') {
            chunks.push(given.bytes)
            overdue.extend(given.bytes.length)
          }
          // Half a message must never look like a whole one.
          else if (given.kind === 'done' && clear.readableEnded) resolve({ chunks, checksum: given.checksum })
          else if (given.kind === 'done') reject(fault() ?? new Error('the content was closed while it was encrypted'))
          else reject(fault() ?? new Error(`encrypting failed: ${given.text}`))
        },
        error: reject,
        exit: () => reject(fault() ?? new Error(end)),
      })
      const stream = Readable.toWeb(clear) as ReadableStream<Uint8Array>
      worker.postMessage({ ...job, clear: stream }, [stream as never])
    })
  } finally {
    overdue.end()
    listeners.abort()
    worker.unref()
    clear.destroy()
  }
}

/** A time limit that grows with what comes out; so nobody need say how large the message is. */
function deadline({ least, perMiB }: Patience) {
  const begun = performance.now()
  let allowed = least
  let timer: NodeJS.Timeout | undefined
  const begin = (late: () => void) => {
    const left = begun + allowed - performance.now()
    timer = left <= 0 ? undefined : setTimeout(() => begin(late), left)
    if (left <= 0) late()
  }
  return {
    begin,
    extend: (bytes: number) => {
      allowed += (bytes / (1024 * 1024)) * perMiB
    },
    end: () => clearTimeout(timer),
  }
}

/** Listen until the signal. */
function hear(
  worker: Worker,
  until: AbortSignal,
  on: { message: (given: EncryptAnswer) => void; error: (error: Error) => void; exit: () => void },
) {
  for (const [event, listener] of Object.entries(on)) {
    worker.on(event, listener)
    until.addEventListener('abort', () => worker.off(event, listener))
  }
}
