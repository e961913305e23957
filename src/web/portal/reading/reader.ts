/** Reads opened letters for the pages, and remembers what it made of them while they are read. */
import type { Readable } from 'node:stream'
import { createThreads, type ThreadLimits, type Threads } from '../../../ops/threads.ts'
import type { Job, LetterContent } from './content.ts'
import { skeletonOf } from './skeleton.ts'

export type Reader = {
  /**
   * What the page shows of a mail. `key` names the session; the answer is kept under it until `forget`, 30 idle minutes, or until others
   * need the room.
   */
  readonly letter: (key: string, content: () => Readable) => Promise<LetterContent | 'unreadable'>
  readonly forget: (key: string) => void
  readonly close: () => Promise<void>
}

const room = 64 * 1024 * 1024
const idle = 30 * 60_000
/** Mails being read at once: each needs up to 16 MB. */
const atOnce = 3
const mostWaiting = 100
/** With the bytes of a mail, which lie outside the heap, a thread stays within 256 MB. */
const usualLimits: ThreadLimits = { threads: 2, waiting: atOnce, time: 2000, memory: 160 }

/** `clock` in milliseconds; `report` hears why a mail could not be read, in a word. */
export function createReader(parts: { clock: () => number; report: (because: string) => void; limits?: Partial<ThreadLimits> }): Reader {
  const script = new URL('./worker.ts', import.meta.url)
  const threads = createThreads<Job, LetterContent>(script, { ...usualLimits, ...parts.limits })
  const turns = createTurns(atOnce, mostWaiting)
  const kept = createShelf(parts.clock)
  const pending = new Map<string, Promise<LetterContent | 'unreadable'>>()

  const read = async (key: string, content: () => Readable): Promise<LetterContent | 'unreadable'> => {
    const answer = await turns(() => parse(threads, content))
    if (answer === undefined || typeof answer === 'string') {
      parts.report(answer ?? 'busy')
      return 'unreadable'
    }
    kept.put(key, answer)
    return answer
  }

  const letter = (key: string, content: () => Readable) => {
    const known = kept.get(key)
    if (known) return Promise.resolve(known)
    const running = pending.get(key) ?? read(key, content).finally(() => pending.delete(key))
    pending.set(key, running)
    return running
  }

  return { letter, forget: kept.remove, close: threads.close }
}

/** The letter, or in a word why there is none. */
async function parse(threads: Threads<Job, LetterContent>, content: () => Readable): Promise<LetterContent | string> {
  try {
    const skeleton = await skeletonOf(content())
    if (skeleton === undefined) return 'too many parts'
    const ran = await threads.run(skeleton, { transfer: [skeleton.bytes] })
    if (ran.kind === 'done') return ran.result
    return ran.kind === 'too-much' ? `too much ${ran.because}` : ran.because
  } catch {
    // What the vault stored was altered, or the disk fails: its own log says which.
    return 'content damaged'
  }
}

/** Runs at most so many at once; undefined for one that would be too far back in the queue. */
function createTurns(most: number, mostWaiting: number) {
  const waiting: (() => void)[] = []
  let running = 0
  return async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (running >= most) {
      if (waiting.length >= mostWaiting) return undefined
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else running += 1
    try {
      return await work()
    } finally {
      // The turn is handed on, or ends.
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}

type Shelf = {
  get: (key: string) => LetterContent | undefined
  put: (key: string, content: LetterContent) => void
  remove: (key: string) => void
}

/** The least recently used leaves first; nothing larger than a quarter of the room is kept at all. */
function createShelf(clock: () => number): Shelf {
  const items = new Map<string, { content: LetterContent; weight: number; seen: number }>()
  let weight = 0
  const remove = (key: string) => {
    weight -= items.get(key)?.weight ?? 0
    items.delete(key)
  }
  const sweep = () => {
    // Oldest first, as a Map keeps the order of insertion and `get` inserts anew.
    for (const [key, item] of items) {
      if (weight <= room && item.seen + idle > clock()) return
      remove(key)
    }
  }
  const put = (key: string, content: LetterContent) => {
    remove(key)
    const size = 2 * ((content.html?.length ?? 0) + content.text.length) + 10_000
    if (size > room / 4) return
    items.set(key, { content, weight: size, seen: clock() })
    weight += size
    sweep()
  }
  const get = (key: string) => {
    sweep()
    const item = items.get(key)
    if (!item) return undefined
    items.delete(key)
    items.set(key, { ...item, seen: clock() })
    return item.content
  }
  return { get, put, remove }
}
