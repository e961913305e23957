/** The columns "MTA-STS" and "ratchet" of the decision table through real sockets: SMTP partners, HTTPS policy hosts, DNS. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Outcome } from '../../src/mail/outcome.ts'
import { sql } from '../../src/store/db.ts'
import type { Need } from '../../src/transport/transport.ts'
import { type Manner, selfSigned } from '../world/index.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'
import { policyText } from '../world/sts-host.ts'

let world: SmallWorld
before(async () => {
  // A kept connection would hide what the next one meets.
  world = await openWorld({}, { reuse: 0 })
})
after(() => world?.close())

const hour = 3_600_000
const day = 24 * hour
const notice: Need = { kind: 'notice' }
const good = async (domain: string): Promise<Manner> => ({ tls: await world.authority.issue([`mx.${domain}`]) })
const enforced = (domain: string) => world.publishSts(domain, policyText('enforce', [`mx.${domain}`]))

/** Reason, hours until it falls back, and what becomes of it then. */
const waits = (outcome: Outcome) =>
  outcome.kind === 'deferred'
    ? [outcome.reason, (outcome.retry.offsets?.at(-1) ?? 0) / hour, outcome.retry.as ?? 'same']
    : [outcome.kind, outcome.text]
/** A notice: how it waits. */
const bound = (outcome: Outcome) => (outcome.kind === 'deferred' ? [outcome.reason, outcome.retry] : [outcome.kind, outcome.text])

test('a host of an enforced policy that proves its name reaches authenticated, by STS', async () => {
  await world.partner('fine.example', await good('fine.example'))
  await enforced('fine.example')
  for (const need of [verified, { kind: 'forced', level: 'authenticated' }, notice] as const) {
    const { first } = await world.ship('fine.example', need)
    assert.deepEqual(first.kind === 'delivered' && [first.assurance, first.evidence.identity], ['authenticated', 'sts'], first.text)
    assert.deepEqual(first.evidence.sts, { mode: 'enforce', id: 'one' })
  }
})

const failing: readonly { what: string; manner: (domain: string) => Promise<Manner>; reason: string }[] = [
  { what: 'no STARTTLS', manner: async () => ({}), reason: 'starttls-not-supported' },
  {
    what: 'EHLO refused',
    manner: async () => ({ script: (verb) => (verb === 'EHLO' ? '502 5.5.1 no' : undefined) }),
    reason: 'starttls-not-supported',
  },
  {
    what: 'STARTTLS 4yz',
    manner: async (domain) => ({ ...(await good(domain)), script: (verb) => (verb === 'STARTTLS' ? '454 4.7.0 later' : undefined) }),
    reason: 'starttls-not-supported',
  },
  {
    what: 'STARTTLS 5yz',
    manner: async (domain) => ({ ...(await good(domain)), script: (verb) => (verb === 'STARTTLS' ? '502 5.5.1 no' : undefined) }),
    reason: 'starttls-not-supported',
  },
  {
    what: 'no shared protocol',
    manner: async (domain) => ({
      ...(await good(domain)),
      secure: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    }),
    reason: 'validation-failure',
  },
  {
    what: 'reset after 220',
    manner: async (domain) => ({
      ...(await good(domain)),
      script: (verb) => (verb === 'STARTTLS' ? { send: '220 go\r\n', then: 'reset' } : undefined),
    }),
    reason: 'validation-failure',
  },
  { what: 'self-signed', manner: async (domain) => ({ tls: await selfSigned([`mx.${domain}`]) }), reason: 'certificate-not-trusted' },
  {
    what: 'other name',
    manner: async () => ({ tls: await world.authority.issue(['mx.other.example']) }),
    reason: 'certificate-host-mismatch',
  },
  {
    what: 'expired',
    manner: async (domain) => ({
      tls: await world.authority.issue([`mx.${domain}`], {
        notBefore: new Date(Date.now() - 9 * day),
        notAfter: new Date(Date.now() - day),
      }),
    }),
    reason: 'certificate-expired',
  },
]
for (const { what, manner, reason } of failing) {
  test(`STS enforce, ${what}: mail waits 24 h, a notice waits as well, and nothing leaves in clear`, async () => {
    const domain = `sts-${what.toLowerCase().replaceAll(' ', '-')}.example`
    const partner = await world.partner(domain, await manner(domain))
    await enforced(domain)
    const mail = (await world.ship(domain, verified)).first
    assert.deepEqual(waits(mail), [reason, 24, 'same'], mail.text)
    assert.equal(mail.evidence.published, 'sts-enforce')
    for (const need of [notice, { kind: 'opportunistic' }, { kind: 'forced', level: 'encrypted' }] as const) {
      const { first } = await world.ship(domain, need)
      if (need.kind === 'forced') assert.deepEqual(waits(first), [reason, 24, 'same'], first.text)
      else assert.deepEqual(bound(first), [reason, { then: 'unsuitable' }], first.text)
    }
    assert.equal(partner.mails.length, 0)
    assert.doesNotMatch(partner.clear().toString(), /MAIL|RCPT|HELO|hello/)
  })

  test(`ratchet, ${what}: mail waits 4 h, then a downgrade is suspected`, async () => {
    const domain = `was-${what.toLowerCase().replaceAll(' ', '-')}.example`
    const partner = await world.partner(domain, await good(domain))
    assert.equal((await world.ship(domain, verified)).first.kind, 'delivered')
    partner.behave(await manner(domain))
    const mail = (await world.ship(domain, verified)).first
    assert.deepEqual(waits(mail), [reason, 4, 'downgrade-suspected'], mail.text)
    assert.match(mail.text, /, though verified TLS was seen there on \d{4}-\d\d-\d\d: a downgrade is suspected$/)
    assert.deepEqual([mail.evidence.published, mail.evidence.cause], ['ratchet', reason])
    assert.equal(partner.mails.length, 1)
  })
}

test('a host that is not in the policy is not even connected to; one that is takes the mail', async () => {
  const outside = await world.bare(await good('two.example'))
  const inside = await world.bare({ tls: await world.authority.issue(['mx2.two.example']) })
  world.dns.set('two.example', { records: [1, 2].map((n) => ({ type: 'MX', data: { preference: n, exchange: `mx${n}.two.example` } })) })
  world.dns.set('mx1.two.example', { records: [{ type: 'A', data: outside.host }] })
  world.dns.set('mx2.two.example', { records: [{ type: 'A', data: inside.host }] })
  await world.publishSts('two.example', policyText('enforce', ['mx2.two.example']))
  assert.equal((await world.ship('two.example', verified)).first.kind, 'delivered')
  assert.deepEqual([outside.connections(), inside.mails.length], [0, 1])
})

test('no host in the policy: the policy is asked for again, then 24 h, for notices too; a changed policy lets the mail go at once', async () => {
  const partner = await world.partner('moved.example', await good('moved.example'))
  await world.publishSts('moved.example', policyText('enforce', ['mx.old.example']))
  for (const expected of [
    [verified, ['validation-failure', 24, 'same']],
    [notice, ['validation-failure', 0, 'same']],
  ] as const) {
    const { first } = await world.ship('moved.example', expected[0])
    assert.deepEqual(waits(first), expected[1], first.text)
    assert.match(first.text, /^mx\.moved\.example is not among the hosts of its domain's MTA-STS policy \(mx\.old\.example\)$/)
  }
  assert.equal(partner.connections(), 0)

  await world.partner('changed.example', await good('changed.example'))
  await world.publishSts('changed.example', policyText('enforce', ['mx.old.example']))
  await world.db.write(
    sql`INSERT INTO sts_policy (domain, id, mode, mx, max_age, fetched_at, expires_at, used_at)
      VALUES ('changed.example', 'one', 'enforce', '["mx.old.example"]', 86400, ${Date.now() - hour}, ${Date.now() + day}, ${Date.now()})`,
  )
  await enforced('changed.example')
  const { first } = await world.ship('changed.example', verified)
  assert.equal(first.kind, 'delivered', first.text)
})

test('a wildcard of the policy stands for one label', async () => {
  await world.partner('wildpolicy.example', await good('wildpolicy.example'))
  await world.publishSts('wildpolicy.example', policyText('enforce', ['*.wildpolicy.example']))
  assert.equal((await world.ship('wildpolicy.example', verified)).first.kind, 'delivered')
  const deep = await world.bare({ tls: await world.authority.issue(['mx.a.deep.example']) })
  world.dns.set('deep.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.a.deep.example' } }] })
  world.dns.set('mx.a.deep.example', { records: [{ type: 'A', data: deep.host }] })
  await world.publishSts('deep.example', policyText('enforce', ['*.deep.example']))
  assert.equal((await world.ship('deep.example', verified)).first.kind, 'deferred')
  assert.equal(deep.connections(), 0)
})

test('a certificate for the recipient domain alone does not satisfy the policy', async () => {
  await world.partner('own-name.example', { tls: await world.authority.issue(['own-name.example']) })
  await enforced('own-name.example')
  assert.deepEqual(waits((await world.ship('own-name.example', verified)).first), ['certificate-host-mismatch', 24, 'same'])
})

test('what does not ask for TLS alone stays as it is under a policy: recipients, sizes, dead hosts', async () => {
  const domain = 'else.example'
  await world.partner(domain, { ...(await good(domain)), script: (verb) => (verb === 'RCPT' ? '550 5.1.1 nobody' : undefined) })
  await enforced(domain)
  const refused = (await world.ship(domain, verified)).first
  assert.deepEqual([refused.kind, refused.kind === 'failed' && refused.reason], ['failed', 'recipient-refused'])
  world.dns.set('dead.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.dead.example' } }] })
  world.dns.set('mx.dead.example', { records: [{ type: 'A', data: world.freeAddress() }] })
  await enforced('dead.example')
  const dead = (await world.ship('dead.example', verified)).first
  assert.deepEqual(dead.kind === 'deferred' && [dead.reason, dead.retry], ['unreachable', { then: 'failed' }])
})

test('testing: our own rule decides, and what the policy would have refused is told', async () => {
  await world.partner('try.example', { tls: await world.authority.issue(['try.example']) })
  await world.publishSts('try.example', policyText('testing', ['mx.try.example']))
  const { first } = await world.ship('try.example', verified)
  assert.deepEqual(
    first.kind === 'delivered' && first.evidence.testingFailed,
    'certificate of mx.try.example is for another name',
    first.text,
  )
  await world.partner('try2.example', {})
  await world.publishSts('try2.example', policyText('testing', ['mx.try2.example']))
  assert.equal((await world.ship('try2.example', verified)).first.kind, 'unsuitable')
  assert.equal((await world.ship('try2.example', notice)).first.kind, 'delivered')
})

test('mode none binds nobody', async () => {
  await world.partner('none.example', {})
  await world.publishSts('none.example', policyText('none', []))
  assert.equal((await world.ship('none.example', verified)).first.kind, 'unsuitable')
  assert.equal((await world.ship('none.example', notice)).first.kind, 'delivered')
})

const unreadable = {
  'sts-policy-fetch-error': (_request: unknown, response: import('node:http').ServerResponse) => void response.writeHead(500).end(),
  'sts-policy-invalid': 'version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n',
}
for (const [reason, answer] of Object.entries(unreadable)) {
  test(`${reason} and nothing cached: as if nothing were published, and the record says why`, async () => {
    const domain = `${reason}.example`
    await world.partner(domain, {})
    await world.publishSts(domain, answer)
    const { first } = await world.ship(domain, verified)
    assert.deepEqual(first.kind === 'unsuitable' && first.reason, 'starttls-not-supported', first.text)
    assert.equal((first.evidence.sts as { reason: string }).reason, reason)
    assert.equal((await world.ship(domain, notice)).first.kind, 'delivered')
  })
}

test('sts-webpki-invalid and nothing cached: as if nothing were published; with a ratchet, the ratchet', async () => {
  const domain = 'badweb.example'
  const partner = await world.partner(domain, await good(domain))
  await world.publishSts(domain, policyText('enforce', ['mx.badweb.example']))
  world.sts.show(`mta-sts.${domain}`, await selfSigned([`mta-sts.${domain}`]))
  const first = (await world.ship(domain, verified)).first
  assert.deepEqual(first.kind === 'delivered' && [first.assurance, (first.evidence.sts as { reason: string }).reason], [
    'verified',
    'sts-webpki-invalid',
  ])
  partner.behave({})
  assert.deepEqual(waits((await world.ship(domain, verified)).first), ['starttls-not-supported', 4, 'downgrade-suspected'])
})

test('a valid cached policy applies although it cannot be fetched any more', async () => {
  const domain = 'cached.example'
  await world.partner(domain, {})
  await world.db.write(
    sql`INSERT INTO sts_policy (domain, id, mode, mx, max_age, fetched_at, expires_at, used_at)
      VALUES (${domain}, 'old', 'enforce', '["mx.cached.example"]', 86400, ${Date.now() - hour}, ${Date.now() + day}, ${Date.now()})`,
  )
  await world.publishSts(domain, (_request, response) => void response.writeHead(500).end(), 'new')
  const { first } = await world.ship(domain, verified)
  assert.deepEqual(waits(first), ['starttls-not-supported', 24, 'same'])
  assert.equal((first.evidence.sts as { reason: string }).reason, 'sts-policy-fetch-error')
})

const ranOut = (domain: string, mode: string, ago: number) =>
  world.db.write(sql`INSERT INTO sts_policy (domain, id, mode, mx, max_age, fetched_at, expires_at, used_at)
    VALUES (${domain}, 'old', ${mode}, ${JSON.stringify([`mx.${domain}`])}, 86400, ${Date.now() - ago - day}, ${Date.now() - ago}, ${Date.now() - ago})
    ON CONFLICT (domain) DO UPDATE SET expires_at = excluded.expires_at`)

test('an enforced policy that ran out within tls.ratchet still binds notices, and all else that could travel in clear', async () => {
  const domain = 'ranout.example'
  const partner = await world.partner(domain, {})
  await ranOut(domain, 'enforce', 89 * day)
  for (const need of [notice, { kind: 'opportunistic' }] as const) {
    const { first } = await world.ship(domain, need)
    assert.deepEqual(bound(first), ['starttls-not-supported', { then: 'unsuitable' }], first.text)
    assert.match((first.evidence.sts as { enforcedUntil: string }).enforcedUntil, /^\d{4}-/)
  }
  assert.equal((await world.ship(domain, verified)).first.kind, 'unsuitable', 'a letter may be made: only its notice waits')
  partner.behave({ tls: await selfSigned([`mx.${domain}`]) })
  assert.deepEqual(bound((await world.ship(domain, notice)).first), ['certificate-not-trusted', { then: 'unsuitable' }])
  partner.behave({ tls: await world.authority.issue(['elsewhere.example']) })
  assert.deepEqual(bound((await world.ship(domain, notice)).first), ['certificate-host-mismatch', { then: 'unsuitable' }])
  assert.deepEqual(partner.mails, [])
  partner.behave(await good(domain))
  const { first } = await world.ship(domain, notice)
  assert.deepEqual(first.kind === 'delivered' && [first.assurance, first.evidence.identity], [
    'verified',
    'webpki (MX name from unsigned DNS)',
  ])
})

test('a policy that ran out longer ago, or was not enforced, or was taken back, binds nothing', async () => {
  const domains = ['longago.example', 'tested.example', 'takenback.example']
  for (const domain of domains) await world.partner(domain, {})
  await ranOut('longago.example', 'enforce', 91 * day)
  await ranOut('tested.example', 'testing', day)
  await ranOut('takenback.example', 'enforce', day)
  await world.publishSts('takenback.example', policyText('none', []), 'new')
  for (const domain of domains) assert.equal((await world.ship(domain, notice)).first.kind, 'delivered', domain)
})

test('the ratchet holds no notice, and ends after tls.ratchet', async () => {
  const domain = 'lost.example'
  const partner = await world.partner(domain, {})
  const seen = (at: number) =>
    world.db.write(sql`INSERT INTO posture (domain, verified_at, assurance, identity, host) VALUES (${domain}, ${at}, 'verified', 'webpki', 'mx')
      ON CONFLICT (domain) DO UPDATE SET verified_at = excluded.verified_at`)
  await seen(Date.now() - 89 * day)
  assert.deepEqual(waits((await world.ship(domain, verified)).first), ['starttls-not-supported', 4, 'downgrade-suspected'])
  assert.equal((await world.ship(domain, notice)).first.kind, 'delivered')
  await seen(Date.now() - 91 * day)
  assert.equal((await world.ship(domain, verified)).first.kind, 'unsuitable')
  assert.equal(partner.mails.length, 1)
})

test('TLS that proved nobody turns no ratchet, and neither does a pin', async () => {
  const domain = 'weak.example'
  const partner = await world.partner(domain, { tls: await selfSigned([`mx.${domain}`]) })
  assert.equal((await world.ship(domain, { kind: 'forced', level: 'encrypted' })).first.kind, 'delivered')
  partner.behave({})
  assert.equal((await world.ship(domain, verified)).first.kind, 'unsuitable')
})

test('sessions are tallied by policy and result', async () => {
  const rows = await world.db.read<{ policy: string; result: string; sessions: number }>(
    sql`SELECT policy, result, sessions FROM tls_tally WHERE domain = 'sts-no-starttls.example' OR domain = 'fine.example' OR domain = 'try.example' ORDER BY domain`,
  )
  assert.deepEqual(
    rows.map(({ policy, result }) => `${policy} ${result}`),
    ['sts success', 'sts starttls-not-supported', 'sts certificate-host-mismatch'],
  )
})
