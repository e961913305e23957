/** What files and folders that cannot be opened mean to the operator: what is wrong, where, and what to do. */
import { CommandError } from '../ops/errors.ts'

/** A sentence that begins with `what`, which names the place; `error` is the engine's or the file system's. */
export function troubleWith(what: string, error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const remedy = remedies.find(([which]) => which.test(codeOf(error)))?.[1]
  return `${what} cannot be used: ${text}${remedy === undefined ? '' : `; ${remedy}`}`
}

/** Run `open`; what the disk or the database engine says against it becomes a CommandError 69 about `what`, anything else stays as it is. */
export async function opening<T>(what: string, open: () => T | Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    throw isSystemTrouble(error) ? new CommandError('unavailable', troubleWith(what, error)) : error
  }
}

/** What SQLite says once its file is open, e.g. that a page is damaged, as a CommandError 69; any other error as it is. */
export const sqliteTrouble = (path: string, error: unknown): unknown =>
  codeOf(error).startsWith('SQLITE_') ? new CommandError('unavailable', troubleWith(`the database ${path}`, error)) : error

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

/** Said by the file system (its errors carry the call) or by SQLite: no bug of ours. */
const isSystemTrouble = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof CommandError) && ('syscall' in error || codeOf(error).startsWith('SQLITE_'))

const remedies: readonly (readonly [RegExp, string])[] = [
  [
    /^(?:EACCES|EPERM|SQLITE_CANTOPEN.*)$/,
    'give it, with its folder, to the user who runs this (chown); folders need mode 0700, files 0600',
  ],
  [/^(?:EROFS|SQLITE_READONLY.*)$/, 'it can only be read: mount its file system for writing, and let the user who runs this write it'],
  [/^(?:ENOSPC|EDQUOT|SQLITE_FULL)$/, 'the disk is full: make room there'],
  [/^(?:EMFILE|ENFILE)$/, 'too many files are open: raise the limit (ulimit -n)'],
  [/^(?:SQLITE_NOTADB|SQLITE_CORRUPT.*)$/, 'the file is damaged or no database: keep it with its -wal file, and put it back from a backup'],
  [/^(?:SQLITE_BUSY.*|SQLITE_LOCKED.*)$/, 'another program keeps it locked: end that program'],
  [/^(?:EIO|SQLITE_IOERR.*)$/, 'the disk fails: look at the log of the system before anything else is written to it'],
  [/^(?:ENOTDIR|EISDIR|EEXIST|ENOENT|ENAMETOOLONG|ELOOP)$/, 'correct the setting that names it'],
]
