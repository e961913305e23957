import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups } from '../../src/spool/claim.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { createLedger, type Ledger, type Mail } from './ledger.ts'
import { createMails } from './mails.ts'
import { judge, soundness } from './oracle.ts'

let world: Awaited<ReturnType<typeof open>>
let ledger: Ledger
let next: () => Mail

async function open() {
  const folder = await mkdtemp(join(tmpdir(), 'oracle-'))
  const settings = defaultSettings({ data: folder, database: `sqlite:${join(folder, 'db')}` })
  const clock = () => 1_000_000
  const keyring = await openKeyring(join(folder, 'keys'), clock)
  return { folder, settings, clock, keyring, db: await openDatabase(settings), blobs: openBlobs(join(folder, 'blobs')) }
}

beforeEach(async () => {
  world = await open()
  ledger = createLedger()
  next = createMails({ run: 'oracle', domains: { 'lab.example': 1 }, sizes: { 2000: 1 } })
})
afterEach(async () => {
  world.keyring.close()
  await world.db.close()
  await rm(world.folder, { recursive: true, force: true })
})

/** Accepted by the spool, and its client has read the 250. */
async function accept(): Promise<Mail> {
  const mail = next()
  const sent = ledger.begin(mail)
  const intake = createSpool(world).intake()
  await intake.write(mail.content)
  const recipients = mail.recipients.map((address) => ({ address, notify: [], bcc: false }))
  await intake.commit({
    envelope: { reversePath: mail.from, recipients, body: '7bit', smtpUtf8: false },
    ...{ messageId: `<${mail.mark}>`, headerFrom: mail.from },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
  sent.fate = 'accepted'
  sent.id = intake.id
  return mail
}

/** A next hop takes it, with a trace field on top. */
const arrive = ({ from, recipients, content }: Mail) =>
  ledger.note({
    ...{ from, parameters: '', tls: null, at: 0 },
    recipients: recipients.map((address) => ({ address, parameters: '' })),
    content: Buffer.concat([Buffer.from('Received: from here\r\n'), content]),
  })

const faults = async () =>
  (await judge(ledger, world)).faults.map((fault) => fault.replace(/^crash\S+ \(\S+\) for \S+: |crash-\S+ \S*/g, ''))
const state = (is: string) => world.db.write(sql`UPDATE recipient SET state = ${is}`)

test('mail that waits with its content, and mail that arrived once as it was sent, are no faults', async () => {
  const mail = await accept()
  assert.deepEqual(await faults(), [])
  arrive(mail)
  const { delivered, accepted, duplicates, faults: none } = await judge(ledger, world)
  assert.deepEqual([delivered, duplicates, none], [accepted, 0, []])
  assert.deepEqual(await soundness(world, { swept: true }), [])
})

test('mail that is nowhere is found: no rows, no content, delivered to nobody, bounced without a report, a letter without rows', async () => {
  const { recipients } = await accept()
  const all = (fault: string) => recipients.map(() => fault)
  await state('delivered')
  assert.deepEqual(await faults(), all('marked delivered, and no next hop has it'))
  await state('bounced')
  assert.deepEqual(await faults(), all('bounced, and no report is delivered or waiting'))
  await state('letter-waiting')
  assert.deepEqual(await faults(), all('a letter without its rows'))
  await state('held')
  await world.db.write(sql`UPDATE content SET inline_payload = ${Buffer.from('other')}`)
  assert.deepEqual(await faults(), all('held, but its content was altered'))
  await world.db.write(sql`DELETE FROM content`)
  await state('waiting')
  assert.deepEqual(await faults(), all('waiting, but its content is gone'))
  await world.db.write(sql`DELETE FROM recipient`)
  assert.deepEqual(await faults(), all('accepted by 250, and no row of it is in the database'))
  assert.equal((await judge(ledger, world)).lost, recipients.length)
})

test('what arrives twice is a fault unless it was in flight at one', async () => {
  const mail = await accept()
  arrive(mail)
  arrive(mail)
  assert.match((await faults()).join(), /arrived 2 times, but was in flight at no fault/)
  await claimGroups(world, 10)
  assert.equal(await ledger.noteInFlight(world.db), mail.recipients.length)
  assert.deepEqual(await faults(), [])
  arrive(mail)
  assert.match((await faults()).join(), /arrived 3 times, but was in flight at 1 faults only/)
})

test('what arrives altered, what nobody sent, and what was refused and exists all the same are faults', async () => {
  const mail = await accept()
  arrive({ ...mail, content: Buffer.concat([mail.content.subarray(0, -3), Buffer.from('?\r\n')]) })
  assert.match((await faults()).join(), /arrived altered/)
  const stranger = next()
  arrive(stranger)
  assert.match((await faults()).join(), /nobody sent it/)
  const sent = ledger.sent.get(mail.mark) ?? assert.fail()
  sent.fate = 'refused'
  assert.match((await faults()).join(), /refused, and arrived at/)
})

test('a stored form that is not whole is found: chain, blobs without rows, rows without blobs', async () => {
  await accept()
  const writer = world.blobs.write()
  await writer.write(Buffer.from('x'))
  const { name } = await writer.finish()
  await world.db.write(sql`UPDATE content SET blob = 'gone'`, sql`UPDATE audit SET seq = 2, hash = 'x'`)
  assert.deepEqual(await soundness(world, { swept: true }), [
    'the audit chain: entry 1 is missing',
    'the blob gone is in the database and not on the disk',
    `the blob ${name} is on the disk and not in the database`,
  ])
})

test('a counter that differs from what it counts is found, whichever way', async () => {
  await accept()
  await world.db.write(sql`UPDATE counter SET count = 2 WHERE name = 'letterlock_messages_accepted_total'`)
  assert.deepEqual(await soundness(world), ['1 messages were accepted, and 2 counted'])
  await world.db.write(sql`DELETE FROM counter`, sql`INSERT INTO decision VALUES ('r', 1, 1, 1, '{}')`)
  assert.deepEqual(await soundness(world), ['1 messages were accepted, and 0 counted', '1 attempts are recorded, and 0 and 0 counted'])
})
