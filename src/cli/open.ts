/** Opens settings and data for a command; commands work beside a running server. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, notAvailable } from '../ops/errors.ts'
import { packageRoot } from '../ops/package-root.ts'
import { describeProblem, loadSettings, pathOf, type Settings } from '../ops/settings.ts'
import type { Db } from '../store/db.ts'
import { migrate } from '../store/migrate.ts'
import { openSqlite } from '../store/sqlite.ts'

/** The settings of a command line, or exit 78 with every problem on a line of its own. */
export function settingsOf({ config }: { readonly config?: string }): Settings {
  const loaded = loadSettings({ file: config, env: process.env })
  if (loaded.kind === 'settings') return loaded.settings
  throw new CommandError('settings', loaded.problems.map(describeProblem).join('\n'))
}

/** The database, migrated; its folder is made when missing. Exit 69 with a sentence when it cannot be opened. */
export async function openDatabase(settings: Settings): Promise<Db> {
  if (!settings.database.startsWith('sqlite:')) throw notAvailable('a database other than sqlite:')
  const path = pathOf(settings.database)
  try {
    await mkdir(settings.data, { recursive: true, mode: 0o700 })
    const db = openSqlite(path)
    const migrated = await migrate(db, join(packageRoot, 'migrations'))
    if (migrated.kind === 'ready') return db
    await db.close()
    throw new CommandError('unavailable', migrated.text)
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(
      'unavailable',
      `the database ${path} cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

/** Open the database for one command and close it whatever happens. */
export async function withDatabase<T>(settings: Settings, work: (db: Db) => Promise<T>): Promise<T> {
  const db = await openDatabase(settings)
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}
