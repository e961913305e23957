/** SQLite as our database: one file, one connection that writes, and a write resolves only when it would survive a power cut. */
import type { Db, Row, Statement } from './db.ts'
import { sqliteEngine } from './engine.ts'
import { gathered } from './gathered.ts'
import { patiently } from './patience.ts'
import { type Connection, createFile, openConnection } from './sqlite-connection.ts'
import { writeInThread } from './sqlite-thread.ts'
import { type Writer, writeHere } from './sqlite-writer.ts'

/**
 * Open (or create, readable by the owner only) the database file at `path`. `thread`: writes are made by a thread of their own, so that this one
 * goes on while they sync; for a command it would cost more than it gives. Throws the engine's SqliteError when the file is no database,
 * cannot be opened, or stays locked for 10 s.
 */
export function openSqlite(path: string, { thread = false }: { readonly thread?: boolean } = {}): Db {
  createFile(path)
  const connection = openConnection(path)
  const writer = thread ? besideReader(connection, writeInThread(path)) : writeHere(connection)
  const scrubs = gathered(writer.emptyLog, betweenScrubs)
  let closed: Promise<void> | undefined
  const refuse = () => Promise.reject(new Error(`the database ${path} is closed`))
  return {
    engine: sqliteEngine,
    read: async <R extends Row>(statement: Statement) => {
      // A change here would escape group commit: that is a bug of ours.
      if (!connection.reads(statement)) throw new Error(`read() was given a statement that writes: ${statement.text.slice(0, 80)}`)
      return patiently(() => connection.run(statement).rows as R[])
    },
    write: (...statements) => (closed ? refuse() : writer.write(statements)),
    scrub: () => (closed ? refuse() : scrubs.ask()),
    wakeOthers: () => {}, // a command beside us is found by polling
    onWake: () => () => {},
    close: () => {
      closed ??= scrubs.finish().then(writer.close)
      return closed
    },
  }
}

/** Milliseconds. Emptying the log costs two fsyncs during which nobody can write: two for each letter would be most of its cost. */
const betweenScrubs = 250

/** The connection of this thread only reads. Its transactions end with each statement, so that it sees whatever was answered. */
function besideReader({ database }: Connection, writer: Writer): Writer {
  database.pragma('query_only = ON')
  const close = async () => {
    await writer.close().finally(() => database.close())
  }
  return { ...writer, close }
}
