/** The decision table through real sockets: hosts and servers that refuse, vanish, or leave us in doubt. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Answer, Manner } from '../../src/demo/partner.ts'
import type { Outcome } from '../../src/mail/outcome.ts'
import { sentence } from '../../src/mail/outcome.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
})
after(() => world?.close())

const hour = 3_600_000
const good = async (domain: string) => ({ tls: await world.authority.issue([`mx.${domain}`]) })
const answering =
  (asked: string, answer: Answer): NonNullable<Manner['script']> =>
  (verb) =>
    verb === asked ? answer : undefined
const shape = (outcome: Outcome) =>
  outcome.kind === 'deferred'
    ? [outcome.kind, outcome.reason, outcome.retry]
    : outcome.kind === 'failed'
      ? [outcome.kind, outcome.reason, outcome.status]
      : [outcome.kind, outcome.kind === 'unsuitable' ? outcome.reason : outcome.assurance]

const ordinary = { then: 'failed' }
const answers: readonly (readonly [string, string, Answer, readonly unknown[]])[] = [
  ['a greeting of 4xx', 'CONNECT', '421 4.3.2 busy', ['deferred', 'remote-temporary', ordinary]],
  ['a greeting of 5xx', 'CONNECT', '554 5.7.1 not you', ['deferred', 'remote-refused', { until: 24 * hour, then: 'failed' }]],
  ['no greeting', 'CONNECT', { then: 'silence' }, ['deferred', 'connection-lost', ordinary]],
  ['a greeting that never ends', 'CONNECT', { send: '220-x\r\n'.repeat(500), then: 'silence' }, ['deferred', 'connection-lost', ordinary]],
  [
    'one byte of greeting every now and then',
    'CONNECT',
    { send: `220 ${'x'.repeat(900)}\r\n`, everyMs: 20, then: 'silence' },
    ['deferred', 'connection-lost', ordinary],
  ],
  [
    'ten megabytes of greeting',
    'CONNECT',
    { send: Buffer.alloc(10_000_000, 0x41), then: 'silence' },
    ['deferred', 'connection-lost', ordinary],
  ],
  ['an HTTP server', 'CONNECT', { send: 'HTTP/1.1 400 Bad Request\r\n\r\n', then: 'close' }, ['deferred', 'connection-lost', ordinary]],
  ['EHLO put off', 'EHLO', '421 4.3.2 later', ['deferred', 'remote-temporary', ordinary]],
  ['the sender put off', 'MAIL', '451 4.7.1 greylisted', ['deferred', 'remote-temporary', ordinary]],
  ['the sender refused', 'MAIL', '550 5.7.1 we do not like you', ['failed', 'remote-refused', '5.7.1']],
  ['the message too large at MAIL', 'MAIL', '552 5.3.4 too big', ['unsuitable', 'message-too-large']],
  ['the recipient refused', 'RCPT', '550 no such user', ['failed', 'recipient-refused', '5.0.0']],
  ['the recipient put off', 'RCPT', '450 4.2.1 try later', ['deferred', 'recipient-deferred', ordinary]],
  ['421 at RCPT', 'RCPT', '421 4.3.2 closing', ['deferred', 'remote-temporary', ordinary]],
  ['DATA put off', 'DATA', '451 4.3.0 later', ['deferred', 'remote-temporary', ordinary]],
  ['DATA refused', 'DATA', '554 5.7.1 no', ['failed', 'content-refused', '5.7.1']],
  ['the content put off', 'DOT', '451 4.3.0 later', ['deferred', 'remote-temporary', ordinary]],
  ['the content refused', 'DOT', '550 5.7.1 spam', ['failed', 'content-refused', '5.7.1']],
  ['the content too large', 'DOT', '552 too large', ['unsuitable', 'message-too-large']],
  ['the line cut at DATA', 'DATA', { then: 'reset' }, ['deferred', 'connection-lost', ordinary]],
  ['closed after the final dot', 'DOT', { then: 'close' }, ['deferred', 'in-doubt', { offsets: [0, 1_800_000], then: 'failed' }]],
  ['reset after the final dot', 'DOT', { then: 'reset' }, ['deferred', 'in-doubt', { offsets: [0, 1_800_000], then: 'failed' }]],
  ['silence after the final dot', 'DOT', { then: 'silence' }, ['deferred', 'in-doubt', { offsets: [0, 1_800_000], then: 'failed' }]],
  [
    'nonsense after the final dot',
    'DOT',
    { send: 'what?\r\n', then: 'close' },
    ['deferred', 'in-doubt', { offsets: [0, 1_800_000], then: 'failed' }],
  ],
]
for (const [what, verb, answer, expected] of answers) {
  test(`${what}: ${expected.slice(0, 2).join(', ')}`, async () => {
    const domain = `${what.toLowerCase().replaceAll(' ', '-')}.example`
    await world.partner(domain, { ...(await good(domain)), script: answering(verb, answer) })
    const started = Date.now()
    const { first } = await world.ship(domain, verified)
    assert.deepEqual(shape(first), expected, first.text)
    assert.ok(Date.now() - started < 30000, 'bounded in time')
  })
}

test('a connection that ends in the middle of the content is lost, not in doubt, and the next MX is asked', async () => {
  const cutter = await world.bare({ tls: await world.authority.issue(['mx1.cut.example']), dropInContent: 5000 })
  const taker = await world.bare({ tls: await world.authority.issue(['mx2.cut.example']) })
  world.dns.set('cut.example', { records: [1, 2].map((n) => ({ type: 'MX', data: { preference: n, exchange: `mx${n}.cut.example` } })) })
  world.dns.set('mx1.cut.example', { records: [{ type: 'A', data: cutter.host }] })
  world.dns.set('mx2.cut.example', { records: [{ type: 'A', data: taker.host }] })
  const body = `Subject: x\r\n\r\n${`${'x'.repeat(98)}\r\n`.repeat(100_000)}`
  const { first } = await world.ship('cut.example', verified, { body })
  assert.equal(first.kind, 'delivered', first.text)
  assert.equal(taker.mails[0]?.content.length, body.length)
  taker.behave({ tls: await world.authority.issue(['mx2.cut.example']), dropInContent: 5000 })
  assert.deepEqual(shape((await world.ship('cut.example', verified, { body })).first), ['deferred', 'connection-lost', ordinary])
})

test('in doubt means: no other MX is asked', async () => {
  const doubt = await world.bare({ tls: await world.authority.issue(['mx1.doubt.example']), script: answering('DOT', { then: 'close' }) })
  const other = await world.bare({ tls: await world.authority.issue(['mx2.doubt.example']) })
  world.dns.set('doubt.example', {
    records: [1, 2].map((n) => ({ type: 'MX', data: { preference: n, exchange: `mx${n}.doubt.example` } })),
  })
  world.dns.set('mx1.doubt.example', { records: [{ type: 'A', data: doubt.host }] })
  world.dns.set('mx2.doubt.example', { records: [{ type: 'A', data: other.host }] })
  const { first } = await world.ship('doubt.example', verified)
  assert.equal(first.kind === 'deferred' && first.reason, 'in-doubt')
  assert.equal(other.connections(), 0)
})

test('a server that refuses in the middle of the content is heard', async () => {
  await world.partner('early.example', {
    ...(await good('early.example')),
    script: answering('DATA', { send: '354 go\r\n552 5.3.4 that is enough\r\n', then: 'silence' }),
  })
  const body = `Subject: x\r\n\r\n${`${'x'.repeat(98)}\r\n`.repeat(100_000)}`
  assert.deepEqual(shape((await world.ship('early.example', verified, { body })).first), ['unsuitable', 'message-too-large'])
})

test('a refused or unreachable host: ordinary retry, never a fall back', async () => {
  world.dns.set('gone.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.gone.example' } }] })
  world.dns.set('mx.gone.example', { records: [{ type: 'A', data: world.freeAddress() }] })
  const { first } = await world.ship('gone.example', verified)
  assert.deepEqual(shape(first), ['deferred', 'unreachable', ordinary])
  assert.match(sentence(first), /mx\.gone\.example \(127\.[\d.]+:\d+\): the connection was refused; we try again/)
})

test('what the server does not offer and the message needs', async () => {
  const domain = 'bare.example'
  await world.partner(domain, { ...(await good(domain)), keywords: ['SIZE 10'] })
  assert.deepEqual(shape((await world.ship(domain, verified)).first), ['unsuitable', 'message-too-large'])
  await world.partner('old.example', { ...(await good('old.example')), keywords: [] })
  const utf8 = await world.ship('old.example', verified, { to: ['jörg@old.example'] })
  assert.deepEqual(shape(utf8.first), ['failed', 'smtputf8-unsupported', '5.6.7'])
  const signed = Buffer.from('DKIM-Signature: v=1\r\n\r\n\xfc\r\n', 'latin1')
  const eight = await world.ship('old.example', verified, { body: signed, envelope: { body: '8bit', smtpUtf8: false } })
  assert.deepEqual(shape(eight.first), ['unsuitable', 'eightbit-unsupported'])
})

test('an international address goes where SMTPUTF8 is offered', async () => {
  const partner = await world.partner('utf8.example', await good('utf8.example'))
  const { first } = await world.ship('utf8.example', verified, { to: ['jörg@utf8.example'], envelope: { body: '8bit', smtpUtf8: true } })
  assert.equal(first.kind, 'delivered')
  assert.match(partner.mails[0]?.parameters ?? '', /BODY=8BITMIME SMTPUTF8$/)
  assert.equal(partner.mails[0]?.recipients[0]?.address, 'jörg@utf8.example')
})

test('what a stranger writes into a reply reaches records without control characters', async () => {
  await world.partner('esc.example', { ...(await good('esc.example')), script: answering('RCPT', '550 5.1.1 \u001b[2Jgone\u202e') })
  const { first } = await world.ship('esc.example', verified)
  assert.match(first.text, /"550 5\.1\.1 \?\[2Jgone\?"/)
})

test('a server that is always just in time is cut off when its whole time is over', async () => {
  const slow = await openWorld({}, { whole: 400, command: 5000 })
  const domain = 'drip.example'
  let later = 0
  const partner = await slow.partner(domain, {
    tls: await slow.authority.issue([`mx.${domain}`]),
    keywords: [],
    script: (verb) => (verb === 'RCPT' ? { send: '250 2.1.5 ok\r\n', everyMs: 10 + later++, then: 'go-on' } : undefined),
  })
  const started = Date.now()
  const { first } = await slow.ship(domain, verified, { to: Array.from({ length: 50 }, (_, i) => `r${i}@${domain}`) })
  await slow.close()
  assert.equal(first.kind === 'deferred' && first.reason, 'connection-lost')
  assert.ok(Date.now() - started < 25000)
  assert.equal(partner.mails.length, 0)
})
