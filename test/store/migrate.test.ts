/** Migrations: applied once, by one process, and never to a database that a newer program has changed. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Db, sql } from '../../src/store/db.ts'
import { type Migrated, migrate, splitSql } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

const ours = fileURLToPath(new URL('../../migrations', import.meta.url))

describe('migrate', () => {
  let place: string
  let files: string
  let db: Db
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'letterlock-migrate-'))
    files = join(place, 'migrations')
    mkdirSync(files)
    writeFileSync(join(files, '0001-first.sql'), "-- a; comment\nCREATE TABLE a (x TEXT); INSERT INTO a VALUES ('1;2');\n")
    db = openSqlite(join(place, 'db'))
  })
  afterEach(async () => {
    await db.close()
    rmSync(place, { recursive: true })
  })
  const second = (text: string) => writeFileSync(join(files, '0002-second.sql'), text)
  const tables = async () =>
    (await db.read(sql`SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migration_floor' ORDER BY name`)).map(
      ({ name }) => name,
    )

  it('applies each file once, in order', async () => {
    assert.deepEqual(await migrate(db, files), { kind: 'ready', applied: ['0001-first.sql'] })
    second('ALTER TABLE a ADD COLUMN y BIGINT')
    assert.deepEqual(await migrate(db, files, () => 42), { kind: 'ready', applied: ['0002-second.sql'] })
    assert.deepEqual(await migrate(db, files), { kind: 'ready', applied: [] })
    assert.deepEqual(await db.read(sql`SELECT * FROM a`), [{ x: '1;2', y: null }])
    assert.deepEqual(await db.read(sql`SELECT name, applied_at FROM migration WHERE number = 2`), [
      { name: '0002-second.sql', applied_at: 42 },
    ])
  })

  it('applies a file wholly or not at all', async () => {
    second('CREATE TABLE b (x TEXT); CREATE TABLE a (x TEXT);')
    await assert.rejects(migrate(db, files), /already exists/)
    assert.deepEqual(await tables(), ['a', 'migration'])
    second('CREATE TABLE b (x TEXT)')
    assert.deepEqual(await migrate(db, files), { kind: 'ready', applied: ['0002-second.sql'] })
  })

  it('refuses, in a sentence, a database that is newer than the program', async () => {
    second('CREATE TABLE b (x TEXT)')
    await migrate(db, files)
    rmSync(join(files, '0002-second.sql'))
    const answer = await migrate(db, files)
    assert.equal(answer.kind, 'refused')
    assert.match(answer.kind === 'refused' ? answer.text : '', /newer version of Letterlock \(0002-second\.sql\)\. Install that version/)
  })

  it('goes on with a newer database when every newer migration says that it may', async () => {
    second('-- What this adds nobody has to know.\n-- compatible-from: 1\nCREATE TABLE b (x TEXT)')
    writeFileSync(join(files, '0003-third.sql'), '-- compatible-from: 2\nCREATE TABLE c (x TEXT)')
    await migrate(db, files)
    rmSync(join(files, '0003-third.sql'))
    assert.deepEqual(await migrate(db, files), { kind: 'ready', applied: [] }) // we know 0002
    rmSync(join(files, '0002-second.sql'))
    const answer = await migrate(db, files)
    assert.match(answer.kind === 'refused' ? answer.text : '', /newer version of Letterlock \(0003-third\.sql\)/)
  })

  it('finds an edited file behind a newer database too', async () => {
    second('-- compatible-from: 1\nCREATE TABLE b (x TEXT)')
    await migrate(db, files)
    rmSync(join(files, '0002-second.sql'))
    appendFileSync(join(files, '0001-first.sql'), '-- sneaked')
    const answer = await migrate(db, files)
    assert.match(answer.kind === 'refused' ? answer.text : '', /0001-first\.sql differs/)
  })

  it('refuses a file that was edited after it had been applied', async () => {
    await migrate(db, files)
    appendFileSync(join(files, '0001-first.sql'), 'CREATE TABLE sneaked (x TEXT);')
    const answer = await migrate(db, files)
    assert.match(answer.kind === 'refused' ? answer.text : '', /0001-first\.sql differs/)
    assert.deepEqual(await tables(), ['a', 'migration'])
  })

  it('does not mind line ends that a checkout turned', async () => {
    await migrate(db, files)
    writeFileSync(join(files, '0001-first.sql'), "-- a; comment\r\nCREATE TABLE a (x TEXT); INSERT INTO a VALUES ('1;2');\r\n")
    assert.deepEqual(await migrate(db, files), { kind: 'ready', applied: [] })
  })

  it('is done once when several processes start at the same time', async () => {
    for (const number of [2, 3, 4, 5]) writeFileSync(join(files, `000${number}-more.sql`), `CREATE TABLE t${number} (x TEXT)`)
    const others = [openSqlite(join(place, 'db')), openSqlite(join(place, 'db'))]
    const answers = await Promise.all([db, ...others].map((each) => migrate(each, files)))
    await Promise.all(others.map((other) => other.close()))
    const applied = answers.flatMap((answer) => (answer.kind === 'ready' ? answer.applied : ['refused']))
    assert.deepEqual(applied.sort(), ['0001-first.sql', '0002-more.sql', '0003-more.sql', '0004-more.sql', '0005-more.sql'])
    assert.equal((await db.read(sql`SELECT x FROM a`)).length, 1)
  })

  it('is done once when real processes make the database at the same time', async () => {
    const module = (name: string) => JSON.stringify(new URL(`../../src/store/${name}.ts`, import.meta.url).href)
    const program = `
      import { openSqlite } from ${module('sqlite')}
      import { migrate } from ${module('migrate')}
      const db = openSqlite(${JSON.stringify(join(place, 'fresh', 'db'))})
      console.log(JSON.stringify(await migrate(db, ${JSON.stringify(ours)})))
      await db.close()`
    const start = () => promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program])
    const answers = (await Promise.all([start(), start(), start()])).map(({ stdout }) => JSON.parse(stdout) as Migrated)
    const applied = answers.flatMap((answer) => (answer.kind === 'ready' ? answer.applied : [answer.text]))
    assert.deepEqual(
      applied.sort(),
      readdirSync(ours)
        .filter((name) => name.endsWith('.sql'))
        .sort(),
    )
  })

  it('finds a gap in the numbers', async () => {
    writeFileSync(join(files, '0003-third.sql'), 'CREATE TABLE c (x TEXT)')
    await assert.rejects(migrate(db, files), /0003-third\.sql should have number 2/)
  })

  it('applies the migrations of this program', async () => {
    const answer = await migrate(db, ours)
    assert.equal(answer.kind, 'ready')
    assert.ok((await tables()).includes('recipient'))
  })

  it('ignores what is no SQL file', async () => {
    copyFileSync(join(files, '0001-first.sql'), join(files, 'README'))
    assert.equal((await migrate(db, files)).kind, 'ready')
  })
})

describe('splitSql', () => {
  const cases: [what: string, text: string, statements: string[]][] = [
    ['cuts at semicolons', 'a; b;c', ['a', 'b', 'c']],
    ['keeps semicolons of strings, names and comments', `a ';''' ";" -- ;\n/* ; */ b`, [`a ';''' ";" -- ;\n/* ; */ b`]],
    ['drops what is only comment', '-- nothing; here\n ;; /* nor; here */', []],
    ['keeps a minus and a slash', 'a - b / c', ['a - b / c']],
    ['keeps a quote that never ends with the rest', "a 'b; c", ["a 'b", 'c']],
  ]
  for (const [what, text, statements] of cases) it(what, () => assert.deepEqual(splitSql(text), statements))
})
