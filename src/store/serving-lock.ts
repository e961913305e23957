/** Lets one process at a time serve a data folder: a lock the kernel takes back when the process dies, however it dies. */
import { closeSync, openSync } from 'node:fs'
import Database from 'better-sqlite3'

/** Take the lock at `path`; undefined when another process holds it. The returned function gives it back. */
export function takeServingLock(path: string): (() => void) | undefined {
  // Made by ourselves: SQLite would make it readable by everyone.
  closeSync(openSync(path, 'a', 0o600))
  const lock = new Database(path, { timeout: 0 })
  try {
    lock.pragma('journal_mode = DELETE')
    lock.exec('BEGIN EXCLUSIVE')
    return () => void lock.close()
  } catch (error) {
    lock.close()
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return undefined
    throw error
  }
}
