/** What no decent next hop says, at every place where it can say something: bounded in time and memory, the right class, a reason that can be read. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import type { Answer, Verb } from '../../../src/demo/partner.ts'
import type { Outcome } from '../../../src/mail/outcome.ts'
import { openWorld, type SmallWorld, verified } from '../../world/small-world.ts'

const minute = 60_000
let world: SmallWorld
/** Here only limits of size end a conversation in time. */
let patient: SmallWorld
before(async () => {
  world = await openWorld()
  const long = { greeting: minute, lastGreeting: minute, ehlo: minute, handshake: minute, command: minute }
  patient = await openWorld({}, { ...long, dataStart: minute, block: minute, finalDot: minute })
})
after(async () => {
  await world?.close()
  await patient?.close()
})

const verbs = ['CONNECT', 'EHLO', 'STARTTLS', 'MAIL', 'RCPT', 'DATA', 'DOT'] as const satisfies readonly Verb[]
const megabytes = 1024 * 1024
const hostile: { readonly [what: string]: Answer } = {
  'ten megabytes without a line end': { send: Buffer.alloc(10 * megabytes, 0x41), then: 'silence' },
  'ten megabytes in one reply line': {
    send: Buffer.concat([Buffer.from('250 '), Buffer.alloc(10 * megabytes, 0x41), Buffer.from('\r\n')]),
    then: 'silence',
  },
  'a reply of a million lines': { send: '250-x\r\n'.repeat(1_000_000), then: 'silence' },
  'a reply that goes on and never ends': { send: '250-and\r\n', then: 'silence' },
  'one octet now and then': { send: `250-${'x'.repeat(2000)}\r\n`, everyMs: 20, then: 'silence' },
  'one line now and then': { send: '\r\n'.repeat(2000), everyMs: 20, then: 'silence' },
  'the code 999': { send: '999 what a code\r\n', then: 'silence' },
  'the code 000': { send: '000 nothing\r\n', then: 'silence' },
  'the code 100': { send: '100 go on\r\n', then: 'silence' },
  'two digits': { send: '25 ok\r\n', then: 'silence' },
  'four digits': { send: '2500 ok\r\n', then: 'silence' },
  'a code without a blank': { send: '250ok\r\n', then: 'silence' },
  'two codes in one reply': { send: '250-ok\r\n550 no\r\n', then: 'silence' },
  'digits of another script': { send: '\u0662\u0665\u0660 ok\r\n', then: 'silence' },
  'octets of no character set': { send: Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0d, 0x0a]), then: 'silence' },
}

/** The class by the place: before TLS stands, while it is raised, before the final dot, after it. */
function expected(verb: (typeof verbs)[number]): string {
  if (verb === 'STARTTLS') return 'validation-failure'
  return verb === 'DOT' ? 'in-doubt' : 'connection-lost'
}

const readable = (outcome: Outcome) => {
  assert.ok(outcome.text.length > 20 && outcome.text.length < 600, `${outcome.text.length} characters: ${outcome.text.slice(0, 700)}`)
  assert.doesNotMatch(outcome.text, /[\u0000-\u001f\u007f-\u009f]|undefined|\[object/)
  const record = JSON.stringify(outcome.evidence)
  assert.ok(record.length < 8192, `${record.length} octets are kept: ${record.slice(0, 300)}`)
}

let named = 0
async function meet(verb: Verb, answer: Answer, within: SmallWorld = world): Promise<{ readonly outcome: Outcome; readonly ms: number }> {
  const domain = `bad${named++}.example`
  const tls = await within.authority.issue([`mx.${domain}`])
  await within.partner(domain, { tls, script: (asked) => (asked === verb ? answer : undefined) })
  const started = Date.now()
  const { first } = await within.ship(domain, verified)
  return { outcome: first, ms: Date.now() - started }
}

for (const [what, answer] of Object.entries(hostile)) {
  test(`${what}, at any place`, async () => {
    const before = process.memoryUsage()
    const within = /never ends|now and then/.test(what) ? world : patient
    for (const [verb, { outcome, ms }] of await Promise.all(verbs.map(async (verb) => [verb, await meet(verb, answer, within)] as const))) {
      assert.deepEqual([verb, outcome.kind, 'reason' in outcome && outcome.reason], [verb, 'deferred', expected(verb)], outcome.text)
      assert.match(outcome.text, /mx\.bad\d+\.example/, 'names the host')
      readable(outcome)
      assert.ok(ms < 50000, `${verb}: ${ms} ms`)
    }
    // Seven at once, next hops included, which hold 10 MB each in their hands.
    const grown = (process.memoryUsage().rss - before.rss) / megabytes
    assert.ok(grown < 200, `${Math.round(grown)} MB more`)
  })
}

test('a reply of the wrong kind for its place is heard, and the message waits', async () => {
  for (const [verb, reply] of [
    ['CONNECT', '354 go ahead'],
    ['EHLO', '354 go ahead'],
    ['STARTTLS', '354 go ahead'],
    ['STARTTLS', '250 ok'],
    ['MAIL', '354 go ahead'],
    ['RCPT', '334 '],
    ['DATA', '250 ok'],
    ['DATA', '220 hello'],
  ] as const) {
    const { outcome } = await meet(verb, { send: `${reply}\r\n`, then: 'silence' })
    assert.equal(outcome.kind, 'deferred', `${verb} ${reply}: ${outcome.text}`)
    readable(outcome)
  }
})

test('whatever is said to QUIT, the message is delivered', async () => {
  for (const what of ['ten megabytes without a line end', 'a reply of a million lines', 'one octet now and then', 'the code 999']) {
    const { outcome, ms } = await meet('QUIT', hostile[what] ?? assert.fail())
    assert.equal(outcome.kind, 'delivered', outcome.text)
    assert.ok(ms < 20000)
  }
})

test('a flood that never ends is not read to its end', async () => {
  const host = patient.freeAddress()
  let sent = 0
  const server = createServer((socket) => {
    const lines = Buffer.from('220-more\r\n'.repeat(6000))
    const pour = () => {
      do sent += lines.length
      while (!socket.destroyed && socket.write(lines))
    }
    socket.on('drain', pour).on('error', () => undefined)
    pour()
  })
  await new Promise<void>((done) => server.listen(patient.port, host, done))
  patient.dns.set('flood.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.flood.example' } }] })
  patient.dns.set('mx.flood.example', { records: [{ type: 'A', data: host }] })
  const { first } = await patient.ship('flood.example', verified)
  server.close()
  assert.equal(first.kind === 'deferred' && first.reason, 'connection-lost', first.text)
  // What the system itself buffers between two sockets, and a little.
  assert.ok(sent < 16 * megabytes, `${sent} octets`)
})

test('a certificate with a thousand names: found when ours is the last, a short reason when it is not there', async () => {
  const names = (domain: string) => Array.from({ length: 999 }, (_, i) => `host-${i}.${domain}`)
  const good = await world.partner('many.example', { tls: await world.authority.issue([...names('many.example'), 'mx.many.example']) })
  const found = await world.ship('many.example', verified)
  assert.equal(found.first.kind, 'delivered', found.first.text)
  assert.equal(good.mails.length, 1)
  readable(found.first)

  await world.partner('none.example', { tls: await world.authority.issue(names('none.example')) })
  const missing = await world.ship('none.example', verified)
  assert.equal(missing.first.kind === 'unsuitable' && missing.first.reason, 'certificate-host-mismatch', missing.first.text)
  readable(missing.first)
})

test('a certificate too large to be one is TLS trouble', async () => {
  const names = Array.from({ length: 12_000 }, (_, i) => `host-${i}.huge.example`)
  await world.partner('huge.example', { tls: await world.authority.issue([...names, 'mx.huge.example']) })
  const started = Date.now()
  const { first } = await world.ship('huge.example', verified)
  assert.equal(first.kind === 'deferred' && first.reason, 'validation-failure', first.text)
  readable(first)
  assert.ok(Date.now() - started < 30000)
})

test('aliases in a loop, of the domain or of its host, end soon and are never taken for a domain that does not exist', async () => {
  world.dns.set('loop.example', { records: [{ type: 'CNAME', data: 'pool.example' }] })
  world.dns.set('pool.example', { records: [{ type: 'CNAME', data: 'loop.example' }] })
  world.dns.set('target.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'loop.example' } }] })
  for (const domain of ['loop.example', 'target.example']) {
    const [before, started] = [world.dns.queries.length, Date.now()]
    const { first } = await world.ship(domain, verified)
    assert.equal(first.kind === 'deferred' && first.reason, 'dns-temporary', first.text)
    readable(first)
    assert.ok(world.dns.queries.length - before < 60, `${world.dns.queries.length - before} queries`)
    assert.ok(Date.now() - started < 30000)
  }
})

test('a thousand MX hosts that do not exist, or lead nowhere, cost few look-ups and few connections', async () => {
  const mx = (zone: string) =>
    Array.from({ length: 1000 }, (_, i) => ({ type: 'MX', data: { preference: i % 9, exchange: `h${i}.${zone}` } }) as const)
  world.dns.set('nowhere.example', { records: mx('nowhere.example') })
  world.dns.set('dead.example', { records: mx('dead.example') })
  const dead = world.freeAddress()
  for (let i = 0; i < 1000; i++) world.dns.set(`h${i}.dead.example`, { records: [{ type: 'A', data: dead }] })
  for (const [domain, reason] of [
    ['nowhere.example', 'mx-unresolvable'],
    ['dead.example', 'unreachable'],
  ] as const) {
    const [before, started] = [world.dns.queries.length, Date.now()]
    const { first } = await world.ship(domain, verified)
    assert.equal(first.kind === 'deferred' && first.reason, reason, first.text)
    readable(first)
    assert.ok(world.dns.queries.length - before < 120, `${world.dns.queries.length - before} queries`)
    assert.ok(Date.now() - started < 50000, `${Date.now() - started} ms`)
  }
})
