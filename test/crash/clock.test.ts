/** A clock that jumps and comes back ends nothing that cannot be begun again. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { pino } from 'pino'
import { type Gateway, startGateway } from '../../src/gateway.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { eventually } from '../world/eventually.ts'
import { type Partners, settingsFor, startPartners } from './child.ts'
import { acceptedAs, message, openSession } from './session.ts'

const day = 24 * 3_600_000
let scratch: string
let partners: Partners
let settings: Settings
let gateway: Gateway
let database: Database.Database
let ahead = 0
const start = async () => {
  gateway = await startGateway(settings, { log: pino({ level: 'silent' }), clock: () => Date.now() + ahead })
}
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'letterlock-clock-'))
  partners = await startPartners()
  settings = await settingsFor(join(scratch, 'data'), partners, { 'retry.schedule': [100] })
  await start()
  database = new Database(pathOf(settings.database), { readonly: true })
})
after(async () => {
  database?.close()
  await gateway?.stop(1000)
  await partners?.close()
  await rm(scratch, { recursive: true, force: true })
})

async function submit(to: string): Promise<string> {
  const session = await openSession(gateway.smtp[0]?.port ?? 0)
  const id = acceptedAs(await session.submit('a@org.example', to, message('time', to, 2_000)))
  session.close()
  assert.ok(id)
  return id
}

type Row = { readonly state: string; readonly attempts: number }

const rowOf = (id: string) => database.prepare('SELECT state, attempts FROM recipient WHERE message = ?').get(id) as Row

const until = (id: string, wanted: (row: Row) => boolean): Promise<Row> =>
  eventually(
    'the row to change',
    () => [rowOf(id)].find(wanted),
    () => JSON.stringify(rowOf(id)),
  )

/** Wait for one more attempt, and make sure that it ended nothing. */
async function stillWaits(id: string): Promise<void> {
  const { attempts } = await until(id, () => true)
  assert.equal((await until(id, (row) => row.attempts > attempts)).state, 'waiting')
}

const refusing = { hostname: 'mx.org.example', script: (verb: string) => (verb === 'MAIL' ? '451 4.3.2 later' : undefined) }

test('400 days ahead while it runs and across a restart: waiting mail is tried and kept, letters too; back again, all is as it was', async () => {
  const letter = await submit('x@open.example')
  await until(letter, ({ state }) => state === 'letter-notified')
  partners.open.behave(refusing)
  const waiting = await submit('x@org.example')
  await until(waiting, ({ attempts }) => attempts > 0)

  ahead = 400 * day
  await stillWaits(waiting)
  await gateway.stop(1000)
  await start()
  await stillWaits(waiting)
  if (process.env.LONG_TESTS === '1') await pause(65_000) // letters are looked through every minute
  const { count } = database.prepare('SELECT COUNT(*) AS count FROM letter_header').get() as { count: number }
  assert.equal(count, 1, 'the letter can still be opened')
  ahead = 0
  await gateway.stop(1000)
  partners.open.behave({ hostname: 'mx.org.example' })
  await start()
  // Its next attempt was set by the wrong clock.
  await until(waiting, ({ state }) => state === 'delivered')
  const late = await submit('y@org.example')
  await until(late, ({ state }) => state === 'delivered')
  assert.equal((await until(letter, () => true)).state, 'letter-notified')
})

test('a day back: new mail is taken and delivered, and nothing that waited is lost', async () => {
  ahead = -day
  const id = await submit('x@org.example')
  await until(id, ({ state }) => state === 'delivered')
  ahead = 0
})
