/** What every database engine must do: one suite, run over each of them. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { type Db, expecting, type Statement, sql, Unexpected } from '../../src/store/db.ts'

/** A place for one empty database: `open` gives connections to it, as several processes would have; `drop` removes it. */
export type Place = { readonly open: () => Promise<Db>; readonly drop: () => Promise<void> }

export function dbContract(engine: string, makePlace: () => Promise<Place>): void {
  describe(`the database contract on ${engine}`, () => {
    let place: Place
    let db: Db
    before(async () => {
      place = await makePlace()
      db = await place.open()
      await db.write(sql`CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT, bytes BYTEA)`)
    })
    beforeEach(() => db.write(sql`DELETE FROM item`))
    after(async () => {
      await db?.close()
      await place.drop()
    })
    const add = (id: number, name: string | null = null): Statement => sql`INSERT INTO item (id, name) VALUES (${id}, ${name})`
    const ids = async () => (await db.read<{ id: number }>(sql`SELECT id FROM item ORDER BY id`)).map(({ id }) => id)

    it('gives back numbers, texts, bytes and nulls as they were', async () => {
      const bytes = Buffer.from([0, 1, 255])
      const large = 2 ** 52 + 1
      await db.write(sql`INSERT INTO item VALUES (${large}, ${'Grüße \u0001 ✉'}, ${bytes})`, add(2))
      const [nothing, full] = await db.read(sql`SELECT * FROM item ORDER BY id`)
      assert.deepEqual(full, { id: large, name: 'Grüße \u0001 ✉', bytes })
      assert.ok(full?.bytes instanceof Buffer)
      assert.deepEqual(nothing, { id: 2, name: null, bytes: null })
    })

    it('keeps empty bytes apart from null', async () => {
      await db.write(sql`INSERT INTO item VALUES (1, ${''}, ${Buffer.alloc(0)})`)
      assert.deepEqual(await db.read(sql`SELECT * FROM item`), [{ id: 1, name: '', bytes: Buffer.alloc(0) }])
    })

    it('treats whole numbers as whole: 7 / 2 is 3', async () => {
      assert.deepEqual(await db.read({ text: 'SELECT 7 / CAST($1 AS BIGINT) AS half', values: [2] }), [{ half: 3 }])
    })

    it('puts a whole number into a text as it is written', async () => {
      await db.write(sql`INSERT INTO item (id, name) VALUES (1, CAST(${5} AS TEXT))`)
      assert.deepEqual(await db.read(sql`SELECT name FROM item`), [{ name: '5' }])
    })

    it('lets a placeholder repeat and stand in any order', async () => {
      await db.write({ text: 'INSERT INTO item (name, id) SELECT $2, $1 WHERE $1 > 0', values: [5, 'five'] })
      assert.deepEqual(await db.read({ text: 'SELECT id FROM item WHERE name = $1 OR name = $1', values: ['five'] }), [{ id: 5 }])
    })

    it('never takes a value for SQL text', async () => {
      const name = "'); DROP TABLE item; -- $1 ?"
      await db.write(add(1, name))
      assert.deepEqual(await db.read(sql`SELECT name FROM item WHERE name = ${name}`), [{ name }])
    })

    it('answers each statement of a write with the rows it returned', async () => {
      const answers = await db.write(add(1, 'a'), sql`UPDATE item SET name = 'b' RETURNING id, name`, sql`SELECT name FROM item`)
      assert.deepEqual(answers, [[], [{ id: 1, name: 'b' }], [{ name: 'b' }]])
      assert.deepEqual(await db.write(), [])
    })

    it('writes nothing when a later statement fails', async () => {
      await assert.rejects(db.write(add(1), add(2), add(1)), /unique|constraint/i)
      assert.deepEqual(await ids(), [])
    })

    it('rolls back a write that touched another number of rows than expected', async () => {
      await db.write(add(1, 'old'))
      const late = expecting(1, sql`UPDATE item SET name = 'late' WHERE id = 1 AND name = 'gone'`)
      await assert.rejects(db.write(add(2), late, add(3)), Unexpected)
      assert.deepEqual(await ids(), [1])
    })

    it('tells of the first thing that is wrong, not of what follows from it', async () => {
      const [never, broken] = [expecting(1, sql`DELETE FROM item WHERE id = 9`), sql`INSERT INTO nowhere VALUES (1)`]
      await assert.rejects(db.write(never, broken), Unexpected)
      await assert.rejects(db.write(broken, never), /nowhere/)
    })

    it('counts returned rows as well as touched ones', async () => {
      await db.write(add(1), add(2))
      await db.write(expecting(2, sql`UPDATE item SET name = 'x' RETURNING id`), expecting(2, sql`SELECT id FROM item`))
      await assert.rejects(db.write(expecting(1, sql`DELETE FROM item RETURNING id`)), Unexpected)
      await assert.rejects(db.write(expecting(0, sql`SELECT id FROM item`)), Unexpected)
      await db.write(expecting(0, sql`DELETE FROM item WHERE id = 9`), expecting(2, sql`DELETE FROM item`))
      assert.deepEqual(await ids(), [])
    })

    it('does not let one failing write fail the others asked for in the same turn', async () => {
      const writes = [
        add(1),
        add(1),
        expecting(7, sql`UPDATE item SET name = 'seven'`),
        add(2),
        sql`INSERT INTO nowhere VALUES (1)`,
        add(3),
      ]
      const answers = await Promise.allSettled(writes.map((statement) => db.write(statement)))
      const sorts = answers.map((answer) =>
        answer.status === 'fulfilled' ? 'done' : answer.reason instanceof Unexpected ? 'unexpected' : 'failed',
      )
      assert.deepEqual(sorts, ['done', 'failed', 'unexpected', 'done', 'failed', 'done'])
      assert.deepEqual(await ids(), [1, 2, 3])
      assert.deepEqual(await db.read(sql`SELECT name FROM item WHERE name IS NOT NULL`), [])
    })

    it('lets exactly one of many claim a row', async () => {
      await db.write(add(1, 'free'))
      const others = await Promise.all([place.open(), place.open()])
      const claims = [db, ...others, db].map((each, i) =>
        each.write(expecting(1, sql`UPDATE item SET name = ${`claimed by ${i}`} WHERE id = 1 AND name = 'free'`)),
      )
      const won = (await Promise.allSettled(claims)).filter(({ status }) => status === 'fulfilled')
      await Promise.all(others.map((other) => other.close()))
      assert.equal(won.length, 1)
    })

    it('shows a finished write to other connections', async () => {
      const other = await place.open()
      await db.write(add(1))
      assert.deepEqual(await other.read(sql`SELECT id FROM item`), [{ id: 1 }])
      await other.close()
    })

    it('takes a thousand writes at once from three connections', async () => {
      const connections = [db, await place.open(), await place.open()]
      const writes = Array.from({ length: 1000 }, (_, i) => connections[i % 3]?.write(add(i)))
      await Promise.all(writes)
      assert.equal((await ids()).length, 1000)
      await Promise.all(connections.slice(1).map((connection) => connection.close()))
    })

    it('refuses a change through read', async () => {
      await assert.rejects(db.read(sql`INSERT INTO item (id) VALUES (1) RETURNING id`), /read/)
      await assert.rejects(db.read(sql`WITH one AS (SELECT 1) DELETE FROM item`), /read/)
    })

    it('finishes what was asked for before it closes, and refuses what comes later', async () => {
      const other = await place.open()
      const write = other.write(add(1))
      await Promise.all([other.close(), other.close()])
      await write
      assert.deepEqual(await ids(), [1])
      await assert.rejects(other.write(add(2)), /clos/)
      await assert.rejects(other.read(sql`SELECT 1 AS one`))
    })

    it('scrubs whether or not there is something to scrub', async () => {
      await db.scrub()
      await db.write(add(1))
      await Promise.all([db.scrub(), db.scrub()])
      assert.deepEqual(await ids(), [1])
    })
  })
}
