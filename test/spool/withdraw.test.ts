/** Finding mail of our own that waits, by what it is about. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { waitingOriginal } from '../../src/spool/withdraw.ts'
import { type Db, type Statement, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

const row = (id: string, kind: string, about: string | null, state: string): Statement[] => [
  sql`INSERT INTO message (id, kind, about, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
    VALUES (${id}, ${kind}, ${about}, '<1@x>', '', '', 0, 1, 1, '7bit', 0, '{}', ${Buffer.alloc(1)})`,
  sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at, claimed_until,
      fence, last_reply, delay_noticed)
    VALUES (${`${id}-1`}, ${id}, 'a@lab.example', 'lab.example', '', 0, ${state}, 0, 0, 0, 7, 50, 0, 'later', 0)`,
]

async function findsWhatWaits(db: Db): Promise<void> {
  await db.write(
    ...row('mail', 'mail', null, 'waiting'),
    ...row('code', 'code', 'letter', 'waiting'),
    ...row('old', 'notice', 'letter', 'delivered'),
  )
  assert.equal(await waitingOriginal(db, 'notice', 'letter', 60), undefined)
  await db.write(...row('new', 'notice', 'letter', 'held'), ...row('other', 'notice', 'another', 'waiting'))
  const found = { message: 'new', recipient: 'new-1', lastReply: 'later', nextAttemptAt: 7 }
  assert.deepEqual(await waitingOriginal(db, 'notice', 'letter', 60), { ...found, claimed: false })
  assert.deepEqual(await waitingOriginal(db, 'notice', 'letter', 40), { ...found, claimed: true })
}

/** The statement by which it looks. */
async function question(db: Db): Promise<Statement> {
  const asked: Statement[] = []
  const read: Db['read'] = (statement) => {
    asked.push(statement)
    return db.read(statement)
  }
  await waitingOriginal({ ...db, read }, 'notice', 'letter', 0)
  return asked[0] ?? assert.fail('nothing was asked')
}

describe('a notice that waits', () => {
  const folder = mkdtempSync(join(tmpdir(), 'letterlock-withdraw-'))
  after(() => rmSync(folder, { recursive: true }))

  it('is found by its letter, on SQLite by an index', async () => {
    const db = await openDatabase({ data: folder, database: `sqlite:${join(folder, 'db')}` })
    try {
      await findsWhatWaits(db)
      const { text, values } = await question(db)
      const plan = JSON.stringify(await db.read({ text: `EXPLAIN QUERY PLAN ${text}`, values }))
      assert.match(plan, /SEARCH message USING INDEX message_about \(about=\?\)/)
      assert.doesNotMatch(plan, /SCAN/)
    } finally {
      await db.close()
    }
  })

  describe('on PostgreSQL', { skip: withoutPostgres }, () => {
    let server: Postgres
    before(async () => {
      server = await startPostgres()
    })
    after(() => server?.close())

    it('is found by its letter and by an index as well', async () => {
      const database = await server.makeDatabase()
      const db = await openDatabase({ data: folder, database })
      try {
        await findsWhatWaits(db)
        const { text } = await question(db)
        const name = new URL(database).pathname.slice(1)
        // Five rows are sooner read than looked up.
        await server.command(`ALTER DATABASE ${name} SET enable_seqscan = off`)
        const plan = JSON.stringify(await server.command(`EXPLAIN ${text.replace('$1', "'notice'").replace('$2', "'letter'")}`, name))
        assert.match(plan, /message_about/)
      } finally {
        await db.close()
      }
    })
  })
})
