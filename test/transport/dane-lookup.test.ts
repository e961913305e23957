/** Which hosts have DANE: the look-ups of RFC 7672 §2.2 in their order, each counting only where DNSSEC proves the one before. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { defaultSettings, type Settings } from '../../src/ops/settings.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { nextHop } from '../../src/transport/next-hop.ts'
import { type FakeDns, type FakeName, signedRoot, startFakeDns } from '../world/index.ts'

let dns: FakeDns
before(async () => {
  dns = await startFakeDns({ '.': signedRoot })
})
after(() => dns.close())
beforeEach(() => void dns.queries.splice(0))

const tlsa = (...records: string[]): FakeName => ({
  records: records.map((hex) => ({ type: 'TLSA', data: Buffer.from(hex, 'hex') })),
  secure: true,
})
const digest = `030101${'ab'.repeat(32)}`
const zone = (names: { readonly [name: string]: FakeName }) => {
  for (const [name, entry] of Object.entries(names)) dns.set(name, entry)
}
const signed = (entry: FakeName): FakeName => ({ ...entry, secure: true })
const mx = (exchange: string): FakeName => ({ records: [{ type: 'MX', data: { preference: 10, exchange } }] })
const at = (address: string): FakeName => ({ records: [{ type: 'A', data: address }] })
const alias = (data: string): FakeName => ({ records: [{ type: 'CNAME', data }] })

async function look(domain: string, overrides: Partial<Settings> = {}) {
  const settings = defaultSettings({ 'dns.servers': [dns.address], ...overrides })
  const resolver = createResolver({ servers: [dns.address], clock: Date.now, timeout: 1000, rounds: 1 })
  return nextHop(domain, { settings, resolver })
}
const daneOf = async (domain: string, overrides: Partial<Settings> = {}) => {
  const hop = await look(domain, overrides)
  assert.equal(hop.kind, 'hops', hop.kind === 'none' ? hop.text : '')
  return hop.kind === 'hops' ? Object.fromEntries(hop.dane) : {}
}
const askedTlsa = () => dns.queries.filter(({ type }) => type === 'TLSA').map(({ name }) => name)

test('signed MX, signed address, signed TLSA: the host has DANE, under its own name and the domain’s', async () => {
  zone({ 'a.example': signed(mx('mx.a.example')), 'mx.a.example': signed(at('198.41.0.1')), '_25._tcp.mx.a.example': tlsa(digest) })
  const { 'mx.a.example': dane } = await daneOf('a.example')
  assert.deepEqual([dane?.base, dane?.names], ['mx.a.example', ['mx.a.example', 'a.example']])
  assert.deepEqual(dane?.records, [{ usage: 3, selector: 1, matching: 1, data: Buffer.from('ab'.repeat(32), 'hex') }])
})

test('the port is the one that is connected to', async () => {
  zone({ 'p.example': signed(mx('mx.p.example')), 'mx.p.example': signed(at('198.41.0.1')), '_2525._tcp.mx.p.example': tlsa(digest) })
  assert.deepEqual(Object.keys(await daneOf('p.example', { 'delivery.port': 2525 })), ['mx.p.example'])
  assert.deepEqual(await daneOf('p.example'), {})
})

test('where the MX, the address or the TLSA itself is unsigned there is no DANE; TLSA is not even asked for below an unsigned name', async () => {
  zone({
    'b.example': mx('mx.b.example'),
    'mx.b.example': signed(at('198.41.0.1')),
    '_25._tcp.mx.b.example': tlsa(digest),
    'c.example': signed(mx('mx.c.example')),
    'mx.c.example': at('198.41.0.1'),
    '_25._tcp.mx.c.example': { rcode: 'SERVFAIL' },
    'd.example': signed(mx('mx.d.example')),
    'mx.d.example': signed(at('198.41.0.1')),
    '_25._tcp.mx.d.example': { ...tlsa(digest), secure: false },
  })
  for (const domain of ['b.example', 'c.example']) assert.deepEqual(await daneOf(domain), {}, domain)
  assert.deepEqual(askedTlsa(), [])
  assert.deepEqual(await daneOf('d.example'), {})
})

test('a denial is no DANE, signed or not', async () => {
  zone({ 'e.example': signed(mx('mx.e.example')), 'mx.e.example': signed(at('198.41.0.1')) })
  assert.deepEqual(await daneOf('e.example'), {})
  dns.set('_25._tcp.mx.e.example', { records: [] })
  assert.deepEqual(await daneOf('e.example'), {})
})

test('one unsigned family of addresses makes the host unsigned', async () => {
  zone({
    'f.example': signed(mx('mx.f.example')),
    'mx.f.example': {
      records: [
        { type: 'A', data: '198.41.0.1' },
        { type: 'AAAA', data: '2606:4700::1' },
      ],
      secure: true,
      only: ['A'],
    },
    '_25._tcp.mx.f.example': tlsa(digest),
  })
  assert.deepEqual(await daneOf('f.example'), {})
  assert.deepEqual(Object.keys(await daneOf('f.example', { 'delivery.ipv6': false })), ['mx.f.example'])
})

test('at the end of signed aliases the expanded name comes first, then the one that was given', async () => {
  zone({
    'g.example': signed(mx('mx.g.example')),
    'mx.g.example': signed(alias('real.host.example')),
    'real.host.example': signed(at('198.41.0.1')),
    '_25._tcp.mx.g.example': tlsa(digest),
  })
  const given = await daneOf('g.example')
  assert.deepEqual([given['mx.g.example']?.base, askedTlsa()], ['mx.g.example', ['_25._tcp.real.host.example', '_25._tcp.mx.g.example']])
  dns.set('_25._tcp.real.host.example', tlsa(digest))
  const expanded = await daneOf('g.example')
  assert.equal(expanded['mx.g.example']?.base, 'real.host.example')
  assert.deepEqual(expanded['mx.g.example']?.names, ['real.host.example', 'mx.g.example', 'g.example'])
})

test('a signed alias to an unsigned host keeps the records of its own name', async () => {
  zone({
    'h.example': signed(mx('mx.h.example')),
    'mx.h.example': signed(alias('unsigned.host.example')),
    'unsigned.host.example': at('198.41.0.1'),
    '_25._tcp.mx.h.example': tlsa(digest),
    '_25._tcp.unsigned.host.example': tlsa(digest),
  })
  const { 'mx.h.example': dane } = await daneOf('h.example')
  assert.equal(dane?.base, 'mx.h.example')
  assert.deepEqual(askedTlsa(), ['_25._tcp.mx.h.example'])
})

test('a TLSA record may be an alias itself, as far as it is signed', async () => {
  zone({
    'i.example': signed(mx('mx.i.example')),
    'mx.i.example': signed(at('198.41.0.1')),
    '_25._tcp.mx.i.example': signed(alias('_dane.i.example')),
    '_dane.i.example': tlsa(digest),
  })
  assert.equal((await daneOf('i.example'))['mx.i.example']?.records.length, 1)
  dns.set('_25._tcp.mx.i.example', alias('_dane.i.example'))
  assert.deepEqual(await daneOf('i.example'), {})
})

test('a host whose TLSA or address fails is left out this time; when it is bogus that is said', async () => {
  const broken: [string, FakeName, FakeName][] = [
    ['dns-temporary', signed(at('198.41.0.1')), { rcode: 'SERVFAIL' }],
    ['dns-temporary', signed(at('198.41.0.1')), { silent: true }],
    ['dnssec-invalid', signed(at('198.41.0.1')), { ...tlsa(digest), bogus: true }],
    ['dnssec-invalid', { ...at('198.41.0.1'), bogus: true }, tlsa(digest)],
    ['dns-temporary', { rcode: 'SERVFAIL' }, tlsa(digest)],
  ]
  for (const [i, [expected, address, records]] of broken.entries()) {
    const domain = `j${i}.example`
    zone({ [domain]: signed(mx(`mx.${domain}`)), [`mx.${domain}`]: address, [`_25._tcp.mx.${domain}`]: records })
    const hop = await look(domain)
    assert.equal(hop.kind === 'none' && hop.why, expected, String(i))
    const entry = dns.queries.length
    assert.ok(entry > 0)
  }
})

test('the next host is used when the first cannot be looked up', async () => {
  zone({
    'k.example': signed({
      records: ['one', 'two'].map((host, i) => ({ type: 'MX', data: { preference: i, exchange: `${host}.k.example` } })),
    }),
    'one.k.example': signed(at('198.41.0.1')),
    '_25._tcp.one.k.example': { ...tlsa(digest), bogus: true },
    'two.k.example': signed(at('198.41.0.2')),
  })
  const hop = await look('k.example')
  assert.deepEqual(hop.kind === 'hops' && [hop.candidates.map(({ host }) => host), hop.unusable.map(({ why }) => why)], [
    ['two.k.example'],
    ['dnssec-invalid'],
  ])
})

test('MX records that do not validate are bogus, not missing', async () => {
  dns.set('l.example', { ...mx('mx.l.example'), bogus: true })
  const hop = await look('l.example')
  assert.equal(hop.kind === 'none' && hop.why, 'dnssec-invalid')
})

test('a domain that is its own host, and a smarthost, have DANE too; the organisation’s own routes do not ask', async () => {
  zone({ 'm.example': signed(at('198.41.0.1')), '_25._tcp.m.example': tlsa(digest), '_587._tcp.m.example': tlsa(digest) })
  assert.deepEqual(Object.keys(await daneOf('m.example')), ['m.example'])
  const routed = {
    'delivery.routes': { '*': { host: 'm.example', port: 587, tls: 'verified' as const } },
    'organisation.domains': ['org.example'],
  }
  assert.deepEqual(Object.keys(await daneOf('anybody.example', routed)), ['m.example'])
  assert.deepEqual(await daneOf('org.example', routed), {})
})
