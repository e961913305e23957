import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { methods } from '../../src/methods/index.ts'
import { historyOf, lastCheck, listProbed } from '../../src/monitor/history.ts'
import { probeDue, startProbes } from '../../src/monitor/probes.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { policyStore } from '../../src/routing/store.ts'
import { signerOf } from '../../src/seal/signer.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { eventually, type Peers, startPeers } from '../stories/world.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

let folder: string
let peers: Peers
let db: Db
let now: number
let logged: { msg: string; domain?: string; level: number }[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-probes-'))
  peers = await startPeers(folder, { 'lab.example': {}, 'late.example': {} })
  db = await openDatabase(peers.settings)
  now = systemClock()
  logged = []
})
afterEach(async () => {
  await db.close()
  await peers?.close()
  await rm(folder, { recursive: true, force: true })
})

const parts = (overrides: Partial<Peers['settings']> = {}, random = () => 0.5) => ({
  settings: { ...peers.settings, ...overrides },
  db,
  clock: () => now,
  log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) }),
  policy: async () =>
    (
      await policyStore({
        db,
        clock: systemClock,
        methods,
        signer: signerOf(Buffer.alloc(32, 1)),
        settings: defaultSettings({}),
      }).ensureDefault()
    ).policy,
  random,
  probing: { resolver: createResolver({ servers: peers.settings['dns.servers'], clock: systemClock, timeout: 1500 }) },
})

let written = 0
/** A message was accepted for the domain. */
async function wrote(domain: string, at = now, kind = 'mail'): Promise<void> {
  const id = `m${written++}`
  await db.write(
    sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
      VALUES (${id}, ${kind}, ${'<x@x>'}, ${''}, ${''}, ${at}, ${1}, ${1}, ${'7bit'}, ${0}, ${'{}'}, ${Buffer.alloc(1)})`,
    sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at, claimed_until,
      fence, delay_noticed) VALUES (${`${id}-1`}, ${id}, ${`a@${domain}`}, ${domain}, ${''}, ${0}, ${'delivered'}, ${0}, ${1}, ${1}, ${0}, ${0}, ${0}, ${0})`,
  )
}

const audited = async () =>
  (
    await db.read<{ action: string; object: string; detail: string }>(
      sql`SELECT action, object, detail FROM audit WHERE action LIKE ${'domain.%'} ORDER BY at, id`,
    )
  ).map(({ action, object, detail }) => [action, object, JSON.parse(detail).from, JSON.parse(detail).to])

test('a domain that was written to is probed within the hour, then once a day with jitter', async () => {
  await wrote('lab.example')
  assert.equal(await probeDue(parts()), 0, 'not at once')
  const [enlisted] = await listProbed(db)
  assert.ok(enlisted && enlisted.posture === null && enlisted.nextProbeAt > now && enlisted.nextProbeAt <= now + hour)
  now += hour
  assert.equal(await probeDue(parts({}, () => 0.9)), 1)
  const [probed] = await listProbed(db)
  assert.deepEqual([probed?.posture, probed?.lastProbeAt, probed?.reason], ['verified', now, null])
  assert.ok(probed && probed.nextProbeAt > now + 22 * hour && probed.nextProbeAt < now + 26 * hour && probed.nextProbeAt !== now + day)
  assert.equal(await probeDue(parts()), 0, 'not twice on one day')
  now += 26 * hour
  assert.equal(await probeDue(parts()), 1)
  assert.equal((await historyOf(db, 'lab.example')).length, 2)
  assert.equal((await lastCheck(db, 'lab.example'))?.mx[0]?.host, 'mx.lab.example')
  assert.equal(peers.partners['lab.example']?.mails.length, 0)
})

test('what nobody wrote to lately, what a route serves, and our own notices are not probed', async () => {
  await wrote('late.example', now - 31 * day)
  await wrote('org.example')
  await wrote('lab.example', now, 'notice')
  await probeDue(parts())
  now += hour
  assert.equal(await probeDue(parts()), 0)
  assert.deepEqual(await listProbed(db), [])
  await wrote('lab.example')
  await probeDue(parts())
  now += 31 * day
  assert.equal(await probeDue(parts()), 0, 'it was written to too long ago by now')
})

test('behind a smarthost nobody is probed', async () => {
  await wrote('lab.example')
  const smarthost = { 'delivery.routes': { '*': { host: '127.0.0.1', port: peers.own.port, tls: 'none' as const } } }
  await probeDue(parts(smarthost))
  now += hour
  assert.equal(await probeDue(parts(smarthost)), 0)
  assert.equal(peers.partners['lab.example']?.connections(), 0)
})

test('a downgrade and the recovery from it are audited and logged once each; silence changes nothing', async () => {
  await wrote('lab.example')
  await probeDue(parts())
  const next = async () => {
    now += 27 * hour
    assert.equal(await probeDue(parts()), 1)
    return (await listProbed(db))[0]
  }
  await next()
  const good = { hostname: 'mx.lab.example', tls: peers.certificates['lab.example'] }
  peers.partners['lab.example']?.behave({ hostname: 'mx.lab.example' })
  const fallen = await next()
  assert.deepEqual([fallen?.posture, fallen?.fallenFrom, fallen?.reason], ['clear', 'verified', 'starttls-not-supported'])
  await next()
  peers.partners['lab.example']?.behave({ script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 later' : undefined) })
  const silent = await next()
  assert.deepEqual([silent?.posture, silent?.lastPosture], ['clear', 'unreachable'])
  peers.partners['lab.example']?.behave(good.tls ? { hostname: good.hostname, tls: good.tls } : {})
  const back = await next()
  assert.deepEqual([back?.posture, back?.fallenFrom, back?.since], ['verified', null, now])
  assert.deepEqual(await audited(), [
    ['domain.downgraded', 'lab.example', 'verified', 'clear'],
    ['domain.recovered', 'lab.example', 'clear', 'verified'],
  ])
  assert.deepEqual(
    logged.map(({ msg, domain }) => [domain, msg.split(':')[0]]),
    [
      ['lab.example', 'domain downgraded'],
      ['lab.example', 'domain recovered'],
    ],
  )
})

test('while our own DNS is dead nothing is held against anybody, and an hour later it is tried again', async () => {
  await wrote('lab.example')
  await probeDue(parts())
  now += hour
  const deaf = { resolver: createResolver({ servers: ['127.0.0.1:9'], clock: systemClock, timeout: 100, rounds: 1 }) }
  await probeDue({ ...parts(), probing: deaf })
  const [left] = await listProbed(db)
  assert.deepEqual([left?.lastProbeAt, left?.nextProbeAt], [null, now + hour])
  assert.match(logged[0]?.msg ?? '', /could not be made/)
})

test('the rounds run by themselves until they are stopped, and stopping breaks a probe off', async () => {
  await wrote('lab.example')
  await probeDue(parts())
  now += hour
  const probes = startProbes(parts(), 20)
  await eventually('a probe', async () => ((await historyOf(db, 'lab.example')).length > 0 ? true : undefined))
  await probes.stop()
  peers.partners['lab.example']?.behave({ script: () => ({ then: 'silence' }) })
  now += 27 * hour
  const before = peers.partners['lab.example']?.connections() ?? 0
  const again = startProbes(parts(), 20)
  await eventually('a connection', async () => ((peers.partners['lab.example']?.connections() ?? 0) > before ? true : undefined))
  const started = Date.now()
  await again.stop()
  assert.ok(Date.now() - started < 30000)
  assert.equal((await historyOf(db, 'lab.example')).length, 1, 'what was broken off is not kept')
})
