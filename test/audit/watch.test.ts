/** The daily look at the audit chain. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chainEntries, entry } from '../../src/audit/audit.ts'
import { watchChain } from '../../src/audit/watch.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { eventually } from '../world/eventually.ts'

const folder = mkdtempSync(join(tmpdir(), 'letterlock-watch-'))
let db: Db
before(async () => {
  db = await openDatabase(defaultSettings({ data: folder, database: `sqlite:${join(folder, 'db')}` }))
  // More than is read in one go.
  await db.write(...Array.from({ length: 450 }, (_, i) => entry(1000 + i, { actor: 'test', action: 'tested', object: `${i}`, detail: {} })))
  await chainEntries(db)
})
after(async () => {
  await db.close()
  rmSync(folder, { recursive: true, force: true })
})

const often = { first: 5, interval: 20 }
const unheard = { broken: (text: string): void => assert.fail(text), failed: (error: unknown): void => assert.fail(String(error)) }

test('a sound chain is found sound, an altered entry is named, and one that is repaired is sound again', async () => {
  const told: string[] = []
  const watch = watchChain(db, { ...often, ...unheard, broken: (text) => void told.push(text) })
  after(watch.stop)
  assert.equal(watch.sound(), undefined)
  await eventually('a sound chain', () => watch.sound() || undefined)
  assert.deepEqual(told, [])
  await db.write(sql`UPDATE audit SET actor = 'nobody' WHERE seq = 431`)
  await eventually('a broken chain', () => watch.sound() === false || undefined)
  assert.equal(told[0], 'entry 431 (tested) was altered')
  await db.write(sql`UPDATE audit SET actor = 'test' WHERE seq = 431`)
  await eventually('a sound chain', () => watch.sound() || undefined)
})

test('where others look at it nothing is said', async () => {
  let asked = 0
  const mine = async () => {
    asked += 1
    return asked < 3
  }
  const watch = watchChain(db, { ...often, ...unheard, mine })
  after(watch.stop)
  await eventually('a sound chain', () => watch.sound() || undefined)
  await eventually('others to have taken over', () => watch.sound() === undefined || undefined)
})

test('a database that cannot be read is told of, and looked at again', async () => {
  const errors: unknown[] = []
  const failing: Db = { ...db, read: (statement) => (errors.length < 2 ? Promise.reject(new Error('away')) : db.read(statement)) }
  const watch = watchChain(failing, { ...often, ...unheard, failed: (error) => void errors.push(error) })
  after(watch.stop)
  await eventually('a sound chain', () => watch.sound() || undefined)
  assert.equal(errors.length, 2)
})

test('stopped in the middle it ends at once and says nothing', async () => {
  let reads = 0
  const counting: Db = {
    ...db,
    read: (statement) => {
      reads += 1
      return db.read(statement)
    },
  }
  const watch = watchChain(counting, { ...often, ...unheard })
  await eventually('the first piece', () => reads > 0 || undefined, undefined, 1)
  await watch.stop()
  const before = reads
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(reads, before)
})
