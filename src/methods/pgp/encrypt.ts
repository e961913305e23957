/** Encrypting a stream to OpenPGP keys in a thread of its own; one message at a time, so that memory stays bounded. */
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { Worker } from 'node:worker_threads'
import type { Ciphertext } from './armor.ts'
import type { EncryptAnswer } from './encrypt-worker.ts'

export type Encryptor = {
  /** Rejects with the source's error, or when the thread fails: a fault of ours, to be tried again. */
  readonly encrypt: (clear: Readable, keys: readonly string[], now: number) => Promise<Ciphertext>
}

/** The thread is started by the first message, and never keeps the process alive by itself. */
export function createEncryptor(): Encryptor {
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
      const result = turn.then(() => run(started(), { job: ++jobs, keys, now }, clear, fault))
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

async function run(worker: Worker, job: Job, clear: Readable, fault: () => Error | undefined): Promise<Ciphertext> {
  // A destroyed stream would be taken for an empty one.
  if (clear.destroyed) throw fault() ?? new Error('the content was closed before it was encrypted')
  const listeners = new AbortController()
  worker.ref()
  try {
    return await new Promise<Ciphertext>((resolve, reject) => {
      const chunks: Uint8Array[] = []
      hear(worker, listeners.signal, {
        message: (given: EncryptAnswer) => {
          if (given.job !== job.job) return
          if (given.kind === 'chunk') chunks.push(given.bytes)
          // Half a message must never look like a whole one.
          else if (given.kind === 'done' && clear.readableEnded) resolve({ chunks, checksum: given.checksum })
          else if (given.kind === 'done') reject(fault() ?? new Error('the content was closed while it was encrypted'))
          else reject(fault() ?? new Error(`encrypting failed: ${given.text}`))
        },
        error: reject,
        exit: () => reject(new Error('the encrypting thread ended')),
      })
      const stream = Readable.toWeb(clear) as ReadableStream<Uint8Array>
      worker.postMessage({ ...job, clear: stream }, [stream as never])
    })
  } finally {
    listeners.abort()
    worker.unref()
    clear.destroy()
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
