/** Counts the connections to each IP address: many domains may share one mail host, and it takes only so many of us at once. */
import type { Socket } from 'node:net'

/** The right to one connection. It is free again when the opening is over (`leave`) and the last socket it held has closed. */
export type Place = {
  /** Resolves when no socket is open in this place: a second try waits for the goodbye of the first. */
  readonly empty: () => Promise<void>
  readonly hold: (socket: Socket) => void
  readonly leave: () => void
}

/** `look`: a connection to the address was given back and may do instead. `stopped`: the signal came first. */
export type Granted = Place | 'look' | 'stopped'

export type Places = {
  /** A place at once, or when one is free, in the order of asking; `first`: ask again before all others, after `look`. */
  readonly take: (address: string, signal: AbortSignal, first?: boolean) => Promise<Granted>
  /** Whoever waits longest for the address shall look at what was given back. False: nobody waits. */
  readonly offer: (address: string) => boolean
  readonly isFull: (address: string) => boolean
}

type Waiting = (granted: Granted) => void

/** `most` connections at once to one address. */
export function createPlaces(most: number): Places {
  const taken = new Map<string, number>()
  const queues = new Map<string, Waiting[]>()
  const countOf = (address: string) => taken.get(address) ?? 0

  const next = (address: string): Waiting | undefined => {
    const queue = queues.get(address)
    const one = queue?.shift()
    if (queue?.length === 0) queues.delete(address)
    return one
  }

  const free = (address: string) => {
    const waiting = next(address)
    if (waiting) return waiting(createPlace(() => free(address)))
    const left = countOf(address) - 1
    if (left > 0) taken.set(address, left)
    else taken.delete(address)
  }

  const wait = (address: string, signal: AbortSignal, first: boolean) =>
    new Promise<Granted>((resolve) => {
      const queue = queues.get(address) ?? []
      queues.set(address, queue)
      const waiting: Waiting = (granted) => {
        signal.removeEventListener('abort', stop)
        resolve(granted)
      }
      const stop = () => {
        const rest = queue.filter((one) => one !== waiting)
        queue.splice(0, queue.length, ...rest)
        if (queue.length === 0 && queues.get(address) === queue) queues.delete(address)
        waiting('stopped')
      }
      signal.addEventListener('abort', stop, { once: true })
      first ? queue.unshift(waiting) : queue.push(waiting)
    })

  const isFull = (address: string) => countOf(address) >= most
  return {
    isFull,
    take: async (address, signal, first = false) => {
      if (signal.aborted) return 'stopped'
      if (isFull(address)) return wait(address, signal, first)
      taken.set(address, countOf(address) + 1)
      return createPlace(() => free(address))
    },
    offer: (address) => {
      const waiting = next(address)
      waiting?.('look')
      return waiting !== undefined
    },
  }
}

function createPlace(free: () => void): Place {
  const open = new Set<Socket>()
  let left = false
  let rung = () => {}
  let emptied = Promise.resolve()
  return {
    empty: () => emptied,
    hold: (socket) => {
      if (socket.closed) return
      if (open.size === 0)
        emptied = new Promise((resolve) => {
          rung = resolve
        })
      open.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        if (open.size > 0) return
        rung()
        if (left) free()
      })
    },
    leave: () => {
      if (left) return
      left = true
      if (open.size === 0) free()
    },
  }
}
