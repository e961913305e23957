/** PostgreSQL that is away, breaks off or hangs: what was promised stays, what is not known is not called failed, and all is well again by itself. */
import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Db, OutcomeUnknown, sql } from '../../src/store/db.ts'
import { openPostgres, type PostgresOptions } from '../../src/store/postgres.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

describe('PostgreSQL out of order', { skip: withoutPostgres }, () => {
  let server: Postgres
  let line: Line
  let db: Db
  let address: string
  const opened: Db[] = []
  const open = async (options: Partial<PostgresOptions> = {}, at = address) => {
    const one = await openPostgres(at, options)
    opened.push(one)
    return one
  }
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.close())
  beforeEach(async () => {
    line = await startLine(server.port)
    const direct = await server.makeDatabase()
    address = direct.replace(`:${server.port}/`, `:${line.port}/`)
    db = await open({ patience: 60_000 })
    await db.write(sql`CREATE TABLE item (id BIGINT)`)
  })
  afterEach(async () => {
    line.pass()
    await Promise.all(opened.splice(0).map((one) => one.close()))
    await line.close()
  })
  const add = (id: number, to = db) => to.write(sql`INSERT INTO item VALUES (${id})`)
  const ids = async () => (await db.read<{ id: number }>(sql`SELECT id FROM item ORDER BY id`)).map(({ id }) => id)

  it('does once what was committed, though the answer was lost', async () => {
    line.cutAt('; COMMIT', 'behind')
    await Promise.all([add(1), add(2)])
    assert.equal(line.cuts(), 1)
    assert.deepEqual(await ids(), [1, 2])
  })

  it('does again what was not committed, because the commit never arrived', async () => {
    line.cutAt('; COMMIT', 'before')
    await Promise.all([add(1), add(2)])
    assert.equal(line.cuts(), 1)
    assert.deepEqual(await ids(), [1, 2])
  })

  it('says "unknown", not "failed", of a commit that it cannot ask after', async () => {
    const hasty = await open({ patience: 2000 })
    line.cutAt('; COMMIT', 'behind', { stayAway: true })
    await assert.rejects(add(1, hasty), OutcomeUnknown)
    line.pass()
    assert.deepEqual(await ids(), [1]) // it did happen: "failed" would have been a lie
  })

  it('says "failed" of a write that never began', async () => {
    const hasty = await open({ patience: 2000 })
    line.away()
    await assert.rejects(add(1, hasty), (error) => !(error instanceof OutcomeUnknown))
    await assert.rejects(hasty.read(sql`SELECT 1 AS one`), /ECONNREFUSED|terminated|ECONNRESET|timeout/)
    line.pass()
    await add(2, hasty)
    assert.deepEqual(await ids(), [2])
  })

  it('waits for a server that crashes and comes back, reading and writing', async () => {
    const rounds = Array.from({ length: 40 }, async (_, i) => {
      await pause(i * 25)
      await add(i)
      return (await ids()).includes(i)
    })
    await pause(300)
    await server.stop('immediate')
    await pause(300)
    await server.start()
    assert.ok((await Promise.all(rounds)).every(Boolean))
    assert.deepEqual(
      await ids(),
      Array.from({ length: 40 }, (_, i) => i),
    )
  })

  it('goes on when its connections are ended by an administrator', async () => {
    await add(1)
    await server.command("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'letterlock'")
    assert.deepEqual(await ids(), [1])
    await add(2)
    assert.deepEqual(await ids(), [1, 2])
  })

  it('waits for a free connection, but not for ever', async () => {
    const narrow = await open({ connections: 1, patience: 4000 })
    const slow = (seconds: number) => narrow.read({ text: 'SELECT pg_sleep($1) IS NULL AS slept', values: [seconds + 0.01] })
    const [first, second] = await Promise.all([slow(0.1), narrow.read(sql`SELECT 2 AS two`)])
    assert.deepEqual([first, second], [[{ slept: 0 }], [{ two: 2 }]])
    const long = slow(7)
    await assert.rejects(narrow.read(sql`SELECT 2 AS two`), /timeout/)
    await long
    assert.deepEqual(await narrow.read(sql`SELECT 2 AS two`), [{ two: 2 }])
  })

  it('does not begin a write that has waited for longer than its patience', async () => {
    const hasty = await open({ patience: 1500 })
    const slow = hasty.write({ text: 'SELECT pg_sleep($1) IS NULL AS slept', values: [5.1] })
    await pause(100)
    await assert.rejects(add(1, hasty), /not begun/)
    await slow
    await add(2, hasty)
    assert.deepEqual(await ids(), [2])
  })

  it('takes a text with NUL, which PostgreSQL cannot keep, for one with a sign in its place', async () => {
    const [rows] = await db.write(sql`SELECT CAST(${'a\0b'} AS TEXT) AS text`)
    assert.deepEqual(rows, [{ text: 'a\ufffdb' }])
  })

  it('wakes other processes, not itself', async () => {
    const other = await open()
    const heard: string[] = []
    const stop = other.onWake(() => heard.push('other'))
    db.onWake(() => heard.push('self'))
    for (const end = Date.now() + 60_000; heard.length === 0 && Date.now() < end; await pause(50)) db.wakeOthers()
    await pause(100)
    assert.deepEqual([...new Set(heard)], ['other'])
    stop()
  })
})

type Line = {
  readonly port: number
  /** Cut the connection that sends `word`: before it or behind it, so that its answer is lost. Once. */
  readonly cutAt: (word: string, where: 'before' | 'behind', options?: { readonly stayAway: boolean }) => void
  readonly cuts: () => number
  /** Cut everything, and take no new connection until `pass`. */
  readonly away: () => void
  readonly pass: () => void
  readonly close: () => Promise<void>
}

/** A line to the server at `port` that can be cut. */
async function startLine(port: number): Promise<Line> {
  let word: Buffer | undefined
  let where: 'before' | 'behind' = 'before'
  let [stayAway, closed, cuts] = [false, false, 0]
  const ends = new Set<Socket>()
  const cutAll = () => {
    for (const end of ends) end.destroy()
  }
  const listener = createServer((near) => {
    if (closed) return void near.resetAndDestroy()
    const far = connect(port, '127.0.0.1')
    for (const end of [near, far]) {
      ends.add(end)
      end.on('error', () => {})
      end.on('close', () => {
        ends.delete(end)
        near.destroy()
        // What was sent still arrives.
        far.end()
      })
    }
    far.pipe(near)
    near.on('data', (chunk: Buffer) => {
      if (word === undefined || !chunk.includes(word)) return void far.write(chunk)
      word = undefined
      cuts += 1
      closed = stayAway
      far.unpipe(near)
      if (where === 'behind') far.end(chunk)
      else far.end()
      near.destroy()
    })
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return {
    port: (listener.address() as AddressInfo).port,
    cutAt: (wanted, place, options = { stayAway: false }) => {
      word = Buffer.from(wanted)
      where = place
      stayAway = options.stayAway
    },
    cuts: () => cuts,
    away: () => {
      closed = true
      cutAll()
    },
    pass: () => {
      closed = false
    },
    close: () => {
      cutAll()
      return new Promise((resolve) => listener.close(() => resolve()))
    },
  }
}
