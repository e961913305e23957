/** A domain whose TLS was verified before loses it: its mail waits, a downgrade is suspected and told, and no mailed code is trusted. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { recordsOf } from '../../src/delivery/trace.ts'
import type { DecisionRecord } from '../../src/routing/record.ts'
import { operate } from '../../src/spool/queue.ts'
import { sql } from '../../src/store/db.ts'
import { startWorld, type World } from './world.ts'

let world: World
const domains = { 'bank.example': {}, 'new.example': { certificate: 'none' } } as const
const timings = { 'retry.tls.soft': 300, 'retry.tls.ratchet': 900, 'retry.schedule': [60_000] }

const send = (to: string) => world.send({ from: 'a@org.example', to, subject: 's', text: 'kanarienvogel' })
const alarms = async (domain: string) =>
  (await world.db.read<{ action: string }>(sql`SELECT action FROM audit WHERE object = ${domain} ORDER BY id`)).map(({ action }) => action)

/** Deliver once by verified TLS, then take STARTTLS away. */
async function strip(domain: keyof typeof domains) {
  const first = await world.settled(await send(`first@${domain}`))
  assert.equal(first.recipients[0]?.method, 'tls')
  world.partners[domain]?.behave({ hostname: `mx.${domain}` })
  // Connections that are still open would hide it.
  await world.restart()
}

before(async () => {
  world = await startWorld(domains, { ...timings, 'escrow.onDowngrade': 'hold' })
  await world.applyPolicy('version: 1\nrules: []\ndefault:\n  deliver: [tls, escrow]\n')
})
after(() => world?.close())

test('a domain that never had TLS gets its letter at once', async () => {
  const { recipients } = await world.settled(await send('eve@new.example'))
  assert.deepEqual([recipients[0]?.method, recipients[0]?.reason], ['escrow', 'starttls-not-supported'])
  assert.deepEqual(await alarms('new.example'), [])
})

test('TLS that is gone: the mail waits, is then held, and the alarm is in the audit; nothing but the first mail arrived', async () => {
  await strip('bank.example')
  const id = await send('eve@bank.example')
  const held = await world.settled(id)
  assert.deepEqual([held.recipients[0]?.state, held.recipients[0]?.reason], ['held', 'downgrade-suspected'])
  assert.match(
    held.recipients[0]?.lastReply ?? '',
    /looks attacked .*offers no STARTTLS, though verified TLS was seen there on .*held until an administrator releases it/,
  )
  assert.deepEqual(await alarms('bank.example'), ['domain.downgrade-suspected'])
  assert.equal(world.partners['bank.example']?.mails.length, 1)
  const records = (await recordsOf(world.db, `${id}-1`)).map((record) => JSON.parse(record) as DecisionRecord)
  const told = ({ outcome, steps }: DecisionRecord) => [
    outcome,
    ...steps.map(({ method, result, reason }) => `${method} ${result} ${reason}`),
  ]
  assert.deepEqual(told(records[0] ?? assert.fail()), [
    'waiting',
    'tls deferred starttls-not-supported',
    'escrow not-tried null',
    'bounce not-tried null',
  ])
  const last = records.at(-1) ?? assert.fail()
  assert.deepEqual(told(last), [
    'held',
    'tls unsuitable downgrade-suspected',
    'escrow deferred downgrade-suspected',
    'bounce not-tried null',
  ])
  assert.equal(last.steps[0]?.evidence.cause, 'starttls-not-supported')
})

test('released, it is tried by TLS again, and held again while TLS is gone', async () => {
  const release = async () => {
    const [row] = await world.db.read<{ id: string }>(sql`SELECT id FROM recipient WHERE state = 'held'`)
    await operate(world.db, 'release', { kind: 'id', id: row?.id ?? '' }, { actor: 'test', now: Date.now(), dryRun: false })
    return row?.id.replace(/-1$/, '') ?? ''
  }
  const id = await release()
  const again = await world.settled(id, ({ recipients }) => recipients[0]?.state === 'held')
  assert.equal(again.recipients[0]?.reason, 'downgrade-suspected')
  const tls = world.certificates['bank.example']
  world.partners['bank.example']?.behave({ hostname: 'mx.bank.example', ...(tls && { tls }) })
  await release()
  const delivered = await world.settled(id)
  assert.deepEqual([delivered.recipients[0]?.state, delivered.recipients[0]?.method], ['delivered', 'tls'])
})
