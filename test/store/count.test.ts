/** Counts on both engines: each once, with what it counts or not at all, whoever else is counting. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { counted } from '../../src/ops/counters.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { count, readCounts } from '../../src/store/count.ts'
import { type Db, expecting, sql, Unexpected } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

type Place = { readonly open: () => Db | Promise<Db>; readonly drop: () => unknown }

const accepted = counted('letterlock_messages_accepted_total', {})
const failure = (reason: string, by = 1) => counted('letterlock_tls_failures_total', { reason }, by)
const delivery = (result: string) => counted('letterlock_deliveries_total', { result, method: 'tls', assurance: 'verified' })

function counting(engine: string, makePlace: () => Place | Promise<Place>): void {
  describe(`counts on ${engine}`, () => {
    let place: Place
    let db: Db
    before(async () => {
      place = await makePlace()
      db = await place.open()
      await migrate(db, join(packageRoot, 'migrations'))
    })
    beforeEach(() => db.write(sql`DELETE FROM counter`, sql`DELETE FROM fact`))
    after(async () => {
      await db?.close()
      await place.drop()
    })
    const shown = async () =>
      Object.fromEntries((await readCounts(db)).map(({ name, labels, by }) => [[name, ...Object.values(labels)].join(' '), by]))

    it('adds to what was counted before', async () => {
      await db.write(...count([accepted]))
      await db.write(...count([accepted, failure('no-key', 5)]))
      assert.deepEqual(await shown(), { letterlock_messages_accepted_total: 2, 'letterlock_tls_failures_total no-key': 5 })
    })

    it('adds up what is counted more than once in a write, in one statement for four rows', async () => {
      const many = ['a', 'b', 'a', 'c', 'd', 'e', 'a'].map((reason) => failure(reason))
      assert.equal(count(many).length, 2)
      await db.write(...count(many))
      const expected = { a: 3, b: 1, c: 1, d: 1, e: 1 }
      assert.deepEqual(
        await shown(),
        Object.fromEntries(Object.entries(expected).map(([reason, by]) => [`letterlock_tls_failures_total ${reason}`, by])),
      )
      assert.deepEqual(count([]), [])
    })

    it('takes labels in any order for the same', async () => {
      await db.write(...count([delivery('delivered')]))
      await db.write(
        ...count([counted('letterlock_deliveries_total', { assurance: 'verified', result: 'delivered', method: 'tls' }), delivery('held')]),
      )
      assert.deepEqual(await shown(), {
        'letterlock_deliveries_total tls verified delivered': 2,
        'letterlock_deliveries_total tls verified held': 1,
      })
    })

    it('counts nothing with a write that is rolled back', async () => {
      const lost = expecting(1, sql`UPDATE fact SET value = 'x' WHERE name = 'nobody'`)
      await assert.rejects(db.write(...count([accepted]), lost), Unexpected)
      await assert.rejects(db.write(lost, ...count([accepted])), Unexpected)
      assert.deepEqual(await shown(), {})
    })

    it('loses and doubles nothing while three write at once, some of them in vain', async () => {
      const nodes = [db, await place.open(), await place.open()]
      const twice = (i: number) => sql`INSERT INTO fact (name, value) VALUES (${`fact ${i % 200}`}, 'x')`
      const writes = Array.from({ length: 300 }, (_, i) =>
        nodes[i % 3]?.write(...count([accepted, delivery(i % 2 ? 'delivered' : 'held')]), twice(i)),
      )
      const done = (await Promise.allSettled(writes)).filter(({ status }) => status === 'fulfilled').length
      assert.equal(done, 200)
      const sums = await shown()
      assert.equal(sums.letterlock_messages_accepted_total, 200)
      const [ways, held] = [
        sums['letterlock_deliveries_total tls verified delivered'],
        sums['letterlock_deliveries_total tls verified held'],
      ]
      assert.equal((ways ?? 0) + (held ?? 0), 200)
      await Promise.all(nodes.slice(1).map((node) => node.close()))
    })

    it('leaves out what only a newer version counts', async () => {
      await db.write(sql`INSERT INTO counter (name, labels, count) VALUES ('letterlock_tomorrow_total', '{}', 1)`, ...count([accepted]))
      assert.deepEqual(await shown(), { letterlock_messages_accepted_total: 1 })
    })
  })
}

counting('SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'letterlock-count-'))
  return { open: () => openSqlite(join(folder, 'count.db')), drop: () => rmSync(folder, { recursive: true }) }
})

describe('PostgreSQL', { skip: withoutPostgres }, () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.close())
  counting('PostgreSQL', async () => {
    const address = await server.makeDatabase()
    return { open: () => openPostgres(address), drop: () => {} }
  })
})
