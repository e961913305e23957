/** A bound on what is held in memory at once: takers beyond it wait their turn. */

export type Budget = {
  /** Resolves, in order of asking, once `amount` is free; give it back by the function returned. More than all there is counts as all. */
  readonly take: (amount: number) => Promise<() => void>
}

export function createBudget(total: number): Budget {
  let free = total
  const waiting: { amount: number; go: () => void }[] = []
  const look = () => {
    for (let next = waiting[0]; next !== undefined && next.amount <= free; next = waiting[0]) {
      waiting.shift()
      free -= next.amount
      next.go()
    }
  }
  return {
    async take(asked) {
      const amount = Math.min(asked, total)
      await new Promise<void>((go) => {
        waiting.push({ amount, go })
        look()
      })
      return once(() => {
        free += amount
        look()
      })
    },
  }
}

function once(action: () => void): () => void {
  let done = false
  return () => {
    if (!done) action()
    done = true
  }
}
