/** The same tests on every engine: SQLite, PostgreSQL, and a PostgreSQL that sorts names as a language does. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { packageRoot } from '../../src/ops/package-root.ts'
import type { Db } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { type Postgres, startPostgres, withoutPostgres } from './postgres.ts'

/** Call `suite` once for each; `open` gives a new database with all tables, which the suite closes. */
export function onEachEngine(suite: (engine: string, open: () => Promise<Db>) => void): void {
  const migrated = async (db: Db) => {
    await migrate(db, join(packageRoot, 'migrations'))
    return db
  }
  describe('SQLite', () => {
    const folder = mkdtempSync(join(tmpdir(), 'letterlock-engines-'))
    after(() => rmSync(folder, { recursive: true }))
    suite('SQLite', () => migrated(openSqlite(join(folder, 'db'))))
  })
  describe('PostgreSQL', { skip: withoutPostgres }, () => {
    let server: Postgres
    before(async () => {
      server = await startPostgres()
    })
    after(() => server?.close())
    suite('PostgreSQL', async () => migrated(await openPostgres(await server.makeDatabase())))
    suite('PostgreSQL with the names of a language', async () => {
      await server.command(
        "CREATE DATABASE wordy OWNER letterlock TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'",
      )
      return migrated(await openPostgres(server.address('wordy')))
    })
  })
}
