/** Tells the other processes on a PostgreSQL database that mail is due, and hears it from them; without it they find out within seconds. */
import { randomBytes } from 'node:crypto'
import type { Client, Pool } from 'pg'

export type Wakes = {
  readonly wakeOthers: () => void
  readonly onWake: (listener: () => void) => () => void
  readonly close: () => Promise<void>
}

const channel = 'letterlock_due'
/** Milliseconds between two calls at the least: a flood of mail needs no flood of calls. */
const apart = 50
/** Milliseconds until a lost connection is made anew. */
const reconnect = 2000

/** `connect` gives a connection of our own for listening; `pool` carries the calls. */
export function openWakes(connect: () => Promise<Client>, pool: Pool): Wakes {
  const self = randomBytes(8).toString('hex')
  const listeners = new Set<() => void>()
  let calling: NodeJS.Timeout | undefined
  let again: NodeJS.Timeout | undefined
  let ear: Client | undefined
  let closed = false

  const listen = async () => {
    again = undefined
    try {
      const client = await connect()
      if (closed) return void client.end().catch(() => {})
      ear = client
      client.on('notification', ({ payload }) => {
        if (payload !== self) for (const listener of listeners) listener()
      })
      client.on('end', later)
      await client.query(`LISTEN ${channel}`)
    } catch {
      later()
    }
  }
  const later = () => {
    ear = undefined
    if (!closed) again ??= setTimeout(() => void listen(), reconnect).unref()
  }
  const call = () => {
    calling = undefined
    return pool.query(`NOTIFY ${channel}, '${self}'`).catch(() => {}) // they poll
  }
  return {
    wakeOthers: () => {
      if (!closed) calling ??= setTimeout(call, apart).unref()
    },
    onWake: (listener) => {
      if (listeners.size === 0 && ear === undefined && again === undefined) void listen()
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close: async () => {
      closed = true
      clearTimeout(again)
      if (calling !== undefined) {
        clearTimeout(calling)
        await call()
      }
      await ear?.end().catch(() => {})
    },
  }
}
