import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createAuthority, type Leaf } from '../../src/demo/authority.ts'
import { methods } from '../../src/methods/index.ts'
import { checkDomain } from '../../src/monitor/check-domain.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import type { ProbeStep } from '../../src/transport/probe.ts'
import { type Peers, startPeers } from '../stories/world.ts'

let folder: string
let peers: Peers
let db: Db
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-check-'))
  peers = await startPeers(folder, {
    'good.example': {},
    'plain.example': { certificate: 'none' },
    'expired.example': { certificate: 'expired' },
    'self.example': { certificate: 'self-signed' },
    'wrong.example': { certificate: 'wrong-name' },
    'shut.example': { manner: { script: (verb) => (verb === 'CONNECT' ? '554 5.7.1 go away' : undefined) } },
    'refuses.example': { manner: { script: (verb) => (verb === 'STARTTLS' ? '454 4.7.0 TLS not available' : undefined) } },
    'partial.example': {},
  })
  db = await openDatabase(peers.settings)
})
after(async () => {
  await db?.close()
  await peers?.close()
  await rm(folder, { recursive: true, force: true })
})

function policyOf(text: string) {
  const read = parsePolicy(text, methods)
  if (read.kind === 'errors') throw new Error(JSON.stringify(read.problems))
  return read.policy
}

async function check(domain: string, policy = defaultPolicyText, settings = peers.settings) {
  const steps: ProbeStep[] = []
  const checked = await checkDomain(
    domain,
    { settings, db, clock: systemClock, policy: policyOf(policy) },
    { onStep: (step) => steps.push(step) },
  )
  if (checked.kind !== 'checked') throw new Error(checked.text)
  return { ...checked.check, told: steps }
}

test('a good host is verified, mail would go by tls, and there is nothing to repair', async () => {
  const found = await check('good.example')
  const [host] = found.mx
  assert.deepEqual(
    [found.posture, found.wouldBe, found.advice, host?.host, host?.starttls, host?.protocol],
    ['verified', 'would go by tls, verified', '', 'mx.good.example', true, 'TLSv1.3'],
  )
  assert.deepEqual(host?.verdict, { encrypted: true, verified: true, authenticated: false, dane: false })
  assert.deepEqual(host?.certificate?.names, ['mx.good.example'])
})

test('every step is told when it is finished, with its milliseconds', async () => {
  const { told, steps } = await check('good.example')
  assert.deepEqual(told, steps)
  assert.deepEqual([...told.map(({ name }) => name)].sort(), [
    'addresses',
    'certificate',
    'connect',
    'ehlo',
    'greeting',
    'mx',
    'starttls',
    'sts',
    'tlsa',
  ])
  assert.ok(told.every(({ ms, ok }) => ok && ms >= 0 && ms < 50000))
})

test('no mail transaction is begun, whatever the host offers', async () => {
  await check('good.example')
  await check('plain.example')
  for (const domain of ['good.example', 'plain.example']) {
    const said = peers.partners[domain]?.lines.map(({ line }) => line.split(' ')[0]) ?? []
    assert.ok(said.includes('EHLO') && said.every((verb) => verb === 'EHLO' || verb === 'STARTTLS' || verb === 'QUIT'), said.join())
  }
})

test('a host without STARTTLS: mail would become a letter, and the fix is named', async () => {
  const found = await check('plain.example')
  assert.deepEqual(
    [found.posture, found.reason, found.wouldBe, found.advice],
    [
      'clear',
      'starttls-not-supported',
      'would become a letter because no STARTTLS is offered (starttls-not-supported)',
      'Offer STARTTLS on mx.plain.example.',
    ],
  )
  assert.equal(found.mx[0]?.starttls, false)
})

test('an expired certificate: the date is named, and how long we would try', async () => {
  const found = await check('expired.example')
  const day = new Date(Date.now() - 9 * 86_400_000).toISOString().slice(0, 10)
  assert.equal(found.advice, `Renew the certificate of mx.expired.example, it expired on ${day}.`)
  assert.match(found.wouldBe, /^would become a letter because certificate expired or not yet valid \(certificate-expired\), after /)
  assert.deepEqual(found.mx[0]?.verdict, { encrypted: true, verified: false, authenticated: false, dane: false })
})

test('self-signed, wrong-name and incomplete certificates each get their own sentence', async () => {
  assert.equal((await check('self.example')).advice, 'Replace the self-signed certificate of mx.self.example by one of a public authority.')
  assert.equal(
    (await check('wrong.example')).advice,
    'The certificate names elsewhere.mx.wrong.example only: issue one for mx.wrong.example.',
  )
  const authority = await createAuthority('Unsent Root')
  const below = await authority.below('Hidden Issuing CA', { sent: false })
  const tls: Leaf = await below.issue(['mx.partial.example'])
  peers.partners['partial.example']?.behave({ hostname: 'mx.partial.example', tls })
  const found = await check('partial.example')
  assert.equal(found.advice, 'Send the intermediate certificate of "Hidden Issuing CA" along with that of mx.partial.example.')
  assert.deepEqual([found.reason, found.reasonText], ['certificate-not-trusted', 'certificate not trusted (certificate-not-trusted)'])
})

test('a host that greets with 554 or refuses STARTTLS is quoted', async () => {
  const shut = await check('shut.example')
  assert.match(shut.advice, /Let mx\.shut\.example accept mail: .*554 5\.7\.1 go away/)
  assert.match(shut.wouldBe, /would wait and be tried again because the server refuses mail \(remote-refused\)/)
  assert.equal(shut.posture, 'unreachable')
  const refuses = await check('refuses.example')
  assert.match(refuses.advice, /Repair TLS on mx\.refuses\.example: .*454/)
  assert.equal(refuses.posture, 'clear')
})

test('a domain that does not exist, null MX and a private address', async () => {
  peers.dns.set('null.example', { records: [{ type: 'MX', data: { preference: 0, exchange: '.' } }] })
  const gone = await check('gone.example')
  assert.deepEqual(
    [gone.posture, gone.wouldBe],
    ['no-mail', 'would be returned to its sender because there is no such domain (domain-not-found)'],
  )
  assert.equal((await check('null.example')).reason, 'null-mx')
  const refusing = { ...peers.settings, 'delivery.allowPrivateAddresses': false }
  const before = peers.partners['good.example']?.connections()
  const found = await check('good.example', defaultPolicyText, refusing)
  assert.equal(peers.partners['good.example']?.connections(), before, 'nobody is connected to')
  assert.match(found.advice, /Give mx\.good\.example a public address/)
})

test('the policy in force decides what would be done', async () => {
  const at = (deliver: string) => check('good.example', `version: 1\ndefault:\n  deliver: [${deliver}]\n`)
  assert.equal(
    (await at('{ tls: { level: authenticated } }, escrow')).wouldBe,
    'would become a letter because less proof than the rule asks (assurance-too-low)',
  )
  assert.equal((await at('{ tls: { min: 1.3 } }, bounce')).wouldBe, 'would go by tls, verified')
  assert.equal((await at('{ opportunistic: { i-understand: may travel unencrypted } }')).wouldBe, 'would go by opportunistic TLS, verified')
})

test('a domain with its own route is looked at where the route leads, and the route’s word is the need', async () => {
  const found = await check('org.example')
  assert.deepEqual([found.source, found.mx[0]?.host, found.mx[0]?.starttls], ['route', '127.0.0.1', false])
  assert.match(found.wouldBe, /^would go by its own route/)
  const strict = { 'org.example': { host: '127.0.0.1', port: peers.own.port, tls: 'verified' as const } }
  assert.match(
    (await check('org.example', defaultPolicyText, { ...peers.settings, 'delivery.routes': strict })).wouldBe,
    /letter because no STARTTLS is offered \(starttls-not-supported\)/,
  )
})

test('where verified TLS was used lately its loss is taken for a downgrade', async () => {
  const at = Date.now() - 86_400_000
  await db.write(sql`INSERT INTO posture (domain, verified_at, assurance, identity, host)
    VALUES (${'plain.example'}, ${at}, ${'verified'}, ${'webpki'}, ${'mx.plain.example'})`)
  const why = 'because downgrade suspected (downgrade-suspected), after 4 hours of trying'
  assert.equal((await check('plain.example')).wouldBe, `would be held for an administrator ${why}`)
  const holding = { ...peers.settings, 'escrow.onDowngrade': 'hold' as const }
  assert.equal((await check('plain.example', defaultPolicyText, holding)).wouldBe, `would be held for an administrator ${why}`)
  await db.write(sql`DELETE FROM posture`)
})

test('when no DNS server answers, that is said of ours and not of theirs', async () => {
  const checked = await checkDomain('good.example', {
    settings: { ...peers.settings, 'dns.servers': ['127.0.0.1:9'] },
    db,
    clock: systemClock,
    policy: policyOf(defaultPolicyText),
  })
  assert.equal(checked.kind, 'no-dns')
})

test('SERVFAIL for the domain alone is the domain’s own trouble', async () => {
  peers.dns.set('broken.example', { rcode: 'SERVFAIL' })
  const found = await check('broken.example')
  assert.deepEqual([found.posture, found.reason], ['unknown', 'dns-temporary'])
  assert.match(found.advice, /Repair the DNS of broken\.example/)
})

test('a check ends in time with what it has, however slow the host is', async () => {
  peers.partners['good.example']?.behave({ script: () => ({ then: 'silence' }) })
  const started = Date.now()
  const checked = await checkDomain(
    'good.example',
    { settings: peers.settings, db, clock: systemClock, policy: policyOf(defaultPolicyText) },
    { whole: 600 },
  )
  assert.ok(Date.now() - started < 30000)
  assert.equal(checked.kind === 'checked' && checked.check.mx[0]?.verdict.encrypted, false)
})
