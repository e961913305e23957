/** MX rules: which hosts are tried, in which order, and which never. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defaultSettings, type Settings } from '../../src/ops/settings.ts'
import { isOwnAddress, isSpecialPurpose } from '../../src/transport/addresses.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { nextHop } from '../../src/transport/next-hop.ts'
import { type FakeDns, type FakeName, startFakeDns } from '../world/index.ts'

let dns: FakeDns
before(async () => {
  dns = await startFakeDns()
})
after(() => dns.close())

const mx = (...hosts: readonly [number, string][]): FakeName => ({
  records: hosts.map(([preference, exchange]) => ({ type: 'MX', data: { preference, exchange } })),
})
const at = (...addresses: string[]): FakeName => ({
  records: addresses.map((data) => ({ type: data.includes(':') ? ('AAAA' as const) : ('A' as const), data })),
})
const hop = (domain: string, overrides: Partial<Settings> = {}) => {
  const resolver = createResolver({ servers: [dns.address], clock: Date.now, timeout: 150, rounds: 1 })
  return nextHop(domain, { resolver, settings: defaultSettings({ hostname: 'gate.org.example', ...overrides }) })
}
const why = async (domain: string, overrides: Partial<Settings> = {}) => {
  const found = await hop(domain, overrides)
  return found.kind === 'none' ? found.why : found.candidates.map(({ host, address }) => `${host} ${address}`)
}

test('hosts come by preference, the equal ones shuffled', async () => {
  dns.set('order.example', mx([20, 'c.order.example'], [10, 'a.order.example'], [10, 'b.order.example']))
  for (const [i, host] of ['a', 'b', 'c'].entries()) dns.set(`${host}.order.example`, at(`198.41.0.${i + 1}`))
  const firsts = new Set<string>()
  for (let i = 0; i < 40; i++) {
    const found = await hop('order.example')
    assert.ok(found.kind === 'hops')
    assert.equal(found.candidates[2]?.host, 'c.order.example')
    firsts.add(found.candidates[0]?.host ?? '')
  }
  assert.deepEqual([...firsts].sort(), ['a.order.example', 'b.order.example'])
})

test('no MX: the domain itself; no such domain, null MX, failure: each its own answer', async () => {
  dns.set('implicit.example', at('198.41.0.9'))
  dns.set('nothing.example', { records: [{ type: 'TXT', data: 'x' }] })
  dns.set('null.example', mx([0, '.']))
  dns.set('nearlynull.example', mx([0, '.'], [10, 'mx.nearlynull.example']))
  dns.set('mx.nearlynull.example', at('198.41.0.8'))
  dns.set('unresolvable.example', mx([10, 'nowhere.unresolvable.example']))
  // SERVFAIL for MX, while an address is there: never to be taken for "no MX".
  dns.set('servfail.example', { ...at('198.41.0.7'), rcode: 'SERVFAIL', only: ['MX'] })
  dns.set('timeout.example', { ...at('198.41.0.7'), silent: true, only: ['MX'] })
  dns.set('hostfail.example', mx([10, 'mx.hostfail.example']))
  dns.set('mx.hostfail.example', { rcode: 'SERVFAIL' })
  const names = ['implicit', 'nothing', 'gone', 'null', 'nearlynull', 'unresolvable', 'servfail', 'timeout', 'hostfail']
  assert.deepEqual(await Promise.all(names.map((name) => why(`${name}.example`))), [
    ['implicit.example 198.41.0.9'],
    'domain-not-found',
    'domain-not-found',
    'null-mx',
    ['mx.nearlynull.example 198.41.0.8'],
    'mx-unresolvable',
    'dns-temporary',
    'dns-temporary',
    'dns-temporary',
  ])
})

test('an MX host that is an alias keeps its own name', async () => {
  dns.set('alias.example', mx([10, 'mx.alias.example']))
  dns.set('mx.alias.example', { records: [{ type: 'CNAME', data: 'real.elsewhere.example' }] })
  dns.set('real.elsewhere.example', at('198.41.0.5'))
  assert.deepEqual(await why('alias.example'), ['mx.alias.example 198.41.0.5'])
})

test('at most five addresses, of both families when there are both', async () => {
  dns.set('wide.example', mx([10, 'mx.wide.example'], [20, 'six.wide.example']))
  dns.set('mx.wide.example', at(...[1, 2, 3, 4].map((n) => `198.41.1.${n}`)))
  dns.set('six.wide.example', at('2606:4700::1'))
  const found = await why('wide.example')
  assert.equal(found.length, 5)
  assert.ok(found.includes('six.wide.example 2606:4700::1'))
  assert.deepEqual((await why('wide.example', { 'delivery.ipv6': false })).length, 4)
})

test('a thousand MX records cost no thousand look-ups', async () => {
  dns.set('flood.example', mx(...Array.from({ length: 1000 }, (_, i) => [i % 7, `h${i}.flood.example`] as [number, string])))
  const before = dns.queries.length
  assert.equal(await why('flood.example'), 'mx-unresolvable')
  // Twice twenty addresses, the MX, and whether the server validates.
  assert.ok(dns.queries.length - before <= 43, String(dns.queries.length - before))
})

test('private and otherwise special addresses are refused, unless the setting allows them', async () => {
  dns.set('inside.example', mx([10, 'a.inside.example'], [20, 'b.inside.example']))
  dns.set('a.inside.example', at('10.1.2.3', '::ffff:10.1.2.3', 'fe80::1', '64:ff9b::a01:203', '2002:a01:203::1'))
  dns.set('b.inside.example', at('127.0.0.1', '169.254.1.1', '224.0.0.1', '0.0.0.0', '::1'))
  assert.equal(await why('inside.example'), 'address-not-allowed')
  assert.ok(Array.isArray(await why('inside.example', { 'delivery.allowPrivateAddresses': true })))
  for (const address of ['192.168.1.1', '100.64.0.1', '255.255.255.255', '::ffff:127.0.0.1', 'fd00::1', 'nonsense'])
    assert.ok(isSpecialPurpose(address), address)
  for (const address of ['198.41.0.4', '2606:4700::1']) assert.ok(!isSpecialPurpose(address), address)
})

test('ourselves and everything not better than ourselves is dropped: mail must not loop', async () => {
  dns.set('loop.example', mx([5, 'better.loop.example'], [10, 'gate.org.example'], [10, 'equal.loop.example'], [20, 'worse.loop.example']))
  for (const [i, host] of ['better', 'equal', 'worse'].entries()) dns.set(`${host}.loop.example`, at(`198.41.2.${i + 1}`))
  assert.deepEqual(await why('loop.example'), ['better.loop.example 198.41.2.1'])
  dns.set('ours.example', mx([10, 'gate.org.example'], [20, 'worse.loop.example']))
  assert.equal(await why('ours.example'), 'mail-loop')
})

test('loopback is ours only at a port that we listen on', async () => {
  dns.set('self.example', mx([10, 'mx.self.example']))
  dns.set('mx.self.example', at('127.0.0.1'))
  const here = { 'delivery.allowPrivateAddresses': true, 'smtp.listen': [{ host: '127.0.0.1', port: 2525 }] }
  assert.equal(await why('self.example', { ...here, 'delivery.port': 2525 }), 'mail-loop')
  assert.deepEqual(await why('self.example', { ...here, 'delivery.port': 2526 }), ['mx.self.example 127.0.0.1'])
  assert.ok(isOwnAddress('127.0.0.9', 25, [{ host: '0.0.0.0', port: 25 }]))
  assert.ok(isOwnAddress('::ffff:192.0.2.9', 25, [], ['192.0.2.9']))
  assert.ok(!isOwnAddress('192.0.2.10', 25, [], ['192.0.2.9']))
})

test('a route replaces MX and needs no DNS of its own; loops and private addresses are its owner’s business', async () => {
  const routes = {
    'routed.example': { host: '10.0.0.5', port: 26, tls: 'encrypted' as const },
    '*': { host: 'localhost', port: 2525, tls: 'none' as const },
  }
  const before = dns.queries.length
  const found = await hop('routed.example', { 'delivery.routes': routes })
  assert.deepEqual(found.kind === 'hops' && found.candidates, [{ host: '10.0.0.5', address: '10.0.0.5', port: 26 }])
  const smart = await hop('anything.example', { 'delivery.routes': routes, 'delivery.ipv6': false })
  assert.deepEqual(smart.kind === 'hops' && smart.candidates, [{ host: 'localhost', address: '127.0.0.1', port: 2525 }])
  assert.equal(dns.queries.length, before)
  const sneaky = await hop('constructor', { 'delivery.routes': {} })
  assert.equal(sneaky.kind, 'none')
})

test('an address literal is connected to as it is', async () => {
  assert.deepEqual(await why('[198.41.0.4]'), ['198.41.0.4 198.41.0.4'])
  assert.deepEqual(await why('[IPv6:2606:4700::1]'), ['2606:4700::1 2606:4700::1'])
  assert.equal(await why('[10.0.0.1]'), 'address-not-allowed')
})
