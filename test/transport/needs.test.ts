/** Needs other than forced TLS, and the organisation's own routes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { selfSigned, startPartner } from '../world/index.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

const inWorld = (run: (world: SmallWorld) => Promise<void>) => async () => {
  const world = await openWorld()
  await run(world).finally(() => world.close())
}
const opportunistic = { kind: 'opportunistic' } as const
const notice = { kind: 'notice' } as const

test(
  'opportunistic uses TLS with any certificate, and clear text only where none is offered',
  inWorld(async (world) => {
    const clear = await world.partner('clear.example')
    const self = await world.partner('self.example', { tls: await selfSigned(['x']) })
    const one = await world.ship('clear.example', opportunistic)
    const two = await world.ship('self.example', opportunistic)
    assert.deepEqual(
      [one, two].map(({ first }) => first.kind === 'delivered' && first.assurance),
      ['none', 'encrypted'],
    )
    assert.deepEqual([clear.mails[0]?.tls, self.mails[0]?.tls?.protocol], [null, 'TLSv1.3'])
  }),
)

test(
  'opportunistic never replaces an offered STARTTLS that fails by clear text',
  inWorld(async (world) => {
    for (const answer of ['454 4.7.0 later', '502 5.5.1 no', { send: '220 go\r\n', then: 'close' as const }]) {
      const tls = await selfSigned(['x'])
      const partner = await world.partner('broken.example', { tls, script: (verb) => (verb === 'STARTTLS' ? answer : undefined) })
      const { first } = await world.ship('broken.example', opportunistic)
      assert.equal(first.kind, 'deferred', first.text)
      assert.doesNotMatch(partner.clear().toString(), /MAIL/)
    }
  }),
)

test(
  'opportunistic mail whose first host fails at STARTTLS does not go in clear to the second; a notice may',
  inWorld(async (world) => {
    const tls = await selfSigned(['x'])
    const first = await world.partner('first.example', { tls, script: (verb) => (verb === 'STARTTLS' ? '454 4.7.0 later' : undefined) })
    const second = await world.partner('second.example')
    const mx = (preference: number, exchange: string) => ({ type: 'MX', data: { preference, exchange } }) as const
    world.dns.set('two.example', { records: [mx(10, 'mx.first.example'), mx(20, 'mx.second.example')] })
    const held = await world.ship('two.example', opportunistic)
    assert.deepEqual([held.first.kind, second.mails.length, first.mails.length], ['deferred', 0, 0])
    assert.equal((await world.ship('two.example', notice)).first.kind, 'delivered')
  }),
)

test(
  'a notice goes in clear also where STARTTLS fails, over a new connection',
  inWorld(async (world) => {
    for (const [i, answer] of (
      [
        '454 4.7.0 later',
        '502 5.5.1 no',
        { send: '220 go\r\n', then: 'close' },
        { send: '220 go\r\n250 injected\r\n', then: 'go-on' },
      ] as const
    ).entries()) {
      const partner = await world.partner(`n${i}.example`, {
        tls: await selfSigned(['x']),
        script: (verb) => (verb === 'STARTTLS' ? answer : undefined),
      })
      const { first } = await world.ship(`n${i}.example`, notice)
      assert.deepEqual([first.kind, first.kind === 'delivered' && first.assurance], ['delivered', 'none'], first.text)
      assert.equal(partner.connections(), 2)
    }
    await world.partner('helo.example', { script: (verb) => (verb === 'EHLO' ? '500 what' : undefined) })
    assert.equal((await world.ship('helo.example', notice)).first.kind, 'delivered')
  }),
)

test('the route of an own domain is the need: clear text when the settings say none, whatever the rule asks', async () => {
  const own = await startPartner()
  const world = await openWorld({
    'organisation.domains': ['org.example'],
    'delivery.routes': { 'org.example': { host: '127.0.0.1', port: own.port, tls: 'none' } },
  })
  const routed = await world.ship('org.example', { kind: 'route' })
  const forced = await world.ship('org.example', verified)
  await Promise.all([world.close(), own.close()])
  assert.deepEqual(
    [routed, forced].map(({ first }) => first.kind),
    ['delivered', 'delivered'],
  )
})

test('for other domains the stricter of route and rule holds, measured against the host of the route', async () => {
  const hop = await startPartner()
  const world = await openWorld({
    'organisation.domains': ['org.example'],
    'delivery.routes': {
      '*': { host: 'localhost', port: hop.port, tls: 'none' },
      'partner.example': { host: 'localhost', port: hop.port, tls: 'verified' },
      'weak.example': { host: 'localhost', port: hop.port, tls: 'encrypted' },
    },
  })
  // The smarthost offers no TLS: forced mail does not go, be it for our own domain.
  const plain = await Promise.all(
    ['a.example', 'org.example', 'partner.example'].map(async (domain) => (await world.ship(domain, verified)).first),
  )
  assert.deepEqual(
    plain.map((one) => one.kind === 'unsuitable' && one.reason),
    ['starttls-not-supported', 'starttls-not-supported', 'starttls-not-supported'],
  )
  const raised = await world.ship('weak.example', notice)
  assert.equal(raised.first.kind, 'unsuitable', 'a notice needs what the route asks')
  assert.equal(hop.mails.length, 0)
  hop.behave({ tls: await selfSigned(['localhost']) })
  const mixed = await Promise.all([
    world.ship('weak.example', { kind: 'forced', level: 'encrypted' }),
    world.ship('partner.example', { kind: 'forced', level: 'encrypted' }),
  ])
  assert.deepEqual(
    mixed.map(({ first }) => ('reason' in first ? first.reason : first.kind)),
    ['delivered', 'certificate-not-trusted'],
  )
  hop.behave({ tls: await world.authority.issue(['localhost']) })
  const { first } = await world.ship('partner.example', verified)
  assert.deepEqual(first.kind === 'delivered' && [first.assurance, first.evidence.identity], ['authenticated', 'webpki'])
  await Promise.all([world.close(), hop.close()])
})

test('while our own list of authorities cannot be read everything waits and nothing falls back', async () => {
  const world = await openWorld({ 'tls.ca': '/nowhere/ca.pem' })
  await world.partner('any.example')
  const { first } = await world.ship('any.example', verified)
  await world.close()
  assert.deepEqual(first.kind === 'deferred' && [first.reason, first.retry], ['local-fault', { then: 'failed' }])
})

test(
  'content of one need does not compile into a session of another, and is refused when forced in',
  inWorld(async (world) => {
    const { Session } = await import('../../src/transport/session.ts')
    const { transfer } = await import('../../src/transport/transaction.ts')
    const { createWire } = await import('../../src/transport/wire.ts')
    const { deadlines } = await import('../../src/transport/deadlines.ts')
    const { PassThrough, Readable } = await import('node:stream')
    const { Socket } = await import('node:net')
    const wire = createWire(new PassThrough(), new Socket())
    const facts = {
      candidate: { host: 'x', address: '127.0.0.1', port: 1 },
      assurance: 'none',
      identity: 'none',
      channel: undefined,
    } as const
    const connection = { wire, keywords: new Map(), candidate: facts.candidate, channel: undefined, openedAt: 0, release: () => {} }
    const clear = Session.inClear(notice, connection, facts)
    assert.ok(clear)
    const content = {
      need: 'forced',
      reversePath: '',
      recipients: [],
      envelope: { body: '7bit', smtpUtf8: false },
      size: 0,
      open: () => Readable.from([]),
    } as const
    // @ts-expect-error a clear session carries no forced content
    await assert.rejects(transfer(clear, content, deadlines), /a notice session was given forced content/)
    assert.equal(Session.inClear(verified, connection, facts), undefined)
    wire.cut()
    assert.ok(world)
  }),
)
