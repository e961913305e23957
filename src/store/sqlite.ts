/** SQLite as our database: one file, one connection, and a write resolves only when it would survive a power cut. */
import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { makeFolder, syncFolderNow } from '../ops/folder.ts'
import type { Db, Row, Statement, Value } from './db.ts'
import { sqliteEngine } from './engine.ts'
import { gathered } from './gathered.ts'
import { groupCommit, type Ran } from './group-commit.ts'
import { isBusy, patiently, waitHere } from './patience.ts'

/**
 * Open (or create, readable by the owner only) the database file at `path`. Throws the engine's SqliteError when the file is no database,
 * cannot be opened, or stays locked for 10 s.
 */
export function openSqlite(path: string): Db {
  createFile(path)
  const database = openPatiently(path)
  const prepare = preparer(database)
  const run = (statement: Statement) =>
    statement.sealed
      ? sparing(database, () => runStatement(prepare(statement.text), statement.values))
      : runStatement(prepare(statement.text), statement.values)
  const commits = groupCommit(database, run)
  const scrubs = gathered(async () => {
    await commits.idle()
    await patiently(() => emptyLog(database))
  }, betweenScrubs)
  let closed: Promise<void> | undefined
  return {
    engine: sqliteEngine,
    read: async <R extends Row>(statement: Statement) => {
      // A change here would escape group commit: that is a bug of ours.
      if (!prepare(statement.text).statement.readonly)
        throw new Error(`read() was given a statement that writes: ${statement.text.slice(0, 80)}`)
      return patiently(() => run(statement).rows as R[])
    },
    write: (...statements) => (closed ? Promise.reject(new Error(`the database ${path} is closed`)) : commits.write(statements)),
    scrub: scrubs.ask,
    wakeOthers: () => {}, // a command beside us is found by polling
    onWake: () => () => {},
    close: () => {
      closed ??= Promise.all([scrubs.finish(), commits.idle()]).then(() => void database.close())
      return closed
    },
  }
}

/** Milliseconds. Emptying the log costs two fsyncs during which the event loop stands still: two for each letter would be most of its cost. */
const betweenScrubs = 250

/** Make the file ourselves: SQLite would make it readable by everyone; its -wal and -shm files take over the mode of the file. */
function createFile(path: string): void {
  makeFolder(dirname(path))
  closeSync(openSync(path, 'a', 0o600))
  syncFolderNow(dirname(path))
}

/** Two processes that start at once both switch to WAL; the slower one is told "locked" at once, whatever its timeout. */
function openPatiently(path: string): Database.Database {
  for (const end = performance.now() + 10_000; ; waitHere(20)) {
    const database = new Database(path, { timeout: 1000 })
    try {
      configure(database)
      return database
    } catch (error) {
      database.close()
      if (!isBusy(error) || performance.now() > end) throw error
    }
  }
}

function configure(database: Database.Database): void {
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL') // NORMAL, the default of this build in WAL mode, loses acknowledged commits in a power cut
  database.pragma('fullfsync = ON') // macOS: fsync alone leaves the bytes in the drive's cache
  database.pragma('secure_delete = ON') // deleted bytes are overwritten with zeros
  database.pragma('temp_store = MEMORY') // sorting and savepoints must not leave rows in /tmp
  database.pragma('trusted_schema = OFF')
  database.pragma('wal_autocheckpoint = 4000') // 16 MB: pages written again and again meanwhile go to the file once
  database.pragma('cache_size = -32768') // 32 MB
  database.pragma('busy_timeout = 50') // the event loop stands still meanwhile; longer waiting is done by patiently()
}

/** Statements kept prepared: our own texts are some two hundred; generated ones push each other out. */
const preparedLimit = 400

/** Each text is prepared once; beyond the limit the one unused for longest is forgotten. */
function preparer(database: Database.Database): (text: string) => Prepared {
  const prepared = new Map<string, Prepared>()
  return (text) => {
    const found = prepared.get(text) ?? prepareByPlace(database, text)
    prepared.delete(text)
    prepared.set(text, found) // the last used stands last
    const [oldest] = prepared.keys()
    if (prepared.size > preparedLimit && oldest !== undefined) prepared.delete(oldest)
    return found
  }
}

/** `places`: which value goes to which `?`, counted from 0. */
type Prepared = { readonly statement: Database.Statement; readonly places: readonly number[] }

/** SQLite takes `$1` for a name, and binding by name costs as much as a small statement itself: `?` takes the place of each. */
function prepareByPlace(database: Database.Database, text: string): Prepared {
  const places: number[] = []
  const byPlace = text.replace(/\$(\d+)/g, (_, number: string) => {
    places.push(Number(number) - 1)
    return '?'
  })
  return { statement: database.prepare(byPlace), places }
}

function runStatement({ statement, places }: Prepared, values: readonly Value[]): Ran {
  const parameters = places.map((place) => bound(values[place]))
  if (!statement.reader) return { rows: [], touched: statement.run(parameters).changes }
  const rows = statement.all(parameters) as Row[]
  return { rows, touched: rows.length }
}

/** Freed pages keep their bytes; what stays in use is overwritten all the same. */
function sparing<T>(database: Database.Database, work: () => T): T {
  database.pragma('secure_delete = FAST')
  try {
    return work()
  } finally {
    database.pragma('secure_delete = ON')
  }
}

/** A JavaScript number would be bound as a floating-point number: 5 in a TEXT column would become '5.0', 7 / 2 would be 3.5. */
const bound = (value: Value | undefined) => (Number.isSafeInteger(value) ? BigInt(value as number) : value)

/** TRUNCATE waits for readers of other processes; when it had to give up it says busy, and we come again. */
function emptyLog(database: Database.Database): void {
  const [answer] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
  if (answer?.busy !== 0) throw new Database.SqliteError('the write-ahead log is still being read by another program', 'SQLITE_BUSY')
}
