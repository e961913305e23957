/** Work that many ask for is done once for all of them, and not again before a while has passed. */
import { setTimeout as pause } from 'node:timers/promises'

export type Gathered = {
  /** Resolves or rejects with a run of the work that began after this call. */
  readonly ask: () => Promise<void>
  /** Run at once what was asked for; resolves when nothing is under way. Later calls of `ask` do not wait either. */
  readonly finish: () => Promise<void>
}

/** `apart`: milliseconds from the end of a run to the beginning of the next. */
export function gathered(work: () => Promise<void>, apart: number): Gathered {
  const hurry = new AbortController()
  let last: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  let ended = Number.NEGATIVE_INFINITY

  const run = async () => {
    await last.catch(() => undefined)
    const wait = ended + apart - performance.now()
    if (wait > 0) await pause(wait, undefined, { signal: hurry.signal }).catch(() => undefined)
    if (next !== undefined) last = next
    next = undefined
    try {
      await work()
    } finally {
      ended = performance.now()
    }
  }
  return {
    ask: () => {
      next ??= run()
      return next
    },
    finish: async () => {
      hurry.abort()
      while (next !== undefined) await next.catch(() => undefined)
      await last.catch(() => undefined)
    },
  }
}
