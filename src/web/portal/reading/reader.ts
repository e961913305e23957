/** Reads opened letters for the pages, and remembers what it made of them while they are read. */
import type { Readable } from 'node:stream'
import type { JobAnswer, LetterContent } from './content.ts'
import { createPool, type Limits, usualLimits } from './pool.ts'

/** A letter as the vault hands it out; `size` in bytes. */
export type Opened = { readonly size: number; readonly content: () => Readable }

export type Reader = {
  /** `key` names the session; an answer is kept under it until `forget`, 30 idle minutes, or until others need the room. */
  readonly letter: (key: string, opened: Opened) => Promise<LetterContent | 'unreadable'>
  readonly file: (opened: Opened, number: number) => Promise<{ name: string; bytes: Buffer } | 'unreadable' | 'no-such-file'>
  readonly forget: (key: string) => void
  readonly close: () => Promise<void>
}

const room = 64 * 1024 * 1024
const idle = 30 * 60_000

/** `clock` in milliseconds; `report` hears why a mail could not be read, in a word. */
export function createReader(parts: { clock: () => number; report: (because: string) => void; limits?: Limits }): Reader {
  const pool = createPool(parts.limits ?? usualLimits)
  const kept = createShelf(parts.clock)
  const pending = new Map<string, Promise<LetterContent | 'unreadable'>>()

  const read = async (key: string, opened: Opened): Promise<LetterContent | 'unreadable'> => {
    const bytes = await collect(opened)
    const answer: JobAnswer = bytes ? await pool.run({ kind: 'letter', bytes }) : { kind: 'unreadable', because: 'content damaged' }
    if (answer.kind === 'letter') {
      kept.put(key, answer.content)
      return answer.content
    }
    parts.report(answer.kind === 'unreadable' ? answer.because : answer.kind)
    return 'unreadable'
  }

  const letter = (key: string, opened: Opened) => {
    const known = kept.get(key)
    if (known) return Promise.resolve(known)
    const running = pending.get(key) ?? read(key, opened).finally(() => pending.delete(key))
    pending.set(key, running)
    return running
  }

  const file = async (opened: Opened, number: number) => {
    const bytes = await collect(opened)
    const answer: JobAnswer = bytes ? await pool.run({ kind: 'file', bytes, number }) : { kind: 'unreadable', because: 'content damaged' }
    if (answer.kind === 'file') return { name: answer.name, bytes: Buffer.from(answer.bytes) }
    if (answer.kind === 'unreadable') parts.report(answer.because)
    return answer.kind === 'no-such-file' ? 'no-such-file' : 'unreadable'
  }

  return { letter, file, forget: kept.remove, close: pool.close }
}

/** The content in one piece of memory that can be handed to a worker; undefined when it breaks or is not of the size it should be. */
async function collect(opened: Opened): Promise<ArrayBuffer | undefined> {
  const memory = new ArrayBuffer(opened.size)
  const bytes = new Uint8Array(memory)
  let at = 0
  try {
    for await (const chunk of opened.content() as AsyncIterable<Buffer>) {
      if (at + chunk.length > bytes.length) return undefined
      bytes.set(chunk, at)
      at += chunk.length
    }
  } catch {
    return undefined
  }
  return at === bytes.length ? memory : undefined
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
