/** What is remembered of destinations: down for all of its mail, and room that grows and shrinks. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { createDestinations } from '../../src/transport/destinations.ts'
import type { Trouble } from '../../src/transport/trouble.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
})
after(() => world?.close())

const minute = 60_000
const trouble = (row: Trouble['row']): Trouble => ({ row, text: `mx: ${row}`, evidence: { host: 'mx' } })
const accepted = { settled: [{ kind: 'accepted', reply: '250' }], troubles: [] } as const
const unreachable = { settled: [], troubles: [trouble('unreachable'), trouble('unreachable')] }
const strained = { settled: [], troubles: [trouble('remote-4yz')] }

test('a destination whose candidates are all unreachable is down until its mail is due again, then tried', () => {
  let now = 1_000_000
  const destinations = createDestinations(defaultSettings({}), () => now)
  destinations.learn('dead.example', unreachable)
  now += 40_000
  const down = destinations.down('dead.example')
  assert.deepEqual([down?.row, down?.text], ['unreachable', 'mx: unreachable (found 40 s ago with another message)'])
  assert.equal(destinations.down('other.example'), undefined)
  now += 3 * minute
  assert.ok(destinations.down('dead.example'))
  now += minute
  assert.equal(destinations.down('dead.example'), undefined)
})

test('mail for a destination that is down is told so by and by: twenty messages a second', () => {
  let now = 1_000_000
  const destinations = createDestinations(defaultSettings({}), () => now)
  destinations.learn('dead.example', unreachable)
  let told = 0
  for (const end = now + 10_000; now < end; now += 10)
    while (destinations.room('dead.example') > 0 && destinations.down('dead.example')) told++
  assert.equal(told, 200)
  assert.equal(destinations.room('other.example'), 5)
  destinations.learn('dead.example', accepted)
  assert.equal(destinations.room('dead.example'), 5, 'it is up again')
})

test('it is not down when one candidate answered, was unresolved for now, or took a recipient', () => {
  const destinations = createDestinations(defaultSettings({}), Date.now)
  for (const row of ['remote-4yz', 'dns-temporary', 'starttls-not-offered'] as const)
    destinations.learn('half.example', { settled: [], troubles: [trouble('unreachable'), trouble(row)] })
  destinations.learn('half.example', { ...accepted, troubles: [trouble('unreachable')] })
  assert.equal(destinations.down('half.example'), undefined)
})

test('a delivery ends being down, and a clock that was put back does not prolong it', () => {
  let now = 1_000_000
  const destinations = createDestinations(defaultSettings({}), () => now)
  destinations.learn('up.example', unreachable)
  destinations.learn('up.example', accepted)
  assert.equal(destinations.down('up.example'), undefined)
  destinations.learn('up.example', unreachable)
  now -= 1
  assert.equal(destinations.down('up.example'), undefined)
})

test('room for attempts begins at 5, grows to 20 with success, and is halved by strain, but never to none', () => {
  const destinations = createDestinations(defaultSettings({}), Date.now)
  assert.equal(destinations.room('big.example'), 5)
  for (let i = 0; i < 5; i++) destinations.learn('big.example', accepted)
  assert.equal(destinations.room('big.example'), 6)
  for (let i = 0; i < 1000; i++) destinations.learn('big.example', accepted)
  assert.equal(destinations.room('big.example'), 20)
  destinations.learn('big.example', strained)
  assert.equal(destinations.room('big.example'), 10)
  for (let i = 0; i < 10; i++) destinations.learn('big.example', strained)
  assert.equal(destinations.room('big.example'), 1)
  for (let i = 0; i < 20; i++) destinations.learn('big.example', accepted)
  assert.ok(destinations.room('big.example') > 5)
})

test('a refused or put off recipient says nothing about the destination', () => {
  const destinations = createDestinations(defaultSettings({}), Date.now)
  for (const row of ['recipient-5yz', 'recipient-4yz', 'content-5yz', 'too-large'] as const)
    destinations.learn('calm.example', { settled: [{ kind: 'refused', trouble: trouble(row) }], troubles: [] })
  assert.equal(destinations.room('calm.example'), 5)
})

test('all domains behind one route are one destination', () => {
  const settings = defaultSettings({ 'delivery.routes': { '*': { host: 'smart.example', port: 25, tls: 'verified' } } })
  const destinations = createDestinations(settings, Date.now)
  destinations.learn('a.example', unreachable)
  assert.ok(destinations.down('b.example'))
})

/** A domain whose one host refuses connections until `rise`. */
const deadDomain = async (domain: string) => {
  const host = world.freeAddress()
  world.dns.set(domain, { records: [{ type: 'MX', data: { preference: 1, exchange: `mx.${domain}` } }] })
  world.dns.set(`mx.${domain}`, { records: [{ type: 'A', data: host }] })
  const rise = async () => {
    const partner = await world.bare({ tls: await world.authority.issue([`mx.${domain}`]) })
    world.dns.set(`mx.${domain}`, { records: [{ type: 'A', data: partner.host }] })
    return partner
  }
  return { rise }
}

test('other mail for a destination that is down is put off for the same reason without connecting; who insists tries', async () => {
  const { rise } = await deadDomain('down.example')
  const first = (await world.ship('down.example', verified)).first
  assert.equal(first.kind === 'deferred' && first.reason, 'unreachable')
  const partner = await rise()
  const second = (await world.ship('down.example', verified)).first
  assert.deepEqual(second.kind === 'deferred' && [second.reason, second.retry], ['unreachable', { then: 'failed' }])
  assert.match(second.text, /the connection was refused \(found 0 s ago with another message\)/)
  assert.equal(partner.connections(), 0)
})

test('an operator who insists is not put off', async () => {
  await deadDomain('insist.example')
  await world.ship('insist.example', verified)
  const recipients = [{ id: '1', address: 'ann@insist.example', notify: [], insist: true }]
  const { first } = await world.ship('insist.example', verified, { recipients })
  assert.doesNotMatch(first.text, /with another message/)
})

test('an attempt that was stopped says nothing about its destination', async () => {
  await deadDomain('halt.example')
  await world.ship('halt.example', verified, { signal: AbortSignal.abort() })
  const { first } = await world.ship('halt.example', verified)
  assert.doesNotMatch(first.text, /with another message/)
})
