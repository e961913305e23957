/** Waiting for another process that holds the database, without stopping our own event loop. */
import { setTimeout as pause } from 'node:timers/promises'

/** Milliseconds that we wait for another process before the caller is told. */
const patience = 30_000

/** Do `work` again every 10 ms as long as it throws "busy", for up to 30 s; then the engine's error is thrown. */
export async function patiently<T>(work: () => T): Promise<T> {
  for (const end = performance.now() + patience; ; await pause(10)) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error) || performance.now() > end) throw error
    }
  }
}

/** Is this SQLite saying that somebody else holds a lock? */
export function isBusy(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')
}

/** Stop the whole thread for some milliseconds: only while starting. */
export function waitHere(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
