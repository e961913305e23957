/** The DNS stub against a real server on loopback. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createResolver } from '../../src/transport/dns.ts'
import { type FakeDns, startFakeDns } from '../world/index.ts'

let dns: FakeDns
let now = 1_000_000
before(async () => {
  dns = await startFakeDns()
})
after(() => dns.close())

const resolver = (servers = [dns.address]) => createResolver({ servers, clock: () => now, timeout: 1000, rounds: 2 })
const asked = (name: string) => dns.queries.filter((query) => query.name === name)

test('an answer too large for UDP is fetched over TCP', async () => {
  dns.set('big.example', {
    records: Array.from({ length: 300 }, (_, i) => ({ type: 'MX', data: { preference: i, exchange: `mx${i}.big.example` } })),
  })
  const look = await resolver().look('big.example', 'MX')
  assert.equal(look.kind === 'records' && look.records.length, 300)
  assert.deepEqual(
    asked('big.example').map(({ over }) => over),
    ['udp', 'tcp'],
  )
})

test('no such name, no such record and no answer are three things', async () => {
  dns.set('empty.example', { records: [] })
  dns.set('fail.example', { rcode: 'SERVFAIL' })
  dns.set('refused.example', { rcode: 'REFUSED' })
  dns.set('silent.example', { silent: true })
  const names = ['nowhere.example', 'empty.example', 'fail.example', 'refused.example', 'silent.example']
  const kinds = await Promise.all(names.map(async (name) => (await resolver().look(name, 'MX')).kind))
  assert.deepEqual(kinds, ['nxdomain', 'nodata', 'temporary', 'temporary', 'temporary'])
  assert.equal(asked('silent.example').length, 2, 'silence is asked again')
})

test('the next server is asked when the first is dead or fails', async () => {
  const failing = await startFakeDns({ 'two.example': { rcode: 'SERVFAIL' } })
  dns.set('two.example', { records: [{ type: 'A', data: '192.0.2.1' }] })
  const look = await resolver(['127.0.0.1:9', failing.address, dns.address]).look('two.example', 'A')
  await failing.close()
  assert.deepEqual(look.kind === 'records' && look.records, ['192.0.2.1'])
})

test('answers live as long as their TTL, the empty ones as long as the SOA says', async () => {
  const own = resolver()
  dns.set('ttl.example', { records: [{ type: 'A', data: '192.0.2.1', ttl: 10 }] })
  const looks = async (name: string) => (await own.look(name, 'A')).kind
  for (const advance of [0, 9_000]) {
    now += advance
    await looks('TTL.example.')
    await looks('gone.example')
  }
  assert.deepEqual([asked('ttl.example').length, asked('gone.example').length], [1, 1])
  now += 2000
  await looks('ttl.example')
  await looks('gone.example')
  assert.deepEqual([asked('ttl.example').length, asked('gone.example').length], [2, 1])
  now += 60_000
  await looks('gone.example')
  assert.equal(asked('gone.example').length, 2)
})

test('a failure is not remembered', async () => {
  const own = resolver()
  dns.set('back.example', { rcode: 'SERVFAIL' })
  assert.equal((await own.look('back.example', 'A')).kind, 'temporary')
  dns.set('back.example', { records: [{ type: 'A', data: '192.0.2.7' }] })
  assert.equal((await own.look('back.example', 'A')).kind, 'records')
})

test('two who ask the same at once cost one question', async () => {
  const own = resolver()
  dns.set('once.example', { records: [{ type: 'A', data: '192.0.2.1' }], delay: 30 })
  await Promise.all([own.look('once.example', 'A'), own.look('ONCE.example', 'A')])
  assert.equal(asked('once.example').length, 1)
})

test('aliases are followed, in one answer or by asking on, and a loop of them ends', async () => {
  dns.set('a.alias.example', { records: [{ type: 'CNAME', data: 'b.alias.example' }] })
  dns.set('b.alias.example', { records: [{ type: 'A', data: '192.0.2.3' }] })
  assert.deepEqual(await resolver().look('a.alias.example', 'A'), {
    kind: 'records',
    records: ['192.0.2.3'],
    name: 'b.alias.example',
    secure: false,
  })
  dns.set('x.loop.example', { records: [{ type: 'CNAME', data: 'y.loop.example' }] })
  dns.set('y.loop.example', { records: [{ type: 'CNAME', data: 'x.loop.example' }] })
  assert.equal((await resolver().look('x.loop.example', 'A')).kind, 'temporary')
  assert.ok(asked('x.loop.example').length + asked('y.loop.example').length <= 9)
})

test('a name that no host can have is not asked for', async () => {
  for (const name of ['', '.', 'a..b', 'x y.example', 'évil.example', `${'x'.repeat(64)}.example`, 'a\u0000.example', '\r\n.example']) {
    assert.equal((await resolver().look(name, 'A')).kind, 'nxdomain')
  }
  assert.ok(dns.queries.every(({ name, type }) => /^[a-z0-9_.-]+$/.test(name) || type === 'SOA'))
})

test('a forged answer with another id or another question is not believed', async () => {
  const { createSocket } = await import('node:dgram')
  const codec = await import('dns-packet')
  const liar = createSocket('udp4')
  liar.on('message', (bytes, from) => {
    const { id = 0 } = codec.decode(bytes)
    const say = (answerId: number, name: string, data: string) =>
      liar.send(
        codec.encode({ type: 'response', id: answerId, questions: [{ type: 'A', name }], answers: [{ type: 'A', name, data, ttl: 60 }] }),
        from.port,
      )
    say((id + 1) % 65_536, 'true.example', '192.0.2.66')
    say(id, 'other.example', '192.0.2.66')
    liar.send(Buffer.from('nonsense'), from.port)
    setTimeout(() => say(id, 'true.example', '192.0.2.1'), 20)
  })
  await new Promise<void>((done) => liar.bind(0, '127.0.0.1', done))
  const look = await resolver([`127.0.0.1:${liar.address().port}`]).look('true.example', 'A')
  liar.close()
  assert.deepEqual(look.kind === 'records' && look.records, ['192.0.2.1'])
})

test('a server that does not know EDNS is asked without', async () => {
  const { createSocket } = await import('node:dgram')
  const codec = await import('dns-packet')
  const old = createSocket('udp4')
  old.on('message', (bytes, from) => {
    const { id = 0, questions = [], additionals = [] } = codec.decode(bytes)
    const flags = additionals.length > 0 ? 1 : 0
    old.send(
      codec.encode({
        type: 'response',
        id,
        flags,
        questions,
        answers: flags ? [] : [{ type: 'A', name: 'old.example', data: '192.0.2.9', ttl: 1 }],
      }),
      from.port,
    )
  })
  await new Promise<void>((done) => old.bind(0, '127.0.0.1', done))
  const look = await resolver([`127.0.0.1:${old.address().port}`]).look('old.example', 'A')
  old.close()
  assert.equal(look.kind, 'records')
})
