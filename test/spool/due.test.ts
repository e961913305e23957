import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import Database from 'better-sqlite3'
import { defaultSettings } from '../../src/ops/settings.ts'
import { claimDue } from '../../src/spool/claim.ts'
import { type DueGroup, dueGroups } from '../../src/spool/due.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { type Db, type Statement, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

let folder: string
let db: Db
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'due-'))
  db = await openDatabase(defaultSettings({ data: folder, database: `sqlite:${join(folder, 'db')}` }))
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

const now = 1_000_000
let rows = 0

/** `count` messages of one author to one domain, one recipient each, due at `due`. */
async function waiting(count: number, domain: string, sender: string, { due = now - 1, code = 0 } = {}): Promise<void> {
  const statements = Array.from({ length: count }, () => {
    const id = `m${String(rows++).padStart(7, '0')}`
    return sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at,
        claimed_until, fence, delay_noticed, sender, code)
      VALUES (${`${id}-1`}, ${id}, ${`x@${domain}`}, ${domain}, '', 0, 'waiting', 0, 0, 0, ${due}, 0, 0, 0, ${sender}, ${code})`
  })
  await db.write(...statements)
}

const full = (name: string) => (domain: string) => (domain === name ? 0 : 5)
const domainsOf = (groups: readonly DueGroup[]) => new Set(groups.map(({ domain }) => domain))

/** What is found in so many looks. */
async function looks(most: number, limit: number, room?: (domain: string) => number): Promise<DueGroup[]> {
  const found: DueGroup[] = []
  for (let i = 0; i < most; i++) found.push(...(await dueGroups(db, now, limit, room ? { room } : {})))
  return found
}

test('thousands of older messages of one author do not hide the one of another', async () => {
  await waiting(3000, 'big.example', 'mass@org.example', { due: now - 1000 })
  await waiting(1, 'big.example', 'ann@org.example')
  const senders = (await looks(1, 5)).map(({ sender }) => sender)
  assert.ok(senders.includes('ann@org.example'), senders.join())
})

test('thousands of older messages for a host without room do not hide mail for another', async () => {
  await waiting(3000, 'full.example', 'mass@org.example', { due: now - 1000 })
  await waiting(2, 'shop.example', 'mass@org.example')
  assert.deepEqual(domainsOf(await looks(1, 5, full('full.example'))), new Set(['shop.example']))
})

test('each of a thousand lanes has its turn within a few looks', async () => {
  for (let i = 0; i < 1000; i++) await waiting(1, `d${i}.example`, 'mass@org.example', { due: now - 2000 + i })
  await waiting(1, 'zz.example', 'ann@org.example')
  const found = await looks(12, 5)
  assert.ok(found.some(({ sender }) => sender === 'ann@org.example'))
})

test('what is not due and what is claimed is not found, however it is looked for', async () => {
  await waiting(3000, 'big.example', 'mass@org.example')
  await waiting(50, 'later.example', 'ann@org.example', { due: now + 1 })
  await waiting(50, 'claimed.example', 'ben@org.example')
  await db.write(sql`UPDATE recipient SET claimed_until = ${now + 1} WHERE domain = 'claimed.example'`)
  assert.deepEqual(domainsOf(await looks(3, 5)), new Set(['big.example']))
})

test('code mail is found beside any number of other messages', async () => {
  await waiting(3000, 'big.example', 'mass@org.example', { due: now - 1000 })
  await waiting(2, 'lab.example', '', { code: 1 })
  assert.equal((await dueGroups(db, now, 5, { codesOnly: true })).length, 2)
})

test('a route of its own is found though all else goes to a host without room', async () => {
  for (let i = 0; i < 600; i++) await waiting(1, `d${i}.example`, `s${i}@org.example`, { due: now - 1000 })
  await waiting(1, 'zz-own.example', 'ann@org.example')
  const sharing = { nameOf: (domain: string) => (domain === 'zz-own.example' ? domain : 'smart host'), named: ['zz-own.example'] }
  const found = await dueGroups(db, now, 5, { room: (domain) => (domain === 'zz-own.example' ? 1 : 0), sharing })
  assert.deepEqual(domainsOf(found), new Set(['zz-own.example']))
})

test('a claim looks at the recipients of its message, not at all that waits for its destination', async () => {
  const plans: string[] = []
  const file = new Database(join(folder, 'db'), { readonly: true })
  const explain = ({ text, values }: Statement) => {
    const named = Object.fromEntries(values.map((value, index) => [index + 1, value]))
    plans.push(...(file.prepare(`EXPLAIN QUERY PLAN ${text}`).all(named) as { detail: string }[]).map(({ detail }) => detail))
    return []
  }
  const watching = { ...db, write: async (...statements: Statement[]) => statements.map(explain) } as Db
  const parts = { db: watching, clock: () => now, settings: defaultSettings({ data: folder }) } as SpoolParts
  try {
    await claimDue(parts, [{ message: 'm0000001', domain: 'lab.example', sender: 'ann@org.example' }])
    const ofRecipients = plans.filter((step) => / recipient\b/.test(step))
    assert.deepEqual(ofRecipients, ['SEARCH recipient USING INDEX recipient_message (message=?)'])
  } finally {
    file.close()
  }
})
