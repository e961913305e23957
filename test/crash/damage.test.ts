/** What was damaged on the disk is held, told in log and audit, and holds up nothing else. */
import assert from 'node:assert/strict'
import { appendFile, mkdtemp, open, readdir, rename, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { after, before, test } from 'node:test'
import Database from 'better-sqlite3'
import { pino } from 'pino'
import { type Gateway, startGateway } from '../../src/gateway.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { eventually } from '../world/eventually.ts'
import { type Partners, settingsFor, startPartners } from './child.ts'
import { acceptedAs, message, openSession } from './session.ts'

let scratch: string
let partners: Partners
let settings: Settings
let gateway: Gateway
let database: Database.Database
let logged = ''
const log = pino(
  { level: 'info' },
  new Writable({
    write: (chunk, _encoding, done) => {
      logged += chunk
      done()
    },
  }),
)

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'letterlock-damage-'))
  partners = await startPartners()
  settings = await settingsFor(join(scratch, 'data'), partners, { 'retry.schedule': [150] })
  gateway = await startGateway(settings, { log })
  database = new Database(pathOf(settings.database))
})
after(async () => {
  database?.close()
  await gateway?.stop(1000)
  await partners?.close()
  await rm(scratch, { recursive: true, force: true })
})

const later = { hostname: 'mx.org.example', script: (verb: string) => (verb === 'MAIL' ? '451 4.3.2 later' : undefined) }
const willing = { hostname: 'mx.org.example' }
let number = 0

/** Submit a message that is told "later" at first, so that its next attempt reads it from the disk. */
async function waitingMail(octets: number): Promise<string> {
  partners.open.behave(later)
  const to = 'x@org.example'
  const session = await openSession(gateway.smtp[0]?.port ?? 0)
  const id = acceptedAs(await session.submit('a@org.example', to, message(`d${number++}`, to, octets)))
  session.close()
  assert.ok(id)
  await until(id, ({ attempts }) => attempts > 0)
  return id
}

type Row = { readonly state: string; readonly attempts: number; readonly last_reply: string }
const rowOf = (id: string) => database.prepare('SELECT state, attempts, last_reply FROM recipient WHERE message = ?').get(id) as Row

const until = (id: string, wanted: (row: Row) => boolean): Promise<Row> =>
  eventually(
    'the row to change',
    () => [rowOf(id)].find(wanted),
    () => `${JSON.stringify(rowOf(id))}; ${logged.slice(-2000)}`,
  )

/** The partner is willing now: the damaged ones are held, with an alarm, and a sound one that waited beside them is delivered. */
async function heldBeside(damaged: readonly string[], damage: () => Promise<void> | void): Promise<void> {
  const sound = await waitingMail(100_000)
  await damage()
  partners.open.behave(willing)
  for (const id of damaged) {
    const { state, last_reply } = await until(id, (row) => row.state !== 'waiting')
    assert.equal(state, 'held', last_reply)
    assert.match(last_reply, /^held: /)
    const told = new RegExp(`"level":50[^\\n]*"message":"${id}"[^\\n]*a message is held`)
    await eventually(
      'the log to tell of it',
      () => (told.test(logged) ? true : undefined),
      () => logged.slice(-2000),
    )
    const audit = database.prepare("SELECT detail FROM audit WHERE action = 'recipient.held' AND object LIKE ?").all(`${id}-%`)
    assert.equal(audit.length, 1)
  }
  assert.equal((await until(sound, (row) => row.state !== 'waiting')).state, 'delivered')
  for (const id of damaged)
    assert.equal(partners.open.mails.filter(({ content }) => content.includes(id)).length, 0, 'nothing of it was sent')
}

function blobOf(id: string): string {
  const { blob } = database.prepare('SELECT blob FROM content WHERE message = ?').get(id) as { blob: string }
  return join(pathOf(settings.blobs), blob.slice(0, 2), blob)
}

async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ 1
  await file.write(byte, 0, 1, at)
  await file.close()
}

for (const [what, damage] of [
  ['with one bit turned in its first piece', (path: string) => flip(path, 1_000)],
  ['with one bit turned near its end', (path: string) => flip(path, 199_000)],
  ['cut short', (path: string) => truncate(path, 150_000)],
  ['cut to nothing', (path: string) => truncate(path, 0)],
  ['with octets added', (path: string) => appendFile(path, 'more')],
  ['that is gone', (path: string) => rm(path)],
] as const)
  test(`a blob ${what}: the message is held, and the next one is delivered`, async () => {
    const id = await waitingMail(200_000)
    await heldBeside([id], () => damage(blobOf(id)))
  })

test('two blobs that were exchanged: neither is sent to the other one’s recipient', async () => {
  const [one, other] = [await waitingMail(200_000), await waitingMail(200_000)]
  await heldBeside([one, other], async () => {
    await rename(blobOf(one), `${blobOf(one)}.away`)
    await rename(blobOf(other), blobOf(one))
    await rename(`${blobOf(one)}.away`, blobOf(other))
  })
})

for (const [what, text] of [
  [
    'with one octet changed',
    `UPDATE content SET inline_payload = substr(inline_payload, 1, 900)
      || CASE WHEN substr(inline_payload, 901, 1) = x'ff' THEN x'00' ELSE x'ff' END || substr(inline_payload, 902) WHERE message = ?`,
  ],
  ['cut short', 'UPDATE content SET inline_payload = substr(inline_payload, 1, 900) WHERE message = ?'],
  ['that is gone', 'DELETE FROM content WHERE message = ?'],
] as const)
  test(`a content in the database ${what}: the message is held, and the next one is delivered`, async () => {
    const id = await waitingMail(2_000)
    await heldBeside([id], () => void database.prepare(text).run(id))
  })

test('while the folder of blobs is not mounted mail waits and is refused, nothing is held, and both end by themselves', async () => {
  const id = await waitingMail(200_000)
  const folder = pathOf(settings.blobs)
  await rename(folder, `${folder}-away`)
  partners.open.behave(willing)
  const { attempts } = rowOf(id)
  const tried = await until(id, (row) => row.attempts > attempts + 1)
  assert.equal(tried.state, 'waiting', tried.last_reply)
  const session = await openSession(gateway.smtp[0]?.port ?? 0)
  const told = await session.submit('a@org.example', 'x@org.example', message('refused', 'x@org.example', 100_000))
  assert.ok(told.kind === 'reply' && told.code >= 400 && told.code < 500, JSON.stringify(told))
  assert.deepEqual((await readdir(settings.data)).includes('blobs'), false)
  await rename(`${folder}-away`, folder)
  assert.equal((await until(id, (row) => row.state !== 'waiting')).state, 'delivered')
  assert.ok(acceptedAs(await session.submit('a@org.example', 'x@org.example', message('taken', 'x@org.example', 100_000))))
  session.close()
})
