/** SQLite: the contract of every engine, and what is its own: durability, group commit, locks, deleted bytes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { type Db, deletingSealed, sql } from '../../src/store/db.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { dbContract } from './db-contract.ts'
import { commitsInLog, filesHold } from './sqlite-files.ts'

dbContract('SQLite', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'letterlock-sqlite-'))
  return {
    open: async () => openSqlite(join(folder, 'contract.db')),
    drop: async () => rmSync(folder, { recursive: true }),
  }
})

describe('SQLite', () => {
  let folder: string
  let path: string
  let db: Db
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'letterlock-sqlite-'))
    path = join(folder, 'below', 'letterlock.db')
    db = openSqlite(path)
    await db.write(sql`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, bytes BYTEA)`)
  })
  after(async () => {
    await db?.close()
    rmSync(folder, { recursive: true })
  })

  it('syncs at every commit and overwrites what is deleted', async () => {
    const setting = async (name: string) => Object.values((await db.write({ text: `PRAGMA ${name}`, values: [] }))[0]?.[0] ?? {})[0]
    assert.equal(await setting('journal_mode'), 'wal')
    assert.equal(await setting('synchronous'), 2) // FULL
    assert.equal(await setting('secure_delete'), 1)
    assert.equal(await setting('temp_store'), 2) // memory
  })

  it('keeps its files from other users', async () => {
    await db.write(sql`INSERT INTO item (name) VALUES ('one')`)
    for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(statSync(file).mode & 0o777, 0o600, file)
    assert.equal(statSync(join(folder, 'below')).mode & 0o777, 0o700)
  })

  it('commits all writes of one turn together, and those of another turn apart', async () => {
    await db.scrub()
    await Promise.all(Array.from({ length: 200 }, (_, i) => db.write(sql`INSERT INTO item (name) VALUES (${`row ${i}`})`)))
    assert.equal(commitsInLog(`${path}-wal`), 1)
    await db.write(sql`INSERT INTO item (name) VALUES ('later')`)
    assert.equal(commitsInLog(`${path}-wal`), 2)
  })

  it('loses no acknowledged write to kill -9', async () => {
    const acknowledged = await writeUntilKilled(join(folder, 'killed.db'), 150)
    const again = openSqlite(join(folder, 'killed.db'))
    const kept = new Set((await again.read<{ id: number }>(sql`SELECT id FROM item`)).map(({ id }) => id))
    await again.close()
    assert.ok(acknowledged.length >= 150)
    assert.deepEqual(
      acknowledged.filter((id) => !kept.has(id)),
      [],
    )
  })

  it('waits for another process that writes, without stopping the event loop', async () => {
    const other = new Database(path)
    other.exec('BEGIN IMMEDIATE')
    let ticks = 0
    const ticking = setInterval(() => ticks++, 10)
    setTimeout(() => other.exec('COMMIT'), 500)
    const [first, second] = [
      db.write(sql`INSERT INTO item (name) VALUES ('patient')`),
      pause(100).then(() => db.write(sql`SELECT 1 AS one`)),
    ]
    await Promise.all([first, second])
    clearInterval(ticking)
    other.close()
    assert.ok(ticks >= 4, `the event loop turned ${ticks} times in 500 ms`)
    assert.equal((await db.read(sql`SELECT id FROM item WHERE name = 'patient'`)).length, 1)
  })

  it('spares the pages of sealed content, and goes on overwriting all else, also when such a statement fails', async () => {
    await db.write(sql`INSERT INTO item (id, bytes) VALUES (6000, ${Buffer.from('sealed-large-'.repeat(20_000))})`)
    await db.write(deletingSealed(sql`DELETE FROM item WHERE id = ${6000}`))
    await db.scrub()
    assert.ok(filesHold(path, 'sealed-large-'))
    await assert.rejects(db.write(deletingSealed(sql`DELETE FROM nowhere`)))
    assert.deepEqual(await db.read({ text: 'PRAGMA secure_delete', values: [] }), [{ secure_delete: 1 }])
    await db.write(sql`INSERT INTO item (id, bytes) VALUES (6001, ${Buffer.from('other-large-'.repeat(30_000))})`)
    await db.write(sql`DELETE FROM item WHERE id = ${6001}`)
    await db.scrub()
    assert.equal(filesHold(path, 'other-large-'), undefined)
  })

  it('leaves no deleted or overwritten byte in any of its files after a scrub', async () => {
    const canary = (kind: string, i: number) => `canary-${kind}-${i}-`.repeat(1 + ((i * 7) % 60))
    const rows = Array.from({ length: 600 }, (_, i) => i)
    await Promise.all(
      rows.map((i) =>
        db.write(sql`INSERT INTO item (id, name, bytes) VALUES (${1000 + i}, ${canary('name', i)}, ${Buffer.from(canary('bytes', i))})`),
      ),
    )
    await Promise.all([db.write(sql`INSERT INTO item (id, bytes) VALUES (5000, ${Buffer.from('canary-large-'.repeat(20_000))})`)])
    assert.ok(filesHold(path, 'canary-'))
    await db.write(sql`UPDATE item SET name = 'x', bytes = NULL WHERE id BETWEEN 1000 AND 1300`)
    await db.write(sql`DELETE FROM item WHERE id BETWEEN 1301 AND 1599`, sql`DELETE FROM item WHERE id = 5000`)
    await db.scrub()
    assert.equal(filesHold(path, 'canary-'), undefined)
    assert.equal(statSync(`${path}-wal`).size, 0)
  })

  it('scrubs only once a reader of another process has finished', async () => {
    const reader = new Database(path, { readonly: true })
    await db.write(sql`INSERT INTO item (id, name) VALUES (7000, 'read-by-another')`)
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM item').get()
    await db.write(sql`DELETE FROM item WHERE id = 7000`)
    let scrubbed = false
    const scrub = db.scrub().then(() => {
      scrubbed = true
    })
    await pause(300)
    assert.equal(scrubbed, false)
    assert.ok(filesHold(path, 'read-by-another'))
    reader.exec('COMMIT')
    await scrub
    reader.close()
    assert.equal(filesHold(path, 'read-by-another'), undefined)
  })

  it('tells everyone of a group when the disk is full, and goes on when there is room', async () => {
    const small = openSqlite(join(folder, 'small.db'))
    await small.write(sql`CREATE TABLE item (id INTEGER PRIMARY KEY, bytes BYTEA)`)
    const limited = await small.read<{ max_page_count: number }>({ text: 'PRAGMA max_page_count = 20', values: [] }).catch(() => [])
    assert.equal(limited[0]?.max_page_count, 20)
    const tooMuch = [1, 2, 3].map((id) => small.write(sql`INSERT INTO item VALUES (${id}, ${Buffer.alloc(id * 20_000)})`))
    const answers = await Promise.allSettled(tooMuch)
    const said = answers.map(({ status }) => status === 'fulfilled')
    const kept = (await small.read<{ id: number }>(sql`SELECT id FROM item ORDER BY id`)).map(({ id }) => id)
    assert.deepEqual(
      kept,
      [1, 2, 3].filter((_, i) => said[i]),
      'whoever was told "done" is there, and nobody else',
    )
    assert.ok(said.includes(false))
    await small.read({ text: 'PRAGMA max_page_count = 10000', values: [] })
    await small.write(sql`INSERT INTO item VALUES (9, ${Buffer.alloc(100_000)})`)
    await small.close()
  })

  it('tells nobody "done" when a statement ended the whole transaction, or the commit failed', async () => {
    await db.write(sql`CREATE TABLE child (id INTEGER PRIMARY KEY, item BIGINT REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)`)
    const spoilers = [sql`INSERT OR ROLLBACK INTO item (id) VALUES (8000)`, sql`INSERT INTO child VALUES (1, 999999)`]
    for (const spoiler of spoilers) {
      const group = [sql`INSERT INTO item (id) VALUES (8000)`, spoiler, sql`INSERT INTO item (id) VALUES (8001)`]
      const answers = await Promise.allSettled(group.map((statement) => db.write(statement)))
      for (const answer of answers) assert.match(answer.status === 'rejected' ? String(answer.reason) : 'done', /UNIQUE|FOREIGN KEY/)
      assert.deepEqual(await db.read(sql`SELECT id FROM item WHERE id >= 8000`), [])
    }
    await db.write(sql`INSERT INTO item (id) VALUES (8000)`)
    assert.equal((await db.read(sql`SELECT id FROM item WHERE id >= 8000`)).length, 1)
  })

  it('refuses a file that is no database', () => {
    writeFileSync(join(folder, 'other.txt'), 'a text that is long enough to be looked at'.repeat(100))
    assert.throws(() => openSqlite(join(folder, 'other.txt')), { code: 'SQLITE_NOTADB' })
  })
})

/** Another process writes as fast as it can and prints each id once its write resolved; it is killed after `enough` of them. */
async function writeUntilKilled(path: string, enough: number): Promise<number[]> {
  const program = `
    import { openSqlite } from ${JSON.stringify(new URL('../../src/store/sqlite.ts', import.meta.url).href)}
    import { writeSync } from 'node:fs'
    const db = openSqlite(${JSON.stringify(path)})
    await db.write({ text: 'CREATE TABLE item (id INTEGER PRIMARY KEY)', values: [] })
    for (let id = 1; ; id += 5) {
      const group = [0, 1, 2, 3, 4].map((i) => db.write({ text: 'INSERT INTO item VALUES ($1)', values: [id + i] }).then(() => writeSync(1, (id + i) + '\\n')))
      await Promise.all(group)
    }`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const acknowledged: number[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    if (acknowledged.push(Number(line)) === enough) child.kill('SIGKILL')
  }
  return acknowledged
}
