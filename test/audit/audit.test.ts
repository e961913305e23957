/** The audit chain: entries get their numbers many at a time, all or none. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { chainEntries, entry, verifyChain } from '../../src/audit/audit.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { type Db, sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'letterlock-audit-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const told = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => entry(from + i, { actor: 'test', action: 'message.accepted', object: `m${i}`, detail: { i } }))

/** The same on both engines. */
function chainOn(open: () => Promise<Db>): void {
  let db: Db
  before(async () => {
    db = await open()
  })
  after(() => db.close())

  it('numbers every entry once and in order, however many came at a time', async () => {
    for (const [from, count] of [
      [1000, 1],
      [2000, 50],
      [3000, 137],
    ] as const) {
      await db.write(...told(from, count))
      assert.equal(await chainEntries(db), count)
    }
    assert.equal(await chainEntries(db), 0)
    assert.deepEqual(await verifyChain(db), { kind: 'sound', entries: 188 })
    const rows = await db.read<{ at: number }>(sql`SELECT at FROM audit ORDER BY seq`)
    assert.deepEqual(
      rows.map(({ at }) => at),
      rows.map(({ at }) => at).sort((a, b) => a - b),
    )
  })

  it('writes no number when another process was faster with one of them', async () => {
    await db.write(...told(9000, 60))
    // The other one numbers the last entry between our reading and our writing.
    const racing: Db = {
      ...db,
      write: async (...statements) => {
        await db.write(sql`UPDATE audit SET seq = 5000, hash = 'other' WHERE at = 9059`)
        return db.write(...statements)
      },
    }
    await assert.rejects(chainEntries(racing), Unexpected)
    const [left] = await db.read<{ count: number }>(sql`SELECT COUNT(*) AS count FROM audit WHERE seq IS NULL`)
    assert.equal(left?.count, 59)
  })
}

describe('the audit chain in SQLite', () => {
  chainOn(() => openDatabase(defaultSettings({ data: folder, database: `sqlite:${join(folder, 'db')}` })))
})

describe('the audit chain in PostgreSQL', { skip: withoutPostgres }, () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop('immediate'))
  chainOn(async () => openDatabase(defaultSettings({ data: folder, database: await server.makeDatabase() })))
})
