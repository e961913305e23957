/** The queue, a page at a time, in the order in which it is due; on both engines. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { listQueue, type QueueTrace, queuedOf } from '../../src/delivery/trace.ts'
import { type Db, type Statement, sql } from '../../src/store/db.ts'
import { onEachEngine } from '../world/engines.ts'

/** The nth message: two recipients, of whom many are due at the same time as others; every third message has one held and one delivered. */
function message(n: number): Statement[] {
  const id = `m${String(n).padStart(4, '0')}`
  const states = n % 3 === 0 ? ['held', 'delivered'] : ['waiting', 'waiting']
  return [
    sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
      VALUES (${id}, 'mail', '', '', '', 0, 1, 1, '7bit', 0, '{}', ${Buffer.alloc(1)})`,
    ...states.map(
      (
        state,
        i,
      ) => sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at,
        claimed_until, fence, delay_noticed)
        VALUES (${`${id}-${i + 1}`}, ${id}, ${`b@${i}.example`}, ${`${i}.example`}, '', 0, ${state}, 0, 0, 0, ${2000 - (n % 7)}, 0, 0, 0)`,
    ),
  ]
}

function queues(engine: string, open: () => Promise<Db>): void {
  describe(`the queue on ${engine}`, () => {
    let db: Db
    before(async () => {
      db = await open()
      await db.write(...Array.from({ length: 60 }, (_, n) => message(n)).flat())
    })
    after(() => db?.close())

    /** All of it by pages of so many. */
    async function walked(limit: number, filter: Parameters<typeof listQueue>[1] = {}): Promise<QueueTrace[]> {
      const all: QueueTrace[] = []
      for (let rows = await listQueue(db, { ...filter, limit }); rows.length > 0; ) {
        assert.ok(rows.length <= limit)
        all.push(...rows)
        const last = rows.at(-1) ?? assert.fail()
        rows = await listQueue(db, { ...filter, limit, after: { at: last.nextAttemptAt, id: last.id } })
      }
      return all
    }

    const place = ({ nextAttemptAt, id }: QueueTrace) => `${nextAttemptAt} ${id}`

    test('pages of any size show what waits and what is held once, the next due first', async () => {
      const all = (await walked(1000)).map(place)
      assert.equal(all.length, 20 + 80)
      assert.deepEqual(all, all.toSorted())
      for (const limit of [1, 3, 7, 40]) assert.deepEqual((await walked(limit)).map(place), all, `pages of ${limit}`)
    })

    test('a state or a destination that is asked for is all that is shown', async () => {
      const held = await walked(7, { state: 'held' })
      assert.deepEqual([held.length, new Set(held.map(({ state }) => state))], [20, new Set(['held'])])
      const waiting = await walked(7, { state: 'waiting', domain: '1.example' })
      assert.deepEqual(
        [waiting.length, new Set(waiting.map(({ domain, state }) => `${domain} ${state}`))],
        [40, new Set(['1.example waiting'])],
      )
    })

    test('a message is found with all its recipients that wait or are held, and a recipient alone', async () => {
      const ids = async (id: string) => (await queuedOf(db, id)).map((one) => one.id)
      assert.deepEqual(await ids('m0001'), ['m0001-1', 'm0001-2'])
      assert.deepEqual(await ids('m0001-2'), ['m0001-2'])
      assert.deepEqual(await ids('m0003'), ['m0003-1'])
      assert.deepEqual(await ids('nothing'), [])
    })

    test('what is held or released meanwhile is shown once all the same', async () => {
      const flip = sql`UPDATE recipient SET state = CASE state WHEN 'held' THEN 'waiting' ELSE 'held' END WHERE state <> 'delivered'`
      let last = Promise.resolve()
      /** Whoever asks twice finds that everything was held, or released, in between. */
      const changing: Db = {
        ...db,
        read: async (statement) => {
          const answer = last.then(() => db.read<never>(statement))
          last = answer.then(async () => void (await db.write(flip)))
          return answer
        },
      }
      const all = new Set((await listQueue(db)).map(({ id }) => id))
      for (let i = 0; i < 2; i++) {
        const found = await listQueue(changing)
        await last
        assert.deepEqual([found.length, new Set(found.map(({ id }) => id))], [all.size, all])
      }
    })

    if (engine === 'SQLite')
      test('a page does not read the whole queue: it goes along the index of what is due', async () => {
        const plans: string[] = []
        const planned = async ({ text, values }: Statement) => {
          const steps = await db.read<{ detail: string }>({ text: `EXPLAIN QUERY PLAN ${text}`, values })
          plans.push(...steps.map(({ detail }) => detail))
          return []
        }
        const watching = { ...db, read: planned } as Db
        await listQueue(watching, { limit: 5, after: { at: 1995, id: 'm0001-1' } })
        await queuedOf(watching, 'm0001')
        const all = plans.join('\n')
        // What the two pages came to is put together.
        assert.doesNotMatch(all, /^SCAN (?!(?:waiting|held)$)/m)
        for (const index of ['recipient_due', 'recipient_held'])
          assert.match(all, new RegExp(`^SEARCH recipient USING INDEX ${index} .next_attempt_at>`, 'm'))
      })
  })
}

onEachEngine(queues)
