import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { startWorker } from '../../src/delivery/worker.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import type { Group } from '../../src/spool/claim.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { type Courier, createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

let data: string
let parts: SpoolParts
let now = Date.now()
const log = pino({ level: 'silent' })

before(async () => {
  data = await mkdtemp(join(tmpdir(), 'worker-'))
  const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}` })
  const clock = () => now
  const [db, keyring] = [await openDatabase(settings), await openKeyring(join(data, 'keys'), clock)]
  parts = { settings, clock, db, blobs: openBlobs(join(data, 'blobs')), keyring }
})
after(async () => {
  await parts.db.close()
  await rm(data, { recursive: true, force: true })
})

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A code mail in the queue. */
async function draftCode(address: string): Promise<void> {
  const code = createSpool(parts).draft({
    ...{ kind: 'code', about: 'letter', messageId: '<2@gate>', headerFrom: 'letters@org.example' },
    envelope: { reversePath: 'letters@org.example', recipients: [{ address, notify: [], bcc: false }], body: '7bit', smtpUtf8: false },
    content: Buffer.from('Subject: 4829 1306\r\n\r\n'),
    steps: [],
  })
  await parts.db.write(...code.statements)
}

async function accept(address: string, sender = 's@org.example', courier?: Courier): Promise<void> {
  const spool = createSpool(parts)
  if (courier !== undefined) spool.serve(courier)
  const intake = spool.intake()
  await intake.write(Buffer.from('Subject: x\r\n\r\nhello\r\n'))
  await intake.commit({
    envelope: { reversePath: 's@org.example', recipients: [{ address, notify: [], bcc: false }], body: '7bit', smtpUtf8: false },
    ...{ messageId: '<1@org.example>', headerFrom: sender },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
}

/** A worker whose attempts at `hangs`, and the writing of results of `settlesLate`, last until released; what it attempts, by domain. */
async function start(
  hangs: (domain: string) => boolean,
  room = (_domain: string) => 5,
  settings = parts.settings,
  settlesLate = (_domain: string) => false,
) {
  const attempted: string[] = []
  let release = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  const deliver = async (
    { domain, recipients }: { domain: string; recipients: readonly { id: string }[] },
    _signal: AbortSignal,
    turn: () => Promise<() => void>,
  ) => {
    const leave = await turn()
    attempted.push(domain)
    if (hangs(domain)) await slow
    leave()
    if (settlesLate(domain)) await slow
    for (const { id } of recipients) await parts.db.write(sql`UPDATE recipient SET state = 'delivered' WHERE id = ${id}`)
  }
  const worker = await startWorker({
    spoolParts: parts,
    settings,
    clock: parts.clock,
    log,
    deliver,
    room,
  })
  const until = async (done: () => boolean, most = 60_000) => {
    worker.wake()
    for (const end = Date.now() + most; !done() && Date.now() < end; ) await wait(5)
    await wait(50)
  }
  const stop = async () => {
    release()
    await worker.stop(1000)
    await parts.db.write(sql`DELETE FROM recipient`)
  }
  return { attempted, until, stop, worker, release: () => release() }
}

test('a group under way is not attempted a second time when the clock jumps past its claim', async () => {
  await accept('a@lab.example')
  const { attempted, until, stop } = await start((domain) => domain === 'lab.example')
  await until(() => attempted.length > 0)
  now += 400 * 86_400_000
  await accept('b@shop.example')
  await until(() => attempted.includes('shop.example'))
  assert.deepEqual(attempted, ['lab.example', 'shop.example'])
  await stop()
})

test('a domain that hangs does not hold up the mail for others, however much waits for it', async () => {
  for (let i = 0; i < 30; i++) await accept(`a${i}@hang.example`)
  await accept('b@shop.example')
  const { attempted, until, stop } = await start((domain) => domain === 'hang.example')
  await until(() => attempted.includes('shop.example'))
  assert.equal(attempted.includes('shop.example'), true)
  assert.equal(attempted.filter((domain) => domain === 'hang.example').length, 5)
  await stop()
})

test('domains behind one smarthost share its places, and it does not hold up mail that goes elsewhere', async () => {
  for (let i = 0; i < 200; i++) await accept(`a@hang${i}.example`, `s${i}@org.example`)
  await accept('b@own.example')
  await accept('c@branch.example')
  const [smart, own] = [
    { host: 'smart.example', port: 25, tls: 'verified' } as const,
    { host: '127.0.0.1', port: 25, tls: 'none' } as const,
  ]
  const routes = { '*': smart, 'branch.example': smart, 'own.example': own }
  const { attempted, until, stop } = await start(
    (domain) => domain.startsWith('hang') || domain === 'branch.example',
    () => 5,
    { ...parts.settings, 'delivery.routes': routes },
  )
  await until(() => attempted.includes('own.example') && attempted.length >= 6)
  assert.equal(attempted.length, 6)
  assert.equal(attempted.filter((domain) => domain === 'own.example').length, 1)
  await stop()
})

test('domains of one route that is not a smarthost share its places as well', async () => {
  const route = { host: 'relay.example', port: 25, tls: 'verified' } as const
  for (const name of ['hang-a', 'hang-b', 'hang-c']) for (let i = 0; i < 4; i++) await accept(`a${i}@${name}.example`)
  await accept('b@shop.example')
  const { attempted, until, stop } = await start((domain) => domain.startsWith('hang'), undefined, {
    ...parts.settings,
    'delivery.routes': { 'hang-a.example': route, 'hang-b.example': route, 'hang-c.example': route },
  })
  await until(() => attempted.includes('shop.example') && attempted.length >= 6)
  assert.equal(attempted.filter((domain) => domain.startsWith('hang')).length, 5)
  assert.equal(attempted.includes('shop.example'), true)
  await stop()
})

test('a code mail goes out although every place is taken', async () => {
  for (let i = 0; i < parts.settings['limits.deliveries']; i++) await accept(`a@hang${i}.example`)
  const { attempted, until, stop } = await start((domain) => domain.startsWith('hang'))
  await until(() => attempted.length >= parts.settings['limits.deliveries'])
  await accept('b@shop.example')
  await draftCode('c@lab.example')
  await until(() => attempted.includes('lab.example'))
  assert.equal(attempted.length, parts.settings['limits.deliveries'] + 1)
  assert.equal(attempted.includes('shop.example'), false)
  await stop()
})

test('a destination that takes much gets its twenty and never all places', async () => {
  for (let i = 0; i < 40; i++) await accept(`a${i}@hang.example`)
  const { attempted, until, stop } = await start(
    (domain) => domain === 'hang.example',
    () => 20,
  )
  await until(() => attempted.length >= 20)
  await accept('b@shop.example')
  await until(() => attempted.includes('shop.example'))
  assert.equal(attempted.filter((domain) => domain === 'hang.example').length, 20)
  await stop()
})

test('one mail of a sender does not wait behind ten thousand of another', async () => {
  for (let i = 0; i < 100; i++) await accept(`a@mass${i}.example`, 'mass@org.example')
  await accept('b@shop.example', 'ann@org.example')
  const { attempted, until, stop } = await start((domain) => domain.startsWith('mass'))
  await until(() => attempted.includes('shop.example'))
  assert.equal(attempted.includes('shop.example'), true)
  await stop()
})

test('stopping has an end although an attempt does not hear that it is broken off', async () => {
  await accept('a@deaf.example')
  const { until, attempted, worker, stop } = await start((domain) => domain === 'deaf.example')
  await until(() => attempted.length > 0)
  const begun = performance.now()
  await worker.stop(100)
  assert.ok(performance.now() - begun < 80000)
  await stop()
})

/** Settled by a worker's look: what waits was seen, and there was nothing. */
const atRest = () => wait(100)

test('mail is handed over only while its destination has room; then it waits in the queue, and newer mail does not overtake it', async () => {
  let room = 2
  const { attempted, until, stop, worker } = await start(
    (domain) => domain === 'slow.example',
    () => room,
  )
  await atRest()
  for (let i = 0; i < 6; i++) await accept(`a${i}@slow.example`, undefined, worker)
  const berthAt = (domain: string) => worker.berth({ message: 'm', domain, sender: 's@org.example' })
  await until(() => attempted.length >= 2)
  assert.deepEqual(attempted, ['slow.example', 'slow.example'])
  room = 3
  assert.equal(berthAt('slow.example'), undefined, 'two wait in the queue already, beside two that wait for their turn')
  const other = berthAt('shop.example')
  assert.ok(other, 'nobody waits for this one')
  other.leave()
  await stop()
})

test('a place that was given back is free again', async () => {
  const { stop, worker } = await start(
    () => false,
    () => 1,
  )
  await atRest()
  const place = { message: 'm', domain: 'lab.example', sender: 's@org.example' }
  const [berth, ahead] = [worker.berth(place), worker.berth({ ...place, message: 'n' })]
  assert.equal(worker.berth(place), undefined)
  berth?.leave()
  const again = worker.berth(place)
  assert.ok(again)
  again.leave()
  ahead?.leave()
  await stop()
})

test('stopping waits for mail that was promised a place before, and gives it the same time', async () => {
  const { attempted, stop, worker } = await start(() => false)
  await atRest()
  const berth = worker.berth({ message: 'm', domain: 'lab.example', sender: 's@org.example' })
  assert.ok(berth)
  let stopped = false
  const stopping = worker.stop(5000).then(() => {
    stopped = true
  })
  await wait(100)
  assert.equal(stopped, false)
  berth.begin({ message: { id: 'm' }, domain: 'lab.example', recipients: [] } as unknown as Group)
  await stopping
  assert.deepEqual(attempted, ['lab.example'])
  await stop()
})

test('mail that was put off by a clock that ran ahead is attempted once the clock is right again', async () => {
  await accept('a@late.example')
  await accept('b@soon.example')
  await parts.db.write(
    sql`UPDATE recipient SET next_attempt_at = ${now + 400 * 86_400_000} WHERE domain = 'late.example'`,
    sql`UPDATE recipient SET next_attempt_at = ${now + 4 * 3_600_000} WHERE domain = 'soon.example'`,
  )
  const { attempted, until, stop } = await start(() => false)
  await until(() => attempted.length > 0)
  assert.deepEqual(attempted, ['late.example'])
  await stop()
})

test('what is over and only being recorded takes no place at its destination', async () => {
  for (let i = 0; i < 30; i++) await accept(`a${i}@lab.example`)
  const { attempted, until, stop } = await start(
    () => false,
    () => 2,
    parts.settings,
    (domain) => domain === 'lab.example',
  )
  await until(() => attempted.length >= 30)
  assert.equal(attempted.length, 30)
  await stop()
})

test('a code mail does not wait for its turn at a destination that hangs', async () => {
  for (let i = 0; i < 8; i++) await accept(`a${i}@hang.example`)
  const { attempted, until, stop } = await start(
    (domain) => domain === 'hang.example',
    () => 2,
  )
  await until(() => attempted.length >= 2)
  assert.equal(attempted.length, 2)
  await draftCode('c@hang.example')
  await until(() => attempted.length >= 3)
  assert.equal(attempted.length, 3)
  await stop()
})

test('mail that waits for its turn when the worker is stopped is let in, and sees that all is broken off', async () => {
  for (let i = 0; i < 6; i++) await accept(`a${i}@hang.example`)
  const { attempted, until, worker, stop } = await start(
    (domain) => domain === 'hang.example',
    () => 2,
  )
  await until(() => attempted.length >= 2)
  const stopping = worker.stop(50)
  await until(() => attempted.length >= 4)
  assert.equal(attempted.length, 4, 'two attempts, and two that were claimed ahead')
  await stop()
  await stopping
})

test('mail that others took over while it waited for its turn is not attempted', async () => {
  for (let i = 0; i < 2; i++) await accept(`a${i}@hang.example`)
  const { attempted, until, stop, release } = await start(
    (domain) => domain === 'hang.example',
    () => 1,
  )
  await until(() => attempted.length >= 1)
  now += parts.settings['limits.claim'] + 1
  // Another process found that we had not renewed our claims for so long.
  const theirs = sql`UPDATE recipient SET fence = fence + 1, claimed_until = ${now + parts.settings['limits.claim']} WHERE fence = 1 RETURNING id`
  assert.equal((await parts.db.write(theirs))[0]?.length, 2, 'one is attempted, one was claimed ahead')
  release()
  await until(() => false, 300)
  const begun = attempted.length
  await stop()
  assert.equal(begun, 1)
})
