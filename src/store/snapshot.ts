/** A copy of the SQLite database as it stands at one instant, made while others write to it. */
import { closeSync, fsyncSync, openSync } from 'node:fs'
import Database from 'better-sqlite3'

/**
 * Write the snapshot to `into`, which must not exist yet. One read transaction: writers go on meanwhile. Unlike SQLite's step-by-step backup
 * it need not begin anew whenever somebody writes, and nothing deleted is in it. Throws the engine's error.
 */
export function snapshotSqlite(path: string, into: string): void {
  const database = new Database(path, { readonly: true, fileMustExist: true, timeout: 30_000 })
  try {
    database.prepare('VACUUM INTO ?').run(into)
  } finally {
    database.close()
  }
  const file = openSync(into, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
