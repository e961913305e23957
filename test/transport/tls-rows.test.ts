/** The decision table through real sockets: TLS that is missing, broken, or proves the wrong thing. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { sentence } from '../../src/mail/outcome.ts'
import { selfSigned } from '../world/index.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
})
after(() => world?.close())

const good = async (domain: string) => ({ tls: await world.authority.issue([`mx.${domain}`]) })
const minutes = (...list: number[]) => list.map((minute) => minute * 60_000)
const soft = { offsets: minutes(0, 1, 5, 15, 30, 60), then: 'unsuitable' }
const never = /MAIL|RCPT|DATA|Subject|hello/
const encrypted = { kind: 'forced', level: 'encrypted' } as const
const day = 86_400_000

test('no STARTTLS: fall back now, and no byte of MAIL in clear', async () => {
  const partner = await world.partner('notls.example')
  const { first } = await world.ship('notls.example', verified)
  assert.deepEqual([first.kind, first.kind === 'unsuitable' && first.reason], ['unsuitable', 'starttls-not-supported'])
  assert.equal(first.text, 'mx.notls.example offers no STARTTLS')
  assert.doesNotMatch(partner.clear().toString(), never)
})

test('EHLO refused: as no STARTTLS', async () => {
  const partner = await world.partner('old.example', { script: (verb) => (verb === 'EHLO' ? '502 5.5.1 what is EHLO' : undefined) })
  const { first } = await world.ship('old.example', verified)
  assert.equal(first.kind === 'unsuitable' && first.reason, 'starttls-not-supported')
  assert.doesNotMatch(partner.clear().toString(), /MAIL|HELO/)
})

test('STARTTLS refused for now: rounds within the hour, then fall back', async () => {
  const partner = await world.partner('t4.example', {
    ...(await good('t4.example')),
    script: (verb) => (verb === 'STARTTLS' ? '454 4.7.0 later' : undefined),
  })
  const { first } = await world.ship('t4.example', verified)
  assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], ['starttls-not-supported', soft])
  assert.doesNotMatch(partner.clear().toString(), never)
})

test('STARTTLS refused for good: once more after five minutes, then fall back', async () => {
  await world.partner('t5.example', { ...(await good('t5.example')), script: (verb) => (verb === 'STARTTLS' ? '502 5.5.1 no' : undefined) })
  const { first } = await world.ship('t5.example', verified)
  assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], [
    'starttls-not-supported',
    { offsets: minutes(0, 5), then: 'unsuitable' },
  ])
})

const broken = {
  'closed after 220': { send: '220 2.0.0 go\r\n', then: 'close' },
  'reset after 220': { send: '220 2.0.0 go\r\n', then: 'reset' },
  'silent after 220': { send: '220 2.0.0 go\r\n', then: 'silence' },
  'closed instead of 220': { then: 'close' },
  'silent instead of 220': { then: 'silence' },
  'bytes injected with the 220': { send: '220 2.0.0 go\r\n250 smuggled\r\n', then: 'go-on' },
} as const
for (const [what, answer] of Object.entries(broken)) {
  test(`TLS trouble that may pass: ${what}`, async () => {
    const domain = `${what.replaceAll(' ', '-')}.example`
    const partner = await world.partner(domain, { ...(await good(domain)), script: (verb) => (verb === 'STARTTLS' ? answer : undefined) })
    const { first } = await world.ship(domain, verified)
    assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], ['validation-failure', soft], first.text)
    assert.doesNotMatch(partner.clear().toString(), never)
    assert.equal(partner.mails.length, 0)
  })
}

test('a server that drops us right after the handshake had TLS trouble, too', async () => {
  await world.partner('after.example', {
    ...(await good('after.example')),
    script: (verb, _line, { secure }) => (verb === 'EHLO' && secure ? { then: 'reset' } : undefined),
  })
  const { first } = await world.ship('after.example', verified)
  assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], ['validation-failure', soft], first.text)
})

test('garbage in place of the handshake is TLS trouble that may pass', async () => {
  const { createServer } = await import('node:net')
  const host = world.freeAddress()
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write('220 hi\r\n')
    let said = 0
    socket.on('data', () => socket.write(['250-x\r\n250 STARTTLS\r\n', '220 go\r\n', 'HTTP/1.1 400 Bad Request\r\n\r\n'][said++] ?? ''))
  })
  await new Promise<void>((done) => server.listen(world.port, host, done))
  world.dns.set('garbage.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.garbage.example' } }] })
  world.dns.set('mx.garbage.example', { records: [{ type: 'A', data: host }] })
  const { first } = await world.ship('garbage.example', verified)
  server.close()
  assert.equal(first.kind === 'deferred' && first.reason, 'validation-failure', first.text)
})

test('no shared protocol: asked once more with a reduced ClientHello, then fall back now', async () => {
  const partner = await world.partner('tls11.example', {
    ...(await good('tls11.example')),
    secure: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
  })
  const { first } = await world.ship('tls11.example', verified)
  assert.deepEqual([first.kind, first.kind === 'unsuitable' && first.reason], ['unsuitable', 'validation-failure'], first.text)
  assert.equal(partner.connections(), 2)
})

test('a self-signed certificate: fall back now, saying so; delivered when only encryption is asked', async () => {
  const partner = await world.partner('self.example', { tls: await selfSigned(['mx.self.example']) })
  const { first } = await world.ship('self.example', verified)
  assert.equal(first.kind === 'unsuitable' && first.reason, 'certificate-not-trusted')
  assert.equal(first.text, 'certificate of mx.self.example is self-signed')
  assert.equal(partner.mails.length, 0)
  const again = await world.ship('self.example', encrypted)
  assert.deepEqual(again.first.kind === 'delivered' && [again.first.assurance, again.first.evidence.identity], ['encrypted', 'none'])
})

test('a self-signed certificate that has also expired is not worth waiting for', async () => {
  await world.partner('selfold.example', {
    tls: await selfSigned(['mx.selfold.example'], { notBefore: new Date(Date.now() - 9 * day), notAfter: new Date(Date.now() - day) }),
  })
  const { first } = await world.ship('selfold.example', verified)
  assert.equal(first.kind === 'unsuitable' && first.reason, 'certificate-not-trusted')
})

test('an incomplete chain is refused and called incomplete', async () => {
  const intermediate = await world.authority.below('Middle CA', { sent: false })
  await world.partner('chain.example', { tls: await intermediate.issue(['mx.chain.example']) })
  const { first } = await world.ship('chain.example', verified)
  assert.equal(first.kind === 'unsuitable' && first.reason, 'certificate-not-trusted')
  assert.match(first.text, /chain of mx\.chain\.example is incomplete: "Middle CA"/)
})

test('a chain with its intermediate is trusted', async () => {
  const intermediate = await world.authority.below('Middle CA')
  await world.partner('whole.example', { tls: await intermediate.issue(['mx.whole.example']) })
  assert.equal((await world.ship('whole.example', verified)).first.kind, 'delivered')
})

test('a certificate of an unknown authority: fall back now, naming it', async () => {
  const { createAuthority } = await import('../world/index.ts')
  const stranger = await createAuthority('Stranger Root')
  const below = await stranger.below('Stranger Middle')
  const leaf = await below.issue(['mx.stranger.example'])
  await world.partner('stranger.example', { tls: { ...leaf, cert: `${leaf.cert}${stranger.cert}` } })
  const { first } = await world.ship('stranger.example', verified)
  assert.equal(first.kind === 'unsuitable' && first.reason, 'certificate-not-trusted')
  assert.match(first.text, /issued by "Stranger Root", which is not trusted/)
})

test('a certificate for another name: fall back now', async () => {
  await world.partner('name.example', { tls: await world.authority.issue(['mx.other.example']) })
  const { first } = await world.ship('name.example', verified)
  assert.equal(first.kind === 'unsuitable' && first.reason, 'certificate-host-mismatch')
})

test('a name in the common name only, or a partial wildcard, does not match; a whole wildcard does', async () => {
  await world.partner('cn.example', { tls: await world.authority.issue(['mx.cn.example'], { san: false }) })
  await world.partner('partial.example', { tls: await world.authority.issue(['m*.partial.example']) })
  await world.partner('wild.example', { tls: await world.authority.issue(['*.wild.example']) })
  const reasons = await Promise.all(
    ['cn.example', 'partial.example', 'wild.example'].map(async (domain) => (await world.ship(domain, verified)).first),
  )
  assert.deepEqual(
    reasons.map((one) => ('reason' in one ? one.reason : one.kind)),
    ['certificate-host-mismatch', 'certificate-host-mismatch', 'delivered'],
  )
})

test('an expired certificate of a trusted authority: rounds within the hour, the text names host and day', async () => {
  await world.partner('expired.example', {
    tls: await world.authority.issue(['mx.expired.example'], {
      notBefore: new Date(Date.now() - 90 * day),
      notAfter: new Date(Date.UTC(2026, 0, 3)),
    }),
  })
  const { first } = await world.ship('expired.example', verified)
  assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], ['certificate-expired', soft])
  assert.equal(
    sentence(first),
    'certificate of mx.expired.example expired on 2026-01-03; we try again for 1 hour before another way is taken',
  )
})

test('a certificate that is not valid yet is treated as an expired one', async () => {
  await world.partner('early.example', {
    tls: await world.authority.issue(['mx.early.example'], { notBefore: new Date(Date.now() + day) }),
  })
  const { first } = await world.ship('early.example', verified)
  assert.equal(first.kind === 'deferred' && first.reason, 'certificate-expired')
  assert.match(first.text, /is not valid before/)
})

test('the patience of a rule replaces the hour', async () => {
  await world.partner('patient.example', {
    tls: await world.authority.issue(['mx.patient.example'], {
      notBefore: new Date(Date.now() - 90 * day),
      notAfter: new Date(Date.now() - day),
    }),
  })
  const { first } = await world.ship('patient.example', { ...verified, patience: 4 * 60 * 60_000 })
  assert.deepEqual(first.kind === 'deferred' && first.retry.offsets, minutes(0, 1, 5, 15, 30, 60, 120, 180, 240))
})

test('below what the rule asks: fall back now', async () => {
  const tls12 = await world.partner('v12.example', { ...(await good('v12.example')), secure: { maxVersion: 'TLSv1.2' } })
  const asked = [
    { ...verified, min: 'TLSv1.3' },
    { kind: 'forced', level: 'authenticated' },
    { kind: 'forced', level: 'dane' },
    { kind: 'forced', level: 'pinned', pin: ['00'.repeat(32)] },
  ] as const
  for (const need of asked) {
    const { first } = await world.ship('v12.example', need)
    assert.equal(first.kind === 'unsuitable' && first.reason, 'assurance-too-low', JSON.stringify(need))
  }
  assert.equal(tls12.mails.length, 0)
})

test('authenticated: the certificate names the recipient domain, or a name that the rule pins', async () => {
  await world.partner('auth.example', { tls: await world.authority.issue(['mx.auth.example', 'auth.example']) })
  await world.partner('pinname.example', { tls: await world.authority.issue(['mx.pinname.example']) })
  const one = await world.ship('auth.example', { kind: 'forced', level: 'authenticated' })
  const two = await world.ship('pinname.example', { kind: 'forced', level: 'authenticated', pin: ['mx.pinname.example'] })
  for (const { first } of [one, two])
    assert.deepEqual(first.kind === 'delivered' && [first.assurance, first.evidence.identity], ['authenticated', 'webpki'], first.text)
})

test('pinned: the key counts, not who signed it', async () => {
  const { createHash, X509Certificate } = await import('node:crypto')
  const leaf = await selfSigned(['whatever.example'])
  const spki = createHash('sha256')
    .update(new X509Certificate(leaf.cert).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
  await world.partner('pinned.example', { tls: leaf })
  const { first } = await world.ship('pinned.example', { kind: 'forced', level: 'pinned', pin: [spki] })
  assert.deepEqual(first.kind === 'delivered' && [first.assurance, first.evidence.identity], ['pinned', 'pin'], first.text)
})

test('one MX that cannot be reached keeps the attempt transient; the good one of two is used', async () => {
  const noTls = await world.bare({})
  world.dns.set('half.example', {
    records: [10, 20].map((preference) => ({ type: 'MX', data: { preference, exchange: `mx${preference}.half.example` } })),
  })
  world.dns.set('mx10.half.example', { records: [{ type: 'A', data: world.freeAddress() }] })
  world.dns.set('mx20.half.example', { records: [{ type: 'A', data: noTls.host }] })
  const { first } = await world.ship('half.example', verified)
  assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], ['unreachable', { then: 'failed' }])

  const safe = await world.bare({ tls: await world.authority.issue(['mx10.half.example']) })
  world.dns.set('half2.example', {
    records: [10, 20].map((preference) => ({
      type: 'MX',
      data: { preference, exchange: preference === 20 ? 'mx20.half2.example' : 'mx.half2.example' },
    })),
  })
  world.dns.set('mx.half2.example', { records: [{ type: 'A', data: noTls.host }] })
  world.dns.set('mx20.half2.example', { records: [{ type: 'A', data: safe.host }] })
  safe.behave({ tls: await world.authority.issue(['mx20.half2.example']) })
  assert.equal((await world.ship('half2.example', verified)).first.kind, 'delivered')
  assert.equal(noTls.mails.length, 0)
})

test('TLS-Required: No in the header of a message weakens no rule (RFC 8689)', async () => {
  const partner = await world.partner('tls-required.example', {})
  const body = 'TLS-Required: No\r\nSubject: x\r\n\r\nhello\r\n'
  const { first } = await world.ship('tls-required.example', verified, { body })
  assert.equal(first.kind === 'unsuitable' && first.reason, 'starttls-not-supported')
  assert.equal(partner.mails.length, 0)
})

test('a session is never resumed, though the server would: it has no certificate to check', async () => {
  const fresh = await openWorld({}, { reuse: 0 })
  try {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const domain = `again${maxVersion.at(-1)}.example`
      const tls = await fresh.authority.issue([`mx.${domain}`])
      const partner = await fresh.partner(domain, { tls, secure: { ticketKeys: randomBytes(48), maxVersion } })
      for (let i = 0; i < 2; i++) assert.equal((await fresh.ship(domain, verified)).first.kind, 'delivered')
      assert.equal(partner.connections(), 2)
      assert.deepEqual(
        partner.mails.map((mail) => [mail.tls?.protocol, mail.tls?.resumed]),
        [
          [maxVersion, false],
          [maxVersion, false],
        ],
      )
    }
  } finally {
    await fresh.close()
  }
})
