/** Lets a few pieces of heavy work through at once, lets some wait, and turns the others away. */

/** Runs `work` when its turn comes; undefined when too many wait already. */
export type Turnstile = <T>(work: () => Promise<T>) => Promise<T | undefined>

export function createTurnstile({ atOnce, waiting }: { readonly atOnce: number; readonly waiting: number }): Turnstile {
  let running = 0
  const queue: (() => void)[] = []
  return async (work) => {
    if (queue.length >= waiting) return undefined
    if (running >= atOnce) await new Promise<void>((turn) => queue.push(turn))
    else running += 1
    try {
      return await work()
    } finally {
      // The place goes straight to the next in line, so `running` stays as it is.
      const next = queue.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}
