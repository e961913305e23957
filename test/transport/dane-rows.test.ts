/** The DANE column of the decision table, row by row, through real sockets; and what DANE does to MTA-STS and to mail that may go in clear. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { Outcome } from '../../src/mail/outcome.ts'
import type { Need } from '../../src/transport/transport.ts'
import { createAuthority, type Leaf, type Manner, type Partner, selfSigned, signedRoot } from '../world/index.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'
import { policyText } from '../world/sts-host.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
  world.dns.set('.', signedRoot)
})
after(() => world?.close())

const hour = 3_600_000
const level = (level: 'encrypted' | 'verified' | 'authenticated' | 'dane' | 'pinned', more: object = {}) =>
  ({ kind: 'forced', level, ...more }) as Need
const notice = { kind: 'notice' } as const

/** `usage selector matching` of a certificate of a PEM chain: `nth` from the leaf. */
function tlsa(form: string, pem: string, nth = 0): Buffer {
  const certificate = new X509Certificate(pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.[nth] ?? '')
  const [usage = 0, selector, matching = 0] = form.split(' ').map(Number)
  const whole = selector === 0 ? certificate.raw : certificate.publicKey.export({ type: 'spki', format: 'der' })
  const data =
    matching === 0
      ? whole
      : createHash(matching === 1 ? 'sha256' : 'sha512')
          .update(whole)
          .digest()
  return Buffer.concat([Buffer.from([usage, selector ?? 0, matching]), data])
}

let domains = 0
/** A signed domain whose one MX host has these TLSA records. */
async function signed(
  records: readonly Buffer[],
  manner: Manner | ((host: string) => Promise<Manner>),
): Promise<{ domain: string; partner: Partner }> {
  const domain = `d${domains++}.example`
  const host = `mx.${domain}`
  const partner = await world.partner(domain, typeof manner === 'function' ? await manner(host) : manner)
  world.dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: host } }], secure: true })
  world.dns.set(host, { records: [{ type: 'A', data: partner.host }], secure: true })
  publish(host, records)
  return { domain, partner }
}
const publish = (host: string, records: readonly Buffer[]) =>
  world.dns.set(`_${world.port}._tcp.${host}`, { records: records.map((data) => ({ type: 'TLSA', data })), secure: true })

const brief = (outcome: Outcome) => ('reason' in outcome ? `${outcome.kind} ${outcome.reason}` : `${outcome.kind} ${outcome.assurance}`)
/** Deferred for a day, then the next step; nothing said but EHLO and STARTTLS. */
function waitsADay({ first }: { first: Outcome }, partner: Partner, reason: string) {
  assert.equal(brief(first), `deferred ${reason}`, first.text)
  assert.ok(first.kind === 'deferred')
  assert.deepEqual([first.retry.offsets?.at(-1), first.retry.then], [24 * hour, 'unsuitable'])
  assert.equal(first.evidence.published, 'dane')
  assert.equal(partner.mails.length, 0)
  assert.doesNotMatch(partner.clear().toString(), /MAIL|DATA/)
}

test('EE(3): a self-signed, expired certificate for another name is the right one, at every level but a pin', async () => {
  const leaf = await selfSigned(['elsewhere.example'], { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') })
  const { domain, partner } = await signed([tlsa('3 1 1', leaf.cert)], { tls: leaf })
  for (const need of [verified, level('authenticated'), level('dane'), level('encrypted'), notice]) {
    const { first } = await world.ship(domain, need)
    assert.equal(brief(first), 'delivered dane', first.text)
    assert.equal(first.evidence.identity, 'dane')
  }
  assert.equal(partner.mails[0]?.tls?.serverName, `mx.${domain}`)
  const { first } = await world.ship(domain, level('pinned', { pin: ['ab'.repeat(32)] }))
  assert.equal(brief(first), 'unsuitable assurance-too-low')
})

test('a pinned key is reached as pinned, but not past a TLSA record that does not match', async () => {
  const leaf = await selfSigned(['x.example'])
  const pin = [tlsa('3 1 1', leaf.cert).subarray(3).toString('hex')]
  const right = await signed([tlsa('3 1 1', leaf.cert)], { tls: leaf })
  assert.equal(brief((await world.ship(right.domain, level('pinned', { pin }))).first), 'delivered pinned')
  const wrong = await signed([tlsa('3 1 1', (await selfSigned(['x'])).cert)], { tls: leaf })
  waitsADay(await world.ship(wrong.domain, level('pinned', { pin })), wrong.partner, 'validation-failure')
})

test('TA(2): an authority that nobody else trusts, sent out of order', async () => {
  const root = await createAuthority('Own Root')
  const below = await (await root.below('Upper')).below('Lower')
  const issue = async (host: string): Promise<Leaf> => {
    const leaf = await below.issue([host])
    const [own = '', lower = '', upper = ''] = leaf.cert.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []
    return { ...leaf, cert: [own, root.cert, upper, lower].join('\n') }
  }
  for (const form of ['2 0 1', '2 1 1', '2 1 2', '2 0 0', '2 1 0']) {
    const { domain } = await signed([tlsa(form, root.cert)], async (host) => ({ tls: await issue(host) }))
    assert.equal(brief((await world.ship(domain, verified)).first), 'delivered dane', form)
  }
})

test('TA(2): the certificate may name the domain instead of the host', async () => {
  const { domain } = await signed([tlsa('2 0 0', world.authority.cert)], async (host) => ({
    tls: await world.authority.issue([host.replace(/^mx\./, '')]),
  }))
  assert.equal(brief((await world.ship(domain, verified)).first), 'delivered dane')
})

test('TLSA mismatch: nobody gets it, a good certificate does not help, and it waits a day, then the next step', async () => {
  const stranger = await selfSigned(['x'])
  const { domain, partner } = await signed([tlsa('3 1 1', stranger.cert)], async (host) => ({ tls: await world.authority.issue([host]) }))
  for (const need of [verified, level('encrypted'), level('dane')]) waitsADay(await world.ship(domain, need), partner, 'validation-failure')
})

test('TLSA mismatch: MTA-STS must not rescue it', async () => {
  const stranger = await selfSigned(['x'])
  const { domain, partner } = await signed([tlsa('3 1 1', stranger.cert)], async (host) => ({ tls: await world.authority.issue([host]) }))
  await world.publishSts(domain, policyText('enforce', [`mx.${domain}`]))
  waitsADay(await world.ship(domain, verified), partner, 'validation-failure')
})

test('TA(2): wrong name, out of date and no path each keep their own reason, and wait', async () => {
  const anchor = tlsa('2 0 0', world.authority.cert)
  const cases: [string, (host: string) => Promise<Leaf>][] = [
    ['certificate-host-mismatch', () => world.authority.issue(['elsewhere.example'])],
    [
      'certificate-expired',
      (host) => world.authority.issue([host], { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') }),
    ],
    ['validation-failure', (host) => selfSigned([host])],
  ]
  for (const [reason, issue] of cases) {
    const { domain, partner } = await signed([anchor], async (host) => ({ tls: await issue(host) }))
    waitsADay(await world.ship(domain, verified), partner, reason)
  }
})

test('STARTTLS that is missing, refused, broken or without a common cipher waits a day', async () => {
  const leaf = await selfSigned(['x'])
  const record = [tlsa('3 1 1', leaf.cert)]
  const answer = (reply: Awaited<ReturnType<NonNullable<Manner['script']>>>): Manner => ({
    tls: leaf,
    script: (verb) => (verb === 'STARTTLS' ? reply : undefined),
  })
  const cases: [string, Manner][] = [
    ['starttls-not-supported', {}],
    ['starttls-not-supported', answer('454 4.7.0 later')],
    ['starttls-not-supported', answer('502 5.5.1 no')],
    ['validation-failure', answer({ send: '220 go\r\n', then: 'close' })],
  ]
  for (const [reason, manner] of cases) {
    const { domain, partner } = await signed(record, manner)
    waitsADay(await world.ship(domain, verified), partner, reason)
  }
})

test('N2: a notice and an opportunistic mail do not go in clear to a host with DANE, nor to one that fails it', async () => {
  const leaf = await selfSigned(['x'])
  const record = [tlsa('3 1 1', leaf.cert)]
  const broken: Manner[] = [
    {},
    { tls: leaf, script: (verb) => (verb === 'STARTTLS' ? '454 4.7.0 later' : undefined) },
    { tls: await selfSigned(['x']) },
  ]
  for (const manner of broken) {
    for (const need of [notice, { kind: 'opportunistic' } as const]) {
      const { domain, partner } = await signed(record, manner)
      const { first } = await world.ship(domain, need)
      assert.equal(first.kind, 'deferred', first.text)
      assert.doesNotMatch(partner.clear().toString(), /MAIL/)
      assert.equal(partner.mails.length, 0)
    }
  }
})

test('only unusable records: TLS is demanded, proves nobody, and the rule asks for the rest', async () => {
  const unusable = [Buffer.from(`010101${'ab'.repeat(32)}`, 'hex'), Buffer.from('030101ab', 'hex'), Buffer.from([3])]
  const good = await signed(unusable, async (host) => ({ tls: await world.authority.issue([host]) }))
  assert.equal(brief((await world.ship(good.domain, verified)).first), 'delivered verified')
  waitsADay(await world.ship(good.domain, level('dane')), { ...good.partner, mails: [] }, 'tlsa-invalid')
  const self = await signed(unusable, { tls: await selfSigned(['x']) })
  assert.equal(brief((await world.ship(self.domain, verified)).first), 'unsuitable certificate-not-trusted')
  assert.equal(brief((await world.ship(self.domain, notice)).first), 'delivered encrypted')
  const clear = await signed(unusable, {})
  waitsADay(await world.ship(clear.domain, verified), clear.partner, 'starttls-not-supported')
  assert.equal((await world.ship(clear.domain, notice)).first.kind, 'deferred')
})

test('the rule asks for DANE where there is none: fall back now, and nobody is connected to', async () => {
  const partner = await world.partner('plain.example', { tls: await world.authority.issue(['mx.plain.example']) })
  const { first } = await world.ship('plain.example', level('dane'))
  assert.equal(brief(first), 'unsuitable assurance-too-low')
  assert.equal(partner.connections(), 0)
})

test('per host: after a mismatch the next MX, with DANE or without', async () => {
  const stranger = await selfSigned(['x'])
  for (const second of ['dane', 'verified'] as const) {
    const domain = `two-${second}.example`
    const [one, two] = ['one', 'two'].map((name) => `${name}.${domain}`) as [string, string]
    const leaves = await Promise.all([one, two].map((host) => world.authority.issue([host])))
    const partners = await Promise.all(leaves.map((tls) => world.bare({ tls })))
    const exchanges = [one, two].map((exchange, i) => ({ type: 'MX' as const, data: { preference: i, exchange } }))
    world.dns.set(domain, { records: exchanges, secure: true })
    for (const [i, host] of [one, two].entries())
      world.dns.set(host, { records: [{ type: 'A', data: partners[i]?.host ?? '' }], secure: true })
    publish(one, [tlsa('3 1 1', stranger.cert)])
    if (second === 'dane') publish(two, [tlsa('3 1 1', leaves[1]?.cert ?? '')])
    const { first } = await world.ship(domain, verified)
    assert.equal(brief(first), `delivered ${second}`, first.text)
    assert.deepEqual(
      partners.map(({ mails }) => mails.length),
      [0, 1],
    )
  }
})

test('a host that fails DANE keeps the message from falling back because another host fails without it', async () => {
  const domain = 'mixed.example'
  const partners = await Promise.all([world.bare({ tls: await selfSigned(['x']) }), world.bare({ tls: await selfSigned(['y']) })])
  world.dns.set(domain, {
    records: ['one', 'two'].map((host, i) => ({ type: 'MX', data: { preference: i, exchange: `${host}.${domain}` } })),
    secure: true,
  })
  for (const [i, host] of ['one', 'two'].entries())
    world.dns.set(`${host}.${domain}`, { records: [{ type: 'A', data: partners[i]?.host ?? '' }], secure: true })
  publish(`one.${domain}`, [tlsa('3 1 1', (await selfSigned(['z'])).cert)])
  const { first } = await world.ship(domain, verified)
  assert.equal(first.kind, 'deferred', first.text)
})

test('a bogus zone: the message waits, with dnssec-invalid, and nobody is connected to', async () => {
  const leaf = await selfSigned(['x'])
  const { domain, partner } = await signed([tlsa('3 1 1', leaf.cert)], { tls: leaf })
  world.dns.set(`_${world.port}._tcp.mx.${domain}`, { records: [{ type: 'TLSA', data: tlsa('3 1 1', leaf.cert) }], bogus: true })
  const { first } = await world.ship(domain, verified)
  assert.equal(brief(first), 'deferred dnssec-invalid', first.text)
  assert.equal(first.kind === 'deferred' && first.retry.offsets?.at(-1), 24 * hour)
  assert.equal(partner.connections(), 0)
})

test('a kept connection is judged by the records of now', async () => {
  const leaf = await selfSigned(['x'])
  const { domain, partner } = await signed([tlsa('3 1 1', leaf.cert)], { tls: leaf })
  assert.equal(brief((await world.ship(domain, verified)).first), 'delivered dane')
  const other = 'roommate.example'
  world.dns.set(other, { records: [{ type: 'MX', data: { preference: 1, exchange: `mx.${domain}` } }] })
  // The same host for a domain whose MX is not signed: no DANE there, and the certificate alone proves nothing.
  assert.equal(brief((await world.ship(other, verified)).first), 'unsuitable certificate-not-trusted')
  assert.equal(partner.mails.length, 1)
})

test('SNI is the TLSA base domain', async () => {
  const leaf = await selfSigned(['x'])
  const partner = await world.bare({ tls: leaf })
  world.dns.set('sni.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.sni.example' } }], secure: true })
  world.dns.set('mx.sni.example', { records: [{ type: 'CNAME', data: 'real.sni.example' }], secure: true })
  world.dns.set('real.sni.example', { records: [{ type: 'A', data: partner.host }], secure: true })
  publish('real.sni.example', [tlsa('3 1 1', leaf.cert)])
  assert.equal(brief((await world.ship('sni.example', verified)).first), 'delivered dane')
  assert.equal(partner.mails[0]?.tls?.serverName, 'real.sni.example')
})
