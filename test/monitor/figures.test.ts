/** How much waits, since when, and how letters stand; read by indexes alone. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { newId } from '../../src/mail/id.ts'
import { readFigures } from '../../src/monitor/figures.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { type Db, type Statement, sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'letterlock-figures-'))
let db: Db
before(async () => {
  db = openSqlite(join(folder, 'letterlock.db'))
  await migrate(db, join(packageRoot, 'migrations'))
})
after(async () => {
  await db.close()
  rmSync(folder, { recursive: true })
})

/** A message accepted at this time with recipients in these states. */
function message(acceptedAt: number, ...states: readonly string[]): Statement[] {
  const id = newId(acceptedAt)
  return [
    sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
      VALUES (${id}, 'mail', '', '', '', ${acceptedAt}, 1, 1, '7bit', 0, '{}', ${Buffer.alloc(1)})`,
    ...states.map(
      (
        state,
        i,
      ) => sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at,
        claimed_until, fence, delay_noticed) VALUES (${`${id}-${i}`}, ${id}, '', '', '', 0, ${state}, 0, 0, 0, ${Date.now()}, 0, 0, 0)`,
    ),
  ]
}
const letter = (state: string, endedAt: number | null): Statement => {
  const id = newId()
  return sql`INSERT INTO letter (id, reference, message, recipient, address, sender_address, sender_name, message_id, references_field, proof, label,
    created_at, expires_at, state, ended_at) VALUES (${id}, ${id}, '', ${id}, '', '', '', '', '', 'code', '', 0, 0, ${state}, ${endedAt})`
}

test('of an empty database everything is nothing', async () => {
  const letters = { waiting: 0, notified: 0, read: 0 }
  assert.deepEqual(await readFigures(db, Date.now()), { counts: [], queue: { waiting: 0, held: 0 }, oldest: 0, letters })
})

test('recipients count by state, the oldest is of those that wait, and letters that ended are left out', async () => {
  const now = Date.now() + 100_000
  await db.write(
    ...message(now - 90_000, 'held', 'delivered'),
    ...message(now - 60_000, 'delivered', 'waiting', 'waiting'),
    ...message(now - 50_000, 'waiting', 'bounced', 'letter-notified'),
    ...['waiting', 'notified', 'notified', 'read'].map((state) => letter(state, null)),
    ...['read', 'expired', 'recalled'].map((state) => letter(state, now)),
  )
  const letters = { waiting: 1, notified: 2, read: 1 }
  assert.deepEqual(await readFigures(db, now), { counts: [], queue: { waiting: 3, held: 1 }, oldest: 60_000, letters })
  assert.equal((await readFigures(db, 0)).oldest, 0, 'a clock set back makes nothing younger than new')
})

test('no row of a queue or a letter is looked at, only indexes that hold what waits, is held, or can be opened', async () => {
  const seen: string[] = []
  const watched: Db = {
    ...db,
    read: (statement) => {
      seen.push(statement.text)
      return db.read(statement)
    },
  }
  await readFigures(watched, Date.now())
  const counting = seen.filter((text) => text.includes('COUNT(*)'))
  assert.equal(counting.length, 3)
  for (const text of counting) {
    const plan = await db.read<{ detail: string }>({ text: `EXPLAIN QUERY PLAN ${text}`, values: [] })
    assert.match(plan.map(({ detail }) => detail).join(), /^SCAN \w+ USING COVERING INDEX (?:recipient_due|recipient_held|letter_live)$/)
  }
})
