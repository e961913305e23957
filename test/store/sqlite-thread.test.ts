/** SQLite written by a thread of its own: the contract of every engine, and that nobody else waits, even when the thread breaks. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { type Db, deletingSealed, OutcomeUnknown, type Statement, sql } from '../../src/store/db.ts'
import { mayPass } from '../../src/store/passing.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { writeInThread } from '../../src/store/sqlite-thread.ts'
import { dbContract } from './db-contract.ts'
import { commitsInLog, filesHold } from './sqlite-files.ts'

dbContract('SQLite written by a thread', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'letterlock-thread-'))
  return {
    open: async () => openSqlite(join(folder, 'contract.db'), { thread: true }),
    drop: async () => rmSync(folder, { recursive: true }),
  }
})

describe('the thread that writes to SQLite', () => {
  let folder: string
  let path: string
  let db: Db
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'letterlock-thread-'))
    path = join(folder, 'letterlock.db')
    db = openSqlite(path, { thread: true })
    await db.write(sql`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, bytes BYTEA)`)
  })
  after(async () => {
    await db.close()
    rmSync(folder, { recursive: true })
  })
  const count = async () => (await db.read<{ n: number }>(sql`SELECT count(*) AS n FROM item`))[0]?.n

  it('syncs at every commit and overwrites what is deleted, as where there is no thread', async () => {
    const setting = async (name: string) => Object.values((await db.write({ text: `PRAGMA ${name}`, values: [] }))[0]?.[0] ?? {})[0]
    const settings = ['journal_mode', 'synchronous', 'secure_delete', 'temp_store', 'query_only'].map(setting)
    assert.deepEqual(await Promise.all(settings), ['wal', 2, 1, 2, 0])
    assert.deepEqual(await db.read({ text: 'PRAGMA query_only', values: [] }), [{ query_only: 1 }])
  })

  it('lets this thread go on while it writes; what is asked for meanwhile, in however many turns, is one commit', async () => {
    const others: Promise<unknown>[] = []
    await db.scrub()
    let [busy, turns] = [true, 0]
    const long = db.write(slow).finally(() => {
      busy = false
    })
    while (busy && turns < 50) {
      await pause(1)
      others.push(db.write(sql`INSERT INTO item (name) VALUES ('meanwhile')`))
      turns += 1
    }
    assert.equal(busy, true, `the event loop turned ${turns} times`)
    await Promise.all([long, ...others])
    assert.equal(await count(), 50)
    assert.equal(commitsInLog(`${path}-wal`), 1, 'the long one changed nothing, all others together are one')
  })

  it('shows each write to a read that is begun when it was answered', async () => {
    await db.write(sql`DELETE FROM item`)
    for (let n = 1; n <= 200; n++) {
      await db.write(sql`INSERT INTO item (bytes) VALUES (${Buffer.alloc(3000)})`)
      assert.equal(await count(), n)
    }
  })

  it('tells of an error as the engine does', async () => {
    await db.write(sql`INSERT INTO item (id) VALUES (7000)`)
    const again = await db.write(sql`INSERT INTO item (id) VALUES (7000)`).catch((error: unknown) => error)
    assert.ok(again instanceof Database.SqliteError)
    assert.equal(again.code, 'SQLITE_CONSTRAINT_PRIMARYKEY')
    assert.match(again.message, /UNIQUE constraint failed: item.id/)
  })

  it('refuses what is no value, without harm to the writes of the same turn', async () => {
    const bad = [undefined, {}, () => 1, Symbol('x')].map((value) =>
      db.write({ text: 'INSERT INTO item (id) VALUES ($1)', values: [value as never] }),
    )
    const good = db.write(sql`INSERT INTO item (id) VALUES (7001)`)
    for (const { status } of await Promise.allSettled(bad)) assert.equal(status, 'rejected')
    await good
  })

  it('goes on sending whole texts once it has seen very many of them', async () => {
    const texts = Array.from(
      { length: 1100 },
      (_, i): Statement => ({ text: `SELECT ${i} AS n, CAST($1 AS TEXT) AS t`, values: [`t${i}`] }),
    )
    for (const round of [texts, texts.toReversed()]) {
      const answers = await Promise.all(round.map((statement) => db.write(statement)))
      for (const [[row] = []] of answers) assert.equal(row?.t, `t${row?.n}`)
    }
  })

  it('leaves no deleted byte in any file after a scrub, except those of sealed content', async () => {
    await db.write(sql`INSERT INTO item (id, bytes) VALUES (8000, ${Buffer.from('canary-'.repeat(9000))})`)
    await db.write(sql`INSERT INTO item (id, bytes) VALUES (8001, ${Buffer.from('sealed-'.repeat(9000))})`)
    // Not awaited: a scrub is of everything that was asked for before it.
    const writes = [db.write(sql`DELETE FROM item WHERE id = 8000`), db.write(deletingSealed(sql`DELETE FROM item WHERE id = 8001`))]
    await db.scrub()
    await Promise.all(writes)
    assert.equal(filesHold(path, 'canary-'), undefined)
    assert.ok(filesHold(path, 'sealed-'))
  })

  it('tells everyone of a group when the disk is full, and goes on when there is room', async () => {
    const small = openSqlite(join(folder, 'small.db'), { thread: true })
    await small.write(sql`CREATE TABLE item (id INTEGER PRIMARY KEY, bytes BYTEA)`)
    await small.write({ text: 'PRAGMA max_page_count = 20', values: [] })
    const answers = await Promise.allSettled(
      [1, 2, 3].map((id) => small.write(sql`INSERT INTO item VALUES (${id}, ${Buffer.alloc(id * 20_000)})`)),
    )
    const kept = (await small.read<{ id: number }>(sql`SELECT id FROM item ORDER BY id`)).map(({ id }) => id)
    assert.deepEqual(
      kept,
      [1, 2, 3].filter((_, i) => answers[i]?.status === 'fulfilled'),
    )
    assert.ok(answers.some((answer) => answer.status === 'rejected' && answer.reason.code === 'SQLITE_FULL'))
    await small.write({ text: 'PRAGMA max_page_count = 10000', values: [] })
    await small.write(sql`INSERT INTO item VALUES (9, ${Buffer.alloc(100_000)})`)
    await small.close()
  })

  it('waits for another process that writes', async () => {
    const other = new Database(path)
    other.exec('BEGIN IMMEDIATE')
    setTimeout(() => other.exec('COMMIT'), 300)
    await Promise.all([
      db.write(sql`INSERT INTO item (id) VALUES (7100)`),
      turn().then(() => db.write(sql`INSERT INTO item (id) VALUES (7101)`)),
    ])
    other.close()
  })

  it('opens the file with the next write when it could not with the first', async () => {
    const [place, aside] = [join(folder, 'away', 'x.db'), join(folder, 'aside.db')]
    const away = openSqlite(place, { thread: true })
    renameSync(place, aside)
    mkdirSync(place)
    await assert.rejects(away.write(sql`CREATE TABLE item (id BIGINT)`), { code: 'SQLITE_CANTOPEN' })
    rmdirSync(place)
    renameSync(aside, place)
    await away.write(sql`CREATE TABLE item (id BIGINT)`)
    await away.close()
  })

  it('says that it does not know what became of a write when the thread breaks, and takes the next with a new one', async () => {
    await db.write(sql`DELETE FROM item`)
    const writer = writeInThread(path, { script: new URL('./sqlite-breaking-worker.ts', import.meta.url) })
    const add = (id: number) => writer.write([sql`INSERT INTO item (id) VALUES (${id})`])
    for (const name of ['throws', 'ends']) {
      const asked = [add(1), writer.write([sql`SELECT ${name} AS how`]), add(2), writer.emptyLog()]
      for (const answer of await Promise.allSettled(asked))
        assert.ok(answer.status === 'rejected' && answer.reason instanceof OutcomeUnknown, answer.status)
      await add(3)
      assert.deepEqual(await db.read(sql`SELECT id FROM item`), [{ id: 3 }])
      await db.write(sql`DELETE FROM item`)
    }
    await writer.close()
  })

  it('takes no more than so much while the disk does not answer: what is refused is not written, and may be tried again', async () => {
    await db.write(sql`DELETE FROM item`)
    const writer = writeInThread(path, { most: 100_000 })
    const add = (id: number) => writer.write([sql`INSERT INTO item (id, bytes) VALUES (${id}, ${Buffer.alloc(60_000)})`])
    const other = new Database(path)
    other.exec('BEGIN IMMEDIATE')
    const taken = [add(1), add(2)]
    await pause(50)
    const refused = await add(3).catch((error: unknown) => error)
    assert.ok(refused instanceof Database.SqliteError && mayPass(refused), String(refused))
    other.exec('COMMIT')
    other.close()
    await Promise.all(taken)
    await add(4)
    assert.deepEqual(await db.read(sql`SELECT id FROM item ORDER BY id`), [{ id: 1 }, { id: 2 }, { id: 4 }])
    await writer.close()
  })

  it('refuses a group for which there is no memory, and writes the next', async () => {
    await db.write(sql`DELETE FROM item`)
    const endless = Object.defineProperty(Buffer.alloc(1), 'length', { value: 2 ** 50 })
    const add = (id: number, bytes: Buffer) => db.write(sql`INSERT INTO item (bytes, id) VALUES (${bytes}, ${id})`)
    for (const { status } of await Promise.allSettled([add(1, endless), add(2, Buffer.alloc(1))])) assert.equal(status, 'rejected')
    await add(3, Buffer.alloc(1))
    assert.deepEqual(await db.read(sql`SELECT id FROM item`), [{ id: 3 }])
  })

  it('is not begun again for a scrub once the database is closed', async () => {
    const short = openSqlite(join(folder, 'short.db'), { thread: true })
    await short.write(sql`CREATE TABLE item (id BIGINT)`)
    await short.close()
    await assert.rejects(short.scrub(), /closed/)
    assert.ok(!existsSync(join(folder, 'short.db-wal')))
  })

  it('dies at the failpoint that is armed, with the process', () => {
    const { signal, stdout } = program(`
      armFailpoint('commit.before:2')
      const db = openSqlite(${JSON.stringify(join(folder, 'killed.db'))}, { thread: true })
      await db.write(sql\`CREATE TABLE item (id BIGINT)\`)
      console.log('first')
      await db.write(sql\`INSERT INTO item VALUES (1)\`)
      console.log('second')`)
    assert.deepEqual([signal, stdout], ['SIGKILL', 'first\n'])
  })

  it('does not keep a program from ending, but for what it was asked', () => {
    const { status, stdout } = program(`
      const db = openSqlite(${JSON.stringify(join(folder, 'ends.db'))}, { thread: true })
      db.write(sql\`CREATE TABLE item (id BIGINT)\`).then(() => console.log('written'))`)
    assert.deepEqual([status, stdout], [0, 'written\n'])
  })
})

/** Some seconds at most, much longer than fifty turns of an idle event loop. */
const slow = sql`WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000000) SELECT count(*) AS n FROM c`

function program(text: string) {
  const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href)
  const imports = `
    import { armFailpoint } from ${source('ops/failpoint.ts')}
    import { sql } from ${source('store/db.ts')}
    import { openSqlite } from ${source('store/sqlite.ts')}`
  return spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', imports + text], {
    encoding: 'utf8',
    timeout: 60_000,
  })
}
