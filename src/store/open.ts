/** Opens the database that the settings name, migrated and ready. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, notAvailable } from '../ops/errors.ts'
import { packageRoot } from '../ops/package-root.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import type { Db } from './db.ts'
import { migrate } from './migrate.ts'
import { openSqlite } from './sqlite.ts'

/** The database; its folder is made when missing. Throws CommandError 69 with a sentence when it cannot be opened. */
export async function openDatabase(settings: Pick<Settings, 'database' | 'data'>): Promise<Db> {
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
