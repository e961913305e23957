/** Encrypting a stream to OpenPGP keys in a thread of its own; one message at a time, so that memory stays bounded. */
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { Worker } from 'node:worker_threads'
import type { EncryptAnswer } from './encrypt-worker.ts'

export type Encryptor = {
  /** The binary ciphertext in chunks. Rejects with the source's error, or when the thread fails: a fault of ours, to be tried again. */
  readonly encrypt: (clear: Readable, keys: readonly string[], now: number) => Promise<Uint8Array[]>
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
      const result = turn.then(() => run(started(), { job: ++jobs, keys, now }, clear))
      turn = result.catch(() => undefined)
      return result
    },
  }
}

function startWorker(): Worker {
  // Compiled and source file differ in their ending only; under a loader the thread inherits it by execArgv.
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`./encrypt-worker.${ending}`, import.meta.url))
  worker.unref()
  return worker
}

type Job = { readonly job: number; readonly keys: readonly string[]; readonly now: number }

async function run(worker: Worker, job: Job, clear: Readable): Promise<Uint8Array[]> {
  let sourceError: Error | undefined
  clear.once('error', (error) => {
    sourceError = error
  })
  const listeners = new AbortController()
  worker.ref()
  try {
    return await new Promise<Uint8Array[]>((resolve, reject) => {
      const chunks: Uint8Array[] = []
      hear(worker, listeners.signal, {
        message: (given: EncryptAnswer) => {
          if (given.job !== job.job) return
          if (given.kind === 'chunk') chunks.push(given.bytes)
          else if (given.kind === 'done') resolve(chunks)
          else reject(sourceError ?? new Error(`encrypting failed: ${given.text}`))
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
