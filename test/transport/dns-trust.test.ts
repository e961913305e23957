/** Whose AD bit is believed, and what becomes of answers that do not validate. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createResolver } from '../../src/transport/dns.ts'
import type { TrustAd } from '../../src/transport/dns-trust.ts'
import { type FakeDns, signedRoot, startFakeDns } from '../world/index.ts'

let dns: FakeDns
let now = 1_000_000
const zone = {
  'signed.example': { records: [{ type: 'A' as const, data: '192.0.2.1' }], secure: true },
  'plain.example': { records: [{ type: 'A' as const, data: '192.0.2.2' }] },
  'bogus.example': { records: [{ type: 'A' as const, data: '192.0.2.3' }], bogus: true },
  'failing.example': { rcode: 'SERVFAIL' as const },
}
before(async () => {
  dns = await startFakeDns({ ...zone, '.': signedRoot })
})
after(() => dns.close())

const resolver = (trustAd: TrustAd = 'auto', servers = [dns.address]) =>
  createResolver({ servers, clock: () => now, timeout: 1000, rounds: 1, trustAd })
const secure = async (name: string, of = resolver()) => {
  const look = await of.look(name, 'A')
  return look.kind === 'temporary' ? 'temporary' : look.secure
}
const selfTests = () => dns.queries.filter(({ name, type }) => name === '' && type === 'SOA').length

test('a server on loopback that validates the root is believed about each name', async () => {
  const own = resolver()
  const found = await Promise.all(
    ['signed.example', 'none.signed.example', 'plain.example', 'nowhere.example'].map((name) => secure(name, own)),
  )
  assert.deepEqual(found, [true, true, false, false])
})

test('the self-test is asked once, and again after the TTL of the root’s SOA', async () => {
  const own = resolver()
  const before = selfTests()
  for (const name of ['signed.example', 'plain.example', 'x.example']) await own.look(name, 'A')
  assert.equal(selfTests() - before, 1)
  now += 3_601_000
  await own.look('y.example', 'A')
  assert.equal(selfTests() - before, 2)
})

test('a server that stops to validate is not believed after the next self-test; one that stays silent still is', async () => {
  const own = resolver()
  assert.equal(await secure('signed.example', own), true)
  dns.set('.', { silent: true })
  now += 3_601_000
  assert.equal(await secure('signed.example', own), true)
  dns.set('.', { records: signedRoot.records ?? [] })
  now += 3_601_000
  assert.equal(await secure('signed.example', own), false)
  dns.set('.', signedRoot)
})

test('AD of a server that does not validate the root is not believed, unless the setting says always', async () => {
  const lax = await startFakeDns(zone)
  const found = await Promise.all(
    (['auto', 'always', 'never'] as const).map((mode) => secure('signed.example', resolver(mode, [lax.address]))),
  )
  await lax.close()
  assert.deepEqual(found, [false, true, false])
})

test('with never nobody is asked for DNSSEC, and a validating server is not believed', async () => {
  const before = selfTests()
  assert.equal(await secure('signed.example', resolver('never')), false)
  assert.equal(selfTests(), before)
})

test('AD from a server whose self-test is still open is no answer: not "insecure", which would drop DANE', async () => {
  const starting = await startFakeDns({ ...zone, '.': { rcode: 'SERVFAIL' } })
  const own = resolver('auto', [starting.address])
  assert.deepEqual([await secure('signed.example', own), await secure('plain.example', own)], ['temporary', false])
  starting.set('.', signedRoot)
  now += 11_000
  assert.equal(await secure('signed.example', own), true)
  await starting.close()
})

test('SERVFAIL with an answer behind it is bogus, without one it is a failure', async () => {
  const looks = await Promise.all(['bogus.example', 'failing.example'].map((name) => resolver().look(name, 'A')))
  assert.deepEqual(
    looks.map((look) => look.kind === 'temporary' && look.bogus),
    [true, false],
  )
  assert.deepEqual(
    dns.queries.filter(({ name }) => name === 'bogus.example').map(({ cd }) => cd),
    [false, true],
  )
})

test('what the validating server refuses is not asked of another one', async () => {
  const lax = await startFakeDns({ 'bogus.example': { records: [{ type: 'A', data: '192.0.2.3' }] } })
  const look = await resolver('auto', [lax.address, dns.address]).look('bogus.example', 'A')
  assert.equal(look.kind, 'temporary')
  assert.equal(lax.queries.filter(({ name }) => name === 'bogus.example').length, 0)
  await lax.close()
})

test('an alias is as secure as its least secure part', async () => {
  dns.set('to-plain.example', { records: [{ type: 'CNAME', data: 'plain.example' }], secure: true })
  dns.set('to-signed.example', { records: [{ type: 'CNAME', data: 'signed.example' }], secure: true })
  assert.deepEqual([await secure('to-plain.example'), await secure('to-signed.example')], [false, true])
})

test('TLSA records are read, also those too short to be any', async () => {
  const whole = Buffer.from(`030101${'ab'.repeat(32)}`, 'hex')
  for (const [i, bytes] of [Buffer.alloc(0), Buffer.from([3]), Buffer.from([3, 1]), Buffer.from([3, 1, 1])].entries()) {
    const name = `_25._tcp.t${i}.example`
    dns.set(name, { records: [bytes, whole].map((data) => ({ type: 'TLSA' as const, data })), secure: true })
    const look = await resolver().look(name, 'TLSA')
    assert.equal(look.kind === 'records' && look.records.length, 2, `${bytes.length} octets`)
    assert.deepEqual(look.kind === 'records' && look.records[1], { usage: 3, selector: 1, matching: 1, data: whole.subarray(3) })
  }
})
