/** Opens the database that the settings name, migrated and ready. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError } from '../ops/errors.ts'
import { packageRoot } from '../ops/package-root.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import type { Db } from './db.ts'
import { migrate } from './migrate.ts'
import { openPostgres, PostgresUnfit } from './postgres.ts'
import { BadAddress } from './postgres-address.ts'
import { openSqlite } from './sqlite.ts'
import { troubleWith } from './trouble.ts'

type Wanted = Pick<Settings, 'database' | 'data'> & Partial<Pick<Settings, 'limits.databaseConnections' | 'limits.databasePatience'>>

/**
 * The database; its folder is made when missing. `serving`: for a program that stays and has much to write. Throws CommandError 69 (78: a bad
 * address) with a sentence when it cannot be opened.
 */
export const openDatabase = (settings: Wanted, { serving = false }: { readonly serving?: boolean } = {}): Promise<Db> =>
  settings.database.startsWith('sqlite:') ? openFile(pathOf(settings.database), settings.data, serving) : openServer(settings)

async function openFile(path: string, folder: string, serving: boolean): Promise<Db> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return await migrated(openSqlite(path, { thread: serving }))
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError('unavailable', troubleWith(`the database ${path}`, error))
  }
}

async function openServer(settings: Wanted): Promise<Db> {
  const { database, data, 'limits.databaseConnections': connections = 8, 'limits.databasePatience': patience = 30_000 } = settings
  try {
    await mkdir(data, { recursive: true, mode: 0o700 })
    // An index over a large table may take its time.
    const patient = await migrated(await openPostgres(database, { connections: 1, statement: 0 }))
    await patient.close()
    return await openPostgres(database, { connections, patience })
  } catch (error) {
    if (error instanceof BadAddress) throw new CommandError('settings', `the setting database ${error.message}`)
    if (error instanceof PostgresUnfit) throw new CommandError('unavailable', error.message)
    if (error instanceof CommandError) throw error
    throw new CommandError('unavailable', `the database cannot be opened: ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function migrated(db: Db): Promise<Db> {
  const answer = await migrate(db, join(packageRoot, 'migrations')).catch(async (error) => {
    await db.close()
    throw error
  })
  if (answer.kind === 'ready') return db
  await db.close()
  throw new CommandError('unavailable', answer.text)
}
