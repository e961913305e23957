/** What writing to SQLite means, in whichever thread it is done: group commit, and an emptied log when asked. */
import Database from 'better-sqlite3'
import type { Row, Statement } from './db.ts'
import { groupCommit, type Job } from './group-commit.ts'
import { patiently } from './patience.ts'
import type { Connection } from './sqlite-connection.ts'

export type Writer = {
  /** See Db.write. */
  readonly write: (statements: readonly Statement[]) => Promise<Row[][]>
  /** Bring everything that was deleted before off the disk; see Db.scrub. */
  readonly emptyLog: () => Promise<void>
  /** Once what was asked for is done. */
  readonly close: () => Promise<void>
}

/** The writer of `connection`, in this thread. `ask` is `write` for whoever needs no promise. Closing it closes the connection. */
export function writeHere({ database, run }: Connection): Writer & { readonly ask: (job: Job) => void } {
  const commits = groupCommit(database, run)
  return {
    write: commits.write,
    ask: commits.ask,
    emptyLog: async () => {
      await commits.idle()
      await patiently(() => emptyLog(database))
    },
    close: async () => {
      await commits.idle()
      database.close()
    },
  }
}

/** TRUNCATE waits for readers of other processes; when it had to give up it says busy, and we come again. */
function emptyLog(database: Database.Database): void {
  const [answer] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
  if (answer?.busy !== 0) throw new Database.SqliteError('the write-ahead log is still being read by another program', 'SQLITE_BUSY')
}
