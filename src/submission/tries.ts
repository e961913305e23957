/** Counts failures by key in a sliding window, in memory: tries in flight count too, so that parallel guesses gain nothing. */
import type { Clock } from '../ops/clock.ts'

export type Tries = {
  /** Begin a try; undefined when the key has used up its tries, else a function to call with the result. */
  readonly begin: (key: string) => ((failed: boolean) => void) | undefined
  /** Failures of the key within the window. */
  readonly failures: (key: string) => number
  /** Milliseconds until the key may try again; 0: now. */
  readonly wait: (key: string) => number
}

/** `most` failures per `window` milliseconds; at most `keys` keys are remembered, the longest untouched are forgotten first. */
export function createTries({ clock, most, window, keys = 10_000 }: { clock: Clock; most: number; window: number; keys?: number }): Tries {
  const failedAt = new Map<string, number[]>()
  const flying = new Map<string, number>()

  const recent = (key: string) => (failedAt.get(key) ?? []).filter((at) => at > clock() - window)

  const remember = (key: string, times: number[]) => {
    failedAt.delete(key)
    if (times.length > 0) failedAt.set(key, times)
    const [oldest] = failedAt.keys()
    if (failedAt.size > keys && oldest !== undefined) failedAt.delete(oldest)
  }

  const fly = (key: string, by: 1 | -1) => {
    const now = (flying.get(key) ?? 0) + by
    if (now > 0) flying.set(key, now)
    else flying.delete(key)
  }

  return {
    begin: (key) => {
      if (recent(key).length + (flying.get(key) ?? 0) >= most) return undefined
      fly(key, 1)
      return (failed) => {
        fly(key, -1)
        if (failed) remember(key, [...recent(key), clock()])
      }
    },
    failures: (key) => recent(key).length,
    wait: (key) => {
      const times = recent(key)
      const first = times[times.length - most]
      return first === undefined ? 0 : Math.max(0, first + window - clock())
    },
  }
}
