/** Bring a database to the schema of this program: numbered SQL files, each applied once and remembered with its hash. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../ops/clock.ts'
import { type Db, expecting, sql, Unexpected } from './db.ts'

/** `applied`: the files applied just now, oldest first. `text`: a sentence for the operator; the database was left as it is. */
export type Migrated = { readonly kind: 'ready'; readonly applied: readonly string[] } | { readonly kind: 'refused'; readonly text: string }

/**
 * Apply the files `0001-what.sql` … of `folder` that `db` has not seen, each in one write. Refuses a database that a newer version has
 * changed, unless each newer file says `-- compatible-from: N` and we know file N (docs/postgresql.md, rolling upgrade); and a file that was
 * edited after it had been applied. Any number of processes may do this at once. Throws the engine's error when a file does not run.
 */
export async function migrate(db: Db, folder: string, clock: Clock = systemClock): Promise<Migrated> {
  const files = await readMigrations(folder)
  await db.write(
    sql`CREATE TABLE IF NOT EXISTS migration (
      number BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at BIGINT NOT NULL)`,
    // Beside it, for migration is as the first version made it: which programs may go on running after a migration.
    sql`CREATE TABLE IF NOT EXISTS migration_floor (number BIGINT PRIMARY KEY, compatible_from BIGINT NOT NULL)`,
  )
  const applied: string[] = []
  for (;;) {
    const seen = await db.read<Seen>(sql`SELECT migration.number, name, sha256, compatible_from AS floor
      FROM migration LEFT JOIN migration_floor ON migration_floor.number = migration.number ORDER BY migration.number`)
    const trouble = compare(seen, files)
    if (trouble) return { kind: 'refused', text: trouble }
    const next = files[seen.length]
    if (!next) return { kind: 'ready', applied }
    if (await apply(db, next, clock())) applied.push(next.name)
  }
}

/** `floor`: programs that know this migration may go on with the schema; null: only those that know all. */
type Seen = { readonly number: number; readonly name: string; readonly sha256: string; readonly floor: number | null }
type Migration = Seen & { readonly text: string }

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(names.map((name, index) => readMigration(folder, name, index + 1)))
}

/** The files are part of the program: a gap or a double number is a mistake of ours and thrown. */
async function readMigration(folder: string, name: string, number: number): Promise<Migration> {
  if (!new RegExp(`^0*${number}-[a-z0-9-]+\\.sql$`).test(name)) throw new Error(`migration ${name} should have number ${number}`)
  const text = (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n') // a checkout may have turned the line ends
  const floor = /^-- compatible-from: (\d+)$/m.exec(text)?.[1]
  return { number, name, text, floor: floor === undefined ? null : Number(floor), sha256: createHash('sha256').update(text).digest('hex') }
}

/** What speaks against going on, or undefined. */
function compare(seen: readonly Seen[], files: readonly Migration[]): string | undefined {
  const unknown = seen.slice(files.length).find(({ floor }) => floor === null || floor > files.length)
  if (unknown)
    return `The database was changed by a newer version of Letterlock (${unknown.name}). Install that version, or restore a backup from before the upgrade.`
  const edited = seen.slice(0, files.length).find(({ sha256 }, i) => files[i]?.sha256 !== sha256)
  if (edited)
    return `The migration ${edited.name} differs from the one that was applied to this database. Install the version of Letterlock that made the database; files of applied migrations must not be edited.`
  return undefined
}

/** False: another process was faster. The row comes first, so that it fails before anything is made twice. */
async function apply(db: Db, { number, name, sha256, text, floor }: Migration, now: number): Promise<boolean> {
  const mark = sql`INSERT INTO migration (number, name, sha256, applied_at) VALUES (${number}, ${name}, ${sha256}, ${now}) ON CONFLICT DO NOTHING`
  const declared = floor === null ? [] : [sql`INSERT INTO migration_floor (number, compatible_from) VALUES (${number}, ${floor})`]
  try {
    await db.write(expecting(1, mark), ...declared, ...splitSql(text).map((statement) => ({ text: statement, values: [] })))
    return true
  } catch (error) {
    if (error instanceof Unexpected) return false
    throw error
  }
}

/** Comments, strings, quoted names, the end of a statement, anything else. */
const sqlToken = /(--[^\n]*|\/\*[\s\S]*?\*\/)|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|[^-/'";]+|[\s\S]/g

/** Cut SQL text at its semicolons, but not at those in comments and strings. Bodies of triggers and functions are not understood. */
export function splitSql(text: string): string[] {
  const statements: string[] = []
  let current = ''
  let empty = true
  for (const [token, comment] of `${text};`.matchAll(sqlToken)) {
    if (token !== ';') {
      current += token
      empty &&= comment !== undefined || token.trim() === ''
      continue
    }
    if (!empty) statements.push(current.trim())
    current = ''
    empty = true
  }
  return statements
}
