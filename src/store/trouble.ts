/** What a database file that cannot be opened means to the operator: what is wrong, and what to do. */

/** A sentence that begins with the path. `error` is the engine's or the file system's. */
export function fileTrouble(path: string, error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const remedy = remedies.find(([which]) => which.test(code))?.[1]
  return `the database ${path} cannot be opened: ${text}${remedy === undefined ? '' : `; ${remedy}`}`
}

const remedies: readonly (readonly [RegExp, string])[] = [
  [/^(?:EACCES|EPERM|SQLITE_CANTOPEN.*)$/, 'give the file and its folder to the user who runs this (chown), with mode 0600 and 0700'],
  [
    /^(?:EROFS|SQLITE_READONLY.*)$/,
    'it can only be read: mount its file system for writing, and let the user who runs this write the file',
  ],
  [/^(?:ENOSPC|EDQUOT|SQLITE_FULL)$/, 'the disk is full: make room there'],
  [/^(?:EMFILE|ENFILE)$/, 'too many files are open: raise the limit (ulimit -n)'],
  [
    /^(?:SQLITE_NOTADB|SQLITE_CORRUPT.*)$/,
    'the file is damaged or no database: move it away with its -wal file, and put it back from a backup',
  ],
  [/^(?:SQLITE_BUSY.*|SQLITE_LOCKED.*)$/, 'another program keeps it locked: end that program'],
  [/^(?:EIO|SQLITE_IOERR.*)$/, 'the disk fails: look at the log of the system before anything else is written to it'],
  [/^(?:ENOTDIR|EISDIR|ENOENT|ENAMETOOLONG|ELOOP)$/, 'correct the setting database'],
]
