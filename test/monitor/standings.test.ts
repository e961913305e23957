/** Domains a page at a time, on both engines, and where the database has another order of names than the program. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { standings, standingsPage } from '../../src/monitor/fall-backs.ts'
import { enlist } from '../../src/monitor/history.ts'
import { type Db, type Statement, sql } from '../../src/store/db.ts'
import { onEachEngine } from '../world/engines.ts'

const now = Date.UTC(2026, 10, 23)
/** Hyphens and digits, which languages sort in other ways than their codes: `a-b.example` and `ab.example`. */
const probed = Array.from({ length: 25 }, (_, i) => `d${i % 2 === 0 ? '-' : ''}${String(i).padStart(2, '0')}.example`)

/** A message to that domain which went as a letter, the tls step having ended for that reason. */
function letter(domain: string, reason: string, settledAt = now - 1000): Statement[] {
  const id = `m-${domain}`
  const record = JSON.stringify({ steps: [{ method: 'tls', result: 'unsuitable', reason, text: '', evidence: {} }] })
  return [
    sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
      VALUES (${id}, 'mail', '', '', '', ${now}, 1, 1, '7bit', 0, '{}', ${Buffer.alloc(1)})`,
    sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at,
        claimed_until, fence, delay_noticed, method, reason, settled_at)
      VALUES (${`${id}-1`}, ${id}, '', ${domain}, '', 0, 'letter', 1, 1, 1, 0, 0, 0, 0, 'escrow', ${reason}, ${settledAt})`,
    sql`INSERT INTO decision (recipient, attempt, at, policy_revision, record) VALUES (${`${id}-1`}, 1, ${now}, 1, ${record})`,
  ]
}

function pages(engine: string, open: () => Promise<Db>): void {
  describe(`pages of domains on ${engine}`, () => {
    let db: Db
    const read: string[] = []
    before(async () => {
      const opened = await open()
      db = {
        ...opened,
        read: async (statement) => {
          const rows = await opened.read(statement)
          read.push(...rows.flatMap((row) => ('next_at' in (row as object) ? [String((row as { domain: string }).domain)] : [])))
          return rows as never
        },
      }
      await db.write(
        ...probed.map((domain) => enlist({ domain, at: now }, now)),
        // Fell back, and was probed; was not probed yet; for no fault of its own; too long ago.
        ...letter('d-04.example', 'starttls-not-supported'),
        ...['a-b.example', 'ab.example', 'd05x.example', 'z.example', 'd-.example'].flatMap((domain) =>
          letter(domain, 'certificate-expired'),
        ),
        ...['aa.example', 'd06.example', 'dd.example'].flatMap((domain) => letter(domain, 'message-too-large')),
        ...letter('old.example', 'certificate-expired', now - 8 * 86_400_000),
      )
    })
    after(() => db?.close())

    for (const limit of [1, 2, 10, 100])
      test(`of ${limit} are together all of them, each once, and read no more than their own`, async () => {
        const all = await standings(db, now)
        assert.equal(all.length, 25 + 5)
        const found: typeof all = []
        for (;;) {
          read.length = 0
          const page = await standingsPage(db, now, { after: found.at(-1)?.domain ?? '', limit })
          const own = page.filter(({ nextProbeAt }) => nextProbeAt !== null).map(({ domain }) => domain)
          assert.deepEqual(read.slice(0, own.length), own)
          if (page.length === 0) break
          assert.ok(page.length <= limit)
          found.push(...page)
        }
        const byName = (one: { domain: string }, other: { domain: string }) => (one.domain < other.domain ? -1 : 1)
        assert.deepEqual(found.toSorted(byName), all)
        assert.deepEqual(all.find(({ domain }) => domain === 'd-04.example')?.fellBack.reason, 'starttls-not-supported')
      })

    test('one domain alone is told as on its page', async () => {
      const all = await standings(db, now)
      for (const one of all) assert.deepEqual(await standings(db, now, one.domain), [one])
      assert.deepEqual(await standings(db, now, 'nobody.example'), [])
    })
  })
}

onEachEngine(pages)
