/** Lets only so many attempts at a destination run at once; who waits for a turn is opened and planned, and begins at once. */
import type { Sharing } from '../spool/due.ts'

/** Ends a turn, once the attempt is over and before its result is written: that occupies nobody but us. Calling it again changes nothing. */
export type Leave = () => void

export type Turns = {
  /** Resolves when the attempt may begin, in the order of asking. */
  readonly take: (domain: string) => Promise<Leave>
  /** From now on nobody waits. */
  readonly open: () => void
}

/** `room`: how many may run at once, asked anew for each turn; one always may. Domains that share a destination take turns with each other. */
export function createTurns(room: (domain: string) => number, nameOf: Sharing['nameOf']): Turns {
  const running = new Map<string, number>()
  const queues = new Map<string, { readonly domain: string; readonly begin: () => void }[]>()
  let opened = false

  const isFree = (name: string, domain: string) => opened || (running.get(name) ?? 0) < Math.max(1, room(domain))
  const count = (name: string, by: 1 | -1) => {
    const now = (running.get(name) ?? 0) + by
    if (now > 0) running.set(name, now)
    else running.delete(name)
  }

  /** One that ended well may have made room for two. */
  const letIn = (name: string) => {
    const queue = queues.get(name)
    for (let next = queue?.[0]; next !== undefined && isFree(name, next.domain); next = queue?.[0]) {
      queue?.shift()
      count(name, 1)
      next.begin()
    }
    if (queue?.length === 0) queues.delete(name)
  }

  const leaving = (name: string): Leave => {
    let left = false
    return () => {
      if (left) return
      left = true
      count(name, -1)
      letIn(name)
    }
  }

  return {
    take: async (domain) => {
      const name = nameOf(domain)
      const queue = queues.get(name)
      if (queue === undefined && isFree(name, domain)) count(name, 1)
      else
        await new Promise<void>((begin) => {
          if (queue === undefined) queues.set(name, [{ domain, begin }])
          else queue.push({ domain, begin })
        })
      return leaving(name)
    },
    open: () => {
      opened = true
      for (const name of [...queues.keys()]) letIn(name)
    },
  }
}
