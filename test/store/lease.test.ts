/** Leases: one of many processes does the work, another takes over when it is gone, and with SQLite there is nobody to share with. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import type { Db } from '../../src/store/db.ts'
import { openLease } from '../../src/store/lease.ts'
import { openDatabase } from '../../src/store/open.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'letterlock-lease-'))
const length = 10_000
let now = 1_000_000
const clock = () => now
let server: Postgres | undefined
let nodes: Db[] = []
before(async () => {
  if (withoutPostgres) return
  server = await startPostgres()
  const database = await server.makeDatabase()
  nodes = await Promise.all([1, 2, 3].map(() => openDatabase({ database, data: folder })))
})
after(async () => {
  await Promise.all(nodes.map((db) => db.close()))
  await server?.close()
  rmSync(folder, { recursive: true })
})
const leases = (name: string) => nodes.map((db) => openLease(db, name, { clock, length }))
const holders = async (all: readonly ReturnType<typeof openLease>[]) =>
  (await Promise.all(all.map((lease) => lease.held()))).filter(Boolean).length

it('is held by one of those that ask at once, and stays with it while it asks in time', { skip: withoutPostgres }, async () => {
  const all = leases('work')
  assert.equal(await holders(all), 1)
  const index = (await Promise.all(all.map((lease) => lease.held()))).indexOf(true)
  for (let round = 0; round < 5; round++) {
    now += length - 1
    assert.deepEqual((await all[index]?.held()) && (await holders(all)), 1)
  }
  assert.equal(await all[index]?.held(), true)
})

it('goes to another when its holder is gone, or gives it back', { skip: withoutPostgres }, async () => {
  const [first, second] = leases('task')
  assert.deepEqual([await first?.held(), await second?.held()], [true, false])
  now += length
  assert.deepEqual([await second?.held(), await first?.held()], [true, false])
  await second?.release()
  assert.equal(await first?.held(), true)
})

it('does not hold for ever when the clock is set back', { skip: withoutPostgres }, async () => {
  const [first, second] = leases('clock')
  assert.equal(await first?.held(), true)
  now -= 100 * length
  assert.equal(await first?.held(), true) // asked the database anew, which lets its holder have it
  assert.equal(await second?.held(), false)
  now += length
  assert.equal(await second?.held(), true)
})

it('is always held where one process is alone', async () => {
  const db = await openDatabase({ database: `sqlite:${join(folder, 'db')}`, data: folder })
  const [one, other] = [openLease(db, 'work', { clock, length }), openLease(db, 'work', { clock, length })]
  assert.deepEqual([await one.held(), await other.held()], [true, true])
  await one.release()
  await db.close()
})
