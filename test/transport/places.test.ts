/** Connections at once to one address: all domains behind a host share them, and whoever finds none left waits. */
import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { type Manner, startPartner } from '../world/index.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
const closers: (() => unknown)[] = []
before(async () => {
  world = await openWorld({ 'limits.connectionsPerAddress': 2 }, { idle: 60_000, finalDot: 5000 })
})
after(async () => {
  await world?.close()
  for (const close of closers) await close()
})

/** One mail host 40 ms away for all these domains, and how many connections to it were open at once, as its side counts them. */
async function hostOf(domains: readonly string[], manner: Manner = {}, at = world) {
  const tls = await at.authority.issue(domains.map((domain) => `mx.${domain}`))
  const partner = await startPartner({ tls, ...manner })
  const open = new Set<Socket>()
  const counts = { most: 0, all: 0 }
  const relay = createServer((socket) => {
    counts.all++
    open.add(socket)
    // The end of another may have come in the same moment and be told a little later.
    setTimeout(() => {
      counts.most = Math.max(counts.most, open.size)
    }, 20)
    const onward = connect(partner.port, partner.host)
    socket.on('end', () => open.delete(socket)).on('error', () => undefined)
    socket.on('close', () => {
      open.delete(socket)
      onward.destroy()
    })
    onward.on('close', () => setTimeout(() => socket.destroy(), 40)).on('error', () => undefined)
    onward.on('data', (bytes) => setTimeout(() => socket.write(bytes), 40))
    socket.pipe(onward)
  })
  const address = at.freeAddress()
  await new Promise<void>((done) => relay.listen(at.port, address, done))
  closers.push(() => relay.close(), partner.close)
  for (const domain of domains) {
    at.dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: `mx.${domain}` } }] })
    at.dns.set(`mx.${domain}`, { records: [{ type: 'A', data: address }] })
  }
  return { partner, counts }
}

test('mail for many domains behind one address waits for a place there, and all of it arrives', async () => {
  const domains = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${name}.shared.example`)
  const { partner, counts } = await hostOf(domains)
  const shipped = await Promise.all(domains.map((domain) => world.ship(domain, verified)))
  assert.deepEqual([...new Set(shipped.map(({ first }) => first.kind))], ['delivered'])
  assert.deepEqual([counts.most, partner.mails.length], [2, 6])
})

test('whoever waits for a place takes a connection that is given back, where it will do', async () => {
  const { partner, counts } = await hostOf(['one.example'])
  await Promise.all(Array.from({ length: 6 }, () => world.ship('one.example', verified)))
  assert.deepEqual([counts.all, partner.mails.length], [2, 6])
})

test('a kept connection that nobody uses gives way to one that is needed', async () => {
  const domains = ['first.example', 'second.example', 'third.example']
  const { counts } = await hostOf(domains)
  const started = Date.now()
  for (const domain of domains) assert.equal((await world.ship(domain, verified)).first.kind, 'delivered')
  assert.ok(Date.now() - started < 50_000, 'not only when the kept ones end by themselves')
  assert.deepEqual(counts, { most: 2, all: 3 })
})

test('waiting for a place ends with the signal, and the place is not lost', async () => {
  const { partner, counts } = await hostOf(['x.example', 'y.example', 'z.example'])
  const others = ['x.example', 'y.example'].map((domain) => world.ship(domain, verified))
  while (counts.all < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  const stopped = await world.ship('z.example', verified, { signal: AbortSignal.timeout(60) })
  assert.equal(stopped.first.kind, 'deferred')
  await Promise.all(others)
  assert.equal(counts.all, 2, 'it never connected')
  assert.equal((await world.ship('z.example', verified)).first.kind, 'delivered')
  assert.deepEqual([counts.most, partner.mails.length], [2, 3])
})

test('connections that failed leave no place taken', async () => {
  const { partner, counts } = await hostOf(['bad.example'], { script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 closed' : undefined) })
  const insist = { recipients: [{ id: 'ann', address: 'ann@bad.example', notify: [], insist: true }] }
  for (let i = 0; i < 5; i++) assert.equal((await world.ship('bad.example', verified, insist)).first.kind, 'deferred')
  partner.behave({ tls: await world.authority.issue(['mx.bad.example']) })
  assert.equal((await world.ship('bad.example', verified, insist)).first.kind, 'delivered')
  assert.equal(counts.all, 6)
})

test('a second try of a notice, in clear, takes the place of the first', async () => {
  const narrow = await openWorld({ 'limits.connectionsPerAddress': 1 })
  closers.push(narrow.close)
  const { counts } = await hostOf(['half.example'], { script: (verb) => (verb === 'STARTTLS' ? '454 4.7.0 not now' : undefined) }, narrow)
  assert.equal((await narrow.ship('half.example', { kind: 'notice' })).first.kind, 'delivered')
  assert.deepEqual(counts, { most: 1, all: 2 })
})
