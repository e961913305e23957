/** Kept connections: the next message saves a handshake, never a check, and never arrives twice. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import { eventually } from '../world/eventually.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
before(async () => {
  // However long a busy machine takes between two messages: the connection is there.
  world = await openWorld({}, { idle: 60_000 })
})
after(() => world?.close())

const good = async (domain: string) => ({ tls: await world.authority.issue([`mx.${domain}`]) })
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const pinned = (pin: string) => ({ kind: 'forced', level: 'pinned', pin: [pin] }) as const
const keyOf = (cert: string) =>
  createHash('sha256')
    .update(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')

test('the next message goes over the same connection, without RSET', async () => {
  const partner = await world.partner('again.example', await good('again.example'))
  for (let i = 0; i < 3; i++) assert.equal((await world.ship('again.example', verified)).first.kind, 'delivered')
  assert.equal(partner.connections(), 1)
  assert.equal(partner.mails.length, 3)
  assert.deepEqual(
    partner.lines.filter(({ line }) => /^(EHLO|RSET|QUIT)/.test(line)).map(({ line, secure }) => [line.slice(0, 4), secure]),
    [
      ['EHLO', false],
      ['EHLO', true],
    ],
  )
})

test('a message over a kept connection has the same evidence as the first', async () => {
  await world.partner('same.example', await good('same.example'))
  const [first, second] = [(await world.ship('same.example', verified)).first, (await world.ship('same.example', verified)).first]
  const { ms: _, reply: __, ...rest } = first.evidence
  const { ms: ___, reply: ____, ...others } = second.evidence
  assert.deepEqual(others, rest)
})

test('a channel that was enough for one message is not used for another that asks for more', async () => {
  const tls = await world.authority.issue(['mx.more.example'])
  const partner = await world.partner('more.example', { tls })
  assert.equal((await world.ship('more.example', verified)).first.kind, 'delivered')
  const other = await world.ship('more.example', pinned('0'.repeat(64)))
  assert.equal(other.first.kind === 'unsuitable' && other.first.reason, 'assurance-too-low')
  assert.equal(partner.mails.length, 1)
  const fitting = await world.ship('more.example', pinned(keyOf(tls.cert)))
  assert.equal(fitting.first.kind === 'delivered' && fitting.first.assurance, 'pinned')
})

test('an untrusted channel kept from opportunistic mail carries nothing that must be verified', async () => {
  const partner = await world.partner('self.example', { tls: await world.authority.issue(['other.example']) })
  assert.equal((await world.ship('self.example', { kind: 'opportunistic' })).first.kind, 'delivered')
  const forced = await world.ship('self.example', verified)
  assert.equal(forced.first.kind === 'unsuitable' && forced.first.reason, 'certificate-host-mismatch')
  assert.equal(partner.mails.length, 1)
})

test('a clear connection carries clear mail again and forced mail never', async () => {
  const partner = await world.partner('clear.example', {})
  for (let i = 0; i < 2; i++) await world.ship('clear.example', { kind: 'notice' })
  assert.equal(partner.connections(), 1)
  assert.equal((await world.ship('clear.example', verified)).first.kind, 'unsuitable')
  assert.equal(partner.mails.length, 2)
})

test('clear text because TLS failed for a notice is not kept for anybody', async () => {
  const broken = { script: (verb: string) => (verb === 'STARTTLS' ? '454 4.7.0 not now' : undefined) }
  const partner = await world.partner('half.example', { ...(await good('half.example')), ...broken })
  assert.equal((await world.ship('half.example', { kind: 'notice' })).first.kind, 'delivered')
  const second = await world.ship('half.example', { kind: 'opportunistic' })
  assert.equal(second.first.kind, 'deferred', second.first.text)
  assert.equal(partner.mails.length, 1)
})

test('a connection is closed politely when nobody needs it any more', async () => {
  const brief = await openWorld({}, { idle: 300 })
  try {
    const partner = await brief.partner('idle.example', { tls: await brief.authority.issue(['mx.idle.example']) })
    await brief.ship('idle.example', verified)
    await eventually('it to say goodbye', () => partner.lines.find(({ line }) => line === 'QUIT'))
    await brief.ship('idle.example', verified)
    assert.equal(partner.connections(), 2)
  } finally {
    await brief.close()
  }
})

test('a connection that is too old gets no more mail', async () => {
  const brief = await openWorld({}, { reuse: 150 })
  const partner = await brief.partner('old.example', { tls: await brief.authority.issue(['mx.old.example']) })
  await brief.ship('old.example', verified)
  await wait(200)
  await brief.ship('old.example', verified)
  assert.equal(partner.connections(), 2)
  await brief.close()
})

const endings = [
  ['closed at once', { then: 'close' }],
  ['reset', { then: 'reset' }],
  ['ended with 421', { send: '421 4.4.2 you were silent too long\r\n', then: 'close' }],
] as const
for (const [how, answer] of endings) {
  test(`a kept connection that is ${how} at the next MAIL is replaced: the message arrives once`, async () => {
    const domain = `${how.replaceAll(' ', '-')}.example`
    const partner = await world.partner(domain, await good(domain))
    await world.ship(domain, verified)
    let cut = false
    partner.behave({
      ...(await good(domain)),
      script: (verb) => {
        if (verb !== 'MAIL' || cut) return undefined
        cut = true
        return answer
      },
    })
    const { first } = await world.ship(domain, verified)
    assert.equal(first.kind, 'delivered', first.text)
    assert.equal(cut, true)
    assert.deepEqual([partner.mails.length, partner.connections()], [2, 2])
  })
}

test('a kept connection that closes while idle is noticed before the next message', async () => {
  const domain = 'dropped.example'
  const partner = await world.partner(domain, {
    ...(await good(domain)),
    script: (verb) => (verb === 'DOT' ? { send: '250 2.0.0 taken\r\n', then: 'close' } : undefined),
  })
  await world.ship(domain, verified)
  await wait(50)
  await world.ship(domain, verified)
  assert.equal(partner.connections(), 2)
  assert.equal(partner.lines.filter(({ line }) => line.startsWith('MAIL')).length, 2)
})

test('the same on a first connection is trouble, not a reason to try for ever', async () => {
  const domain = 'never.example'
  const partner = await world.partner(domain, {
    ...(await good(domain)),
    script: (verb) => (verb === 'MAIL' ? { then: 'close' } : undefined),
  })
  const { first } = await world.ship(domain, verified)
  assert.equal(first.kind === 'deferred' && first.reason, 'connection-lost')
  assert.equal(partner.connections(), 1)
})

test('a kept connection lost after the final dot leaves the message in doubt: it is not sent again', async () => {
  const domain = 'dot.example'
  const partner = await world.partner(domain, await good(domain))
  await world.ship(domain, verified)
  partner.behave({ ...(await good(domain)), script: (verb) => (verb === 'DOT' ? { then: 'close' } : undefined) })
  const { first } = await world.ship(domain, verified)
  assert.equal(first.kind === 'deferred' && first.reason, 'in-doubt')
  assert.equal(partner.connections(), 1)
})

for (const [what, verb, answer] of [
  ['the content was refused', 'DOT', '550 5.7.1 no'],
  ['DATA was put off', 'DATA', '451 4.3.0 later'],
  ['the sender was refused', 'MAIL', '550 5.7.1 no'],
  ['nobody was accepted', 'RCPT', '550 5.1.1 no'],
] as const) {
  test(`a connection on which ${what} gets no more mail`, async () => {
    const domain = `${what.replaceAll(' ', '-').toLowerCase()}.example`
    const partner = await world.partner(domain, { ...(await good(domain)), script: (asked) => (asked === verb ? answer : undefined) })
    await world.ship(domain, verified)
    partner.behave(await good(domain))
    assert.equal((await world.ship(domain, verified)).first.kind, 'delivered')
    assert.equal(partner.connections(), 2)
  })
}

test('two messages at once never share a connection', async () => {
  const partner = await world.partner('both.example', await good('both.example'))
  await world.ship('both.example', verified)
  await Promise.all([world.ship('both.example', verified), world.ship('both.example', verified)])
  assert.deepEqual([partner.mails.length, partner.connections()], [3, 2])
})

test('an attempt that is stopped ends the kept connection that it uses', async () => {
  const domain = 'stopped.example'
  const partner = await world.partner(domain, await good(domain))
  await world.ship(domain, verified)
  partner.behave({ ...(await good(domain)), script: (verb) => (verb === 'RCPT' ? { then: 'silence' } : undefined) })
  const started = Date.now()
  const { first } = await world.ship(domain, verified, { signal: AbortSignal.timeout(100) })
  assert.equal(first.kind, 'deferred')
  assert.ok(Date.now() - started < 5000)
  assert.equal(partner.mails.length, 1)
})

test('what an attempt of the past is stopped by does not end the connection that it left behind', async () => {
  const partner = await world.partner('past.example', await good('past.example'))
  const past = new AbortController()
  await world.ship('past.example', verified, { signal: past.signal })
  past.abort()
  assert.equal((await world.ship('past.example', verified)).first.kind, 'delivered')
  assert.equal(partner.connections(), 1)
})

test('a kept connection is found again whichever of our source addresses it comes from', async () => {
  const sources = ['127.0.0.71', '127.0.0.72']
  const many = await openWorld({ 'delivery.sourceAddresses': sources })
  const partner = await many.partner('src.example', { tls: await many.authority.issue(['mx.src.example']) })
  for (let i = 0; i < 6; i++) assert.equal((await many.ship('src.example', verified)).first.kind, 'delivered')
  assert.equal(partner.connections(), 1)
  await many.close()
})
