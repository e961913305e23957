/** Whether what a read or write failed for may be over in a while: the disk is full or fails, or the server is away. */
import { OutcomeUnknown } from './db.ts'
import { PostgresError, troubleOf } from './postgres-errors.ts'

const ofSqlite = /^SQLITE_(?:FULL|IOERR|BUSY|READONLY|CANTOPEN)/
// 25006: a standby took over and is not writable yet; 28, 3D: it lets nobody in, or is just being put back; 53: resources; 57: an operator; 58: its disk.
const ofPostgres = /^(?:25006|28|3D|53|57|58)/

/** The same may succeed later, without anybody mending a program. After an unknown outcome it rejects with Unexpected, if its statements say what they expect. */
export function mayPass(error: unknown): boolean {
  if (error instanceof OutcomeUnknown) return true
  if (error instanceof PostgresError) return troubleOf(error) !== 'wrong' || ofPostgres.test(error.code)
  return error instanceof Error && 'code' in error && ofSqlite.test(String(error.code))
}
