/** Seals large contents in a thread of its own: ours serves the network meanwhile. */
import { newThread } from '../ops/threads.ts'
import type { Asked, Sealed } from './sealing-thread-worker.ts'

/** One content being sealed. After a rejection nothing more can be done with it but `drop`. */
export type DistantSealer = {
  /** The memory below `clear` is handed over, all of it: it is empty afterwards. Answers the payload so far as it was not answered before. */
  readonly push: (clear: Buffer) => Promise<Buffer>
  /** The rest of the payload, and the SHA-256 of all of it, as hex. */
  readonly end: () => Promise<{ readonly sealed: Buffer; readonly sha256: string }>
  /** It will not be ended; of no effect when it was. */
  readonly drop: () => void
}

/** Begins the content of a file key. Never seal two contents under one. */
export type Sealing = (fileKey: Buffer) => DistantSealer

/** Milliseconds that the thread stays without work. */
const idle = 60_000
/** MB of heap; the bytes of buffers lie outside. */
const memory = 64

const ownScript = new URL('./sealing-thread-worker.ts', import.meta.url)

/** The thread starts with the first content, ends when there was none for a minute, and a new one follows one that broke. It keeps no program alive. */
export function sealInThread(script = ownScript): Sealing {
  let thread: Thread | undefined
  return (fileKey) => {
    if (thread === undefined || thread.ended()) thread = startThread(script)
    return thread.begin(fileKey)
  }
}

type Thread = { readonly begin: Sealing; readonly ended: () => boolean }
type Waiting = { readonly done: (sealed: Sealed) => void; readonly fail: (error: Error) => void }

function startThread(script: URL): Thread {
  const worker = newThread(script, memory)
  const open = new Set<number>()
  let waiting: Waiting[] = []
  let broken: Error | undefined
  let contents = 0
  let timer: NodeJS.Timeout | undefined
  worker.unref()
  // Answers come in the order of what was asked.
  worker.on('message', (sealed: Sealed) => {
    waiting.shift()?.done(sealed)
    if (waiting.length === 0) worker.unref()
  })
  const end = (why: string) => {
    broken ??= new Error(`the thread that seals content ended: ${why}`)
    for (const { fail } of waiting) fail(broken)
    waiting = []
  }
  worker.once('error', (error) => end(error.message)).once('exit', () => end('it was stopped'))
  // All answers after one that is missing would go to the wrong content.
  worker.once('messageerror', () => {
    end('an answer could not be read')
    void worker.terminate()
  })
  const ask = (asked: Asked, transfer: ArrayBuffer[] = []) =>
    new Promise<Sealed>((done, fail) => {
      if (broken !== undefined) return fail(broken)
      waiting.push({ done, fail })
      worker.ref()
      worker.postMessage(asked, transfer)
    })
  const rest = () => {
    end('nothing was to be sealed')
    void worker.terminate()
  }
  const close = (content: number) => {
    if (open.delete(content) && open.size === 0) timer = setTimeout(rest, idle).unref()
  }
  const begin: Sealing = (fileKey) => {
    clearTimeout(timer)
    const content = contents++
    open.add(content)
    const key = Uint8Array.from(fileKey)
    worker.postMessage({ kind: 'begin', content, fileKey: key } satisfies Asked, [key.buffer])
    return {
      push: async (clear) => bytes(await ask({ kind: 'push', content, clear }, [clear.buffer as ArrayBuffer])),
      end: async () => {
        const sealed = await ask({ kind: 'end', content }).finally(() => close(content))
        return { sealed: bytes(sealed), sha256: sealed.sha256 ?? '' }
      },
      drop: () => {
        if (open.has(content)) worker.postMessage({ kind: 'drop', content } satisfies Asked)
        close(content)
      },
    }
  }
  return { begin, ended: () => broken !== undefined }
}

const bytes = ({ sealed }: Sealed): Buffer => Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
