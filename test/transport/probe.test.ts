import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import { methods } from '../../src/methods/index.ts'
import { checkDomain } from '../../src/monitor/check-domain.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { probeDomain } from '../../src/transport/probe.ts'
import { type Leaf, type Manner, selfSigned, signedRoot } from '../world/index.ts'
import { openWorld, type SmallWorld } from '../world/small-world.ts'
import { policyText } from '../world/sts-host.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
  world.dns.set('.', signedRoot)
})
after(() => world?.close())

const probing = () => ({
  resolver: createResolver({ servers: world.settings['dns.servers'], clock: systemClock, timeout: 250 }),
  stsPort: world.sts.port,
})

async function probe(domain: string, whole?: number) {
  const probed = await probeDomain(domain, { settings: world.settings, clock: systemClock, ...probing(), ...(whole && { whole }) })
  if (probed.kind !== 'probed') throw new Error(probed.text)
  return probed.probe
}

async function check(domain: string) {
  const read = parsePolicy(defaultPolicyText, methods)
  if (read.kind === 'errors') throw new Error('the default policy has errors')
  const checked = await checkDomain(domain, { settings: world.settings, db: world.db, clock: systemClock, policy: read.policy }, probing())
  if (checked.kind !== 'checked') throw new Error(checked.text)
  return checked.check
}

const good = (domain: string): Promise<Leaf> => world.authority.issue([`mx.${domain}`])
const ee = ({ cert }: Leaf): Buffer => {
  const key = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
  return Buffer.concat([Buffer.from([3, 1, 1]), createHash('sha256').update(key).digest()])
}

/** A partner of a signed domain with these TLSA records. */
async function signed(domain: string, manner: Manner, records: readonly Buffer[]): Promise<void> {
  const partner = await world.partner(domain, manner)
  world.dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: `mx.${domain}` } }], secure: true })
  world.dns.set(`mx.${domain}`, { records: [{ type: 'A', data: partner.host }], secure: true })
  world.dns.set(`_${world.port}._tcp.mx.${domain}`, { records: records.map((data) => ({ type: 'TLSA', data })), secure: true })
}

test('a host that an enforced policy names is authenticated by it', async () => {
  await world.partner('named.example', { tls: await good('named.example') })
  await world.publishSts('named.example', policyText('enforce', ['mx.named.example']))
  const found = await check('named.example')
  assert.deepEqual(found.mx[0]?.sts, { mode: 'enforce', named: true })
  assert.deepEqual(found.mx[0]?.verdict, { encrypted: true, verified: true, authenticated: true, dane: false })
  assert.deepEqual([found.posture, found.wouldBe, found.advice], ['authenticated', 'would go by tls, authenticated', ''])
})

test('a host that the enforced policy does not name: the line to add is in the advice', async () => {
  await world.partner('unnamed.example', { tls: await good('unnamed.example') })
  await world.publishSts('unnamed.example', policyText('enforce', ['mail.unnamed.example']))
  const found = await check('unnamed.example')
  assert.deepEqual(found.mx[0]?.sts, { mode: 'enforce', named: false })
  assert.match(found.advice, /^Name mx\.unnamed\.example in the MTA-STS policy of unnamed\.example \("mx: mx\.unnamed\.example"\)/)
  assert.match(
    found.wouldBe,
    /^would become a letter because its TLS could not be validated \(validation-failure\), after 24 hours of trying$/,
  )
})

test('a policy that cannot be had is told, and does not change what is proven', async () => {
  await world.partner('lost.example', { tls: await good('lost.example') })
  world.dns.set('_mta-sts.lost.example', { records: [{ type: 'TXT', data: 'v=STSv1; id=1;' }] })
  const found = await check('lost.example')
  assert.equal(found.posture, 'verified')
  assert.match(found.advice, /^Repair the MTA-STS of lost\.example: .*mta-sts\.lost\.example/)
})

test('a matching TLSA record proves a self-signed host, whatever names it carries', async () => {
  const leaf = await selfSigned(['whatever.example'])
  await signed('dane.example', { tls: leaf }, [ee(leaf)])
  const found = await check('dane.example')
  assert.deepEqual(found.mx[0]?.verdict, { encrypted: true, verified: true, authenticated: true, dane: true })
  assert.deepEqual([found.mx[0]?.dane?.signed, found.mx[0]?.dane?.matches], [true, true])
  assert.deepEqual([found.posture, found.wouldBe, found.advice], ['authenticated', 'would go by tls, dane', ''])
})

test('a TLSA record for another key: the record that would match is in the advice, good certificate or not', async () => {
  const leaf = await good('mismatch.example')
  await signed('mismatch.example', { tls: leaf }, [ee(await selfSigned(['x']))])
  const found = await check('mismatch.example')
  assert.deepEqual(found.mx[0]?.verdict, { encrypted: false, verified: false, authenticated: false, dane: false })
  assert.equal(found.mx[0]?.dane?.matches, false)
  assert.ok(found.advice.includes(`"3 1 1 ${ee(leaf).subarray(3).toString('hex')}"`), found.advice)
  assert.equal(found.reason, 'validation-failure')
})

test('TLSA records in an unsigned zone are shown, and count for nothing', async () => {
  const leaf = await good('unsigned.example')
  await world.partner('unsigned.example', { tls: leaf })
  world.dns.set(`_${world.port}._tcp.mx.unsigned.example`, { records: [{ type: 'TLSA', data: ee(await selfSigned(['x'])) }] })
  const found = await check('unsigned.example')
  assert.deepEqual([found.posture, found.mx[0]?.dane?.signed, found.mx[0]?.dane?.matches], ['verified', false, null])
})

test('every MX host is looked at, the better one first', async () => {
  const [first, second] = [await world.bare({ tls: await good('two.example') }), await world.bare({})]
  const mx = (preference: number, exchange: string) => ({ type: 'MX', data: { preference, exchange } }) as const
  world.dns.set('two.example', { records: [mx(20, 'b.two.example'), mx(10, 'mx.two.example')] })
  world.dns.set('mx.two.example', { records: [{ type: 'A', data: first.host }] })
  world.dns.set('b.two.example', { records: [{ type: 'A', data: second.host }] })
  const found = await check('two.example')
  assert.deepEqual(
    found.mx.map(({ host, preference, starttls }) => [host, preference, starttls]),
    [
      ['mx.two.example', 10, true],
      ['b.two.example', 20, false],
    ],
  )
  assert.deepEqual([found.posture, found.fixes], ['verified', ['Offer STARTTLS on b.two.example.']])
})

test('an address that does not answer is passed over for the next of the same host', async () => {
  const partner = await world.bare({ tls: await good('half.example') })
  world.dns.set('half.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.half.example' } }] })
  const addresses = [world.freeAddress(), partner.host].map((data) => ({ type: 'A', data }) as const)
  world.dns.set('mx.half.example', { records: addresses })
  const { hosts } = await probe('half.example')
  assert.deepEqual([hosts[0]?.addresses.length, hosts[0]?.starttls, hosts[0]?.trouble], [2, true, undefined])
})

const hostile: readonly { what: string; manner: Manner; row: string }[] = [
  { what: 'bytes smuggled in after the 220 of STARTTLS', manner: starttls('220 go\r\n250 EVIL\r\n'), row: 'tls-broken' },
  { what: 'no TLS after the 220', manner: starttls('220 go\r\n', 'close'), row: 'tls-broken' },
  { what: 'a greeting of one endless line', manner: greeting('2'.repeat(6000)), row: 'connection-lost' },
  { what: 'a greeting that is none', manner: greeting('hello there\r\n'), row: 'connection-lost' },
]
function starttls(send: string, then: 'close' | 'go-on' = 'go-on'): Manner {
  return { keywords: ['STARTTLS'], script: (verb) => (verb === 'STARTTLS' ? { send, then } : undefined) }
}
function greeting(send: string): Manner {
  return { script: (verb) => (verb === 'CONNECT' ? { send, then: 'silence' } : undefined) }
}
for (const [i, { what, manner, row }] of hostile.entries()) {
  test(`hostile: ${what}`, async () => {
    await world.partner(`hostile${i}.example`, manner)
    const { hosts } = await probe(`hostile${i}.example`)
    assert.equal(hosts[0]?.trouble?.row, row, hosts[0]?.trouble?.text)
  })
}

test('a host that sends one octet after the other is cut off when the time is over', async () => {
  await world.partner('drip.example', { script: () => ({ send: `220 ${'x'.repeat(2000)}\r\n`, everyMs: 20 }) })
  const started = Date.now()
  const { hosts } = await probe('drip.example', 500)
  assert.ok(Date.now() - started < 25000)
  assert.equal(hosts[0]?.channel, undefined)
})

test('a thousand MX hosts cost no more than twenty look-ups and five connections', async () => {
  const many = Array.from({ length: 1000 }, (_, i) => ({ preference: i, exchange: `h${i}.many.example` }))
  world.dns.set('many.example', { records: many.map((data) => ({ type: 'MX', data })) })
  const asked = world.dns.queries.length
  const { hosts, unusable } = await probe('many.example')
  assert.equal(hosts.length, 0)
  assert.equal(unusable.length, 20)
  assert.ok(world.dns.queries.length - asked < 60)
})
