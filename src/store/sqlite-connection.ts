/** One connection to a SQLite file, set up as we need it: durable, overwriting what is deleted, each statement prepared once. */
import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { makeFolder, syncFolderNow } from '../ops/folder.ts'
import type { Row, Statement, Value } from './db.ts'
import type { Ran } from './group-commit.ts'
import { isBusy, waitHere } from './patience.ts'

export type Connection = {
  readonly database: Database.Database
  readonly run: (statement: Statement) => Ran
  /** Whether a statement changes nothing. */
  readonly reads: (statement: Statement) => boolean
}

/** Open the file at `path`, which is there. Throws the engine's SqliteError when it is no database, cannot be opened, or stays locked for 10 s. */
export function openConnection(path: string): Connection {
  const database = openPatiently(path)
  const prepare = preparer(database)
  return {
    database,
    run: (statement) => {
      const prepared = prepare(statement.text)
      const work = () => runStatement(prepared, statement.values)
      return statement.sealed ? sparing(database, work) : work()
    },
    reads: ({ text }) => prepare(text).statement.readonly,
  }
}

/** Make the file ourselves: SQLite would make it readable by everyone; its -wal and -shm files take over the mode of the file. */
export function createFile(path: string): void {
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
  database.pragma('busy_timeout = 50') // the thread stands still meanwhile; longer waiting is done by patiently()
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
