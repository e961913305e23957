/** Recomputes the audit chain once a day, so that an entry that was altered or deleted is told of before somebody looks. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Db } from '../store/db.ts'
import { verifyChain } from './audit.ts'

export type ChainWatch = {
  /** Whether the chain was sound when it was last recomputed; undefined before that, and where others do it. */
  readonly sound: () => boolean | undefined
  readonly stop: () => Promise<void>
}

const minute = 60_000
const day = 24 * 60 * minute

/**
 * Look `first` milliseconds after the start, then every `interval`. `mine` tells whether it is for this process to do, `broken` hears what was
 * found, `failed` why the chain could not be read.
 */
export function watchChain(
  db: Db,
  {
    first = 10 * minute,
    interval = day,
    mine = async () => true,
    broken,
    failed,
  }: {
    readonly first?: number
    readonly interval?: number
    readonly mine?: () => Promise<boolean>
    readonly broken: (text: string) => void
    readonly failed: (error: unknown) => void
  },
): ChainWatch {
  const stopping = new AbortController()
  const { signal } = stopping
  let sound: boolean | undefined
  const look = async () => {
    if (!(await mine())) {
      sound = undefined
      return
    }
    const verified = await verifyChain(db, { rows: atOnce, between: () => pause(rest, undefined, { signal }) })
    sound = verified.kind === 'sound'
    if (verified.kind === 'broken') broken(verified.text)
  }
  const run = async () => {
    for (let wait = first; ; wait = interval) {
      await pause(wait, undefined, { signal, ref: false })
      await look().catch((error: unknown) => signal.aborted || failed(error))
    }
  }
  const running = run().catch(() => undefined) // it ends by being stopped
  return {
    sound: () => sound,
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

/** Entries recomputed in one go, some two milliseconds, and milliseconds between: mail has the processor meanwhile. */
const atOnce = 200
const rest = 20
