/** Waits for something for a bounded time, by a clock that nobody can set. */
import { setTimeout as pause } from 'node:timers/promises'

/** True when `work` ended within so many milliseconds; false when it goes on. Rejects as it does. */
export async function within(milliseconds: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController()
  const late = pause(milliseconds, false, { signal: timer.signal })
  late.catch(() => undefined)
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    timer.abort()
  }
}
