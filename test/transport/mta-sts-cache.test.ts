/** MTA-STS policies fetched from a real HTTPS host on loopback, and kept in the database. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import type { Db } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { createStsCache, type StsCache } from '../../src/transport/mta-sts-cache.ts'
import { fetchStsPolicy, type StsFetchParts } from '../../src/transport/mta-sts-fetch.ts'
import { loadTrust } from '../../src/transport/trust.ts'
import { type Authority, createAuthority, type FakeDns, type Leaf, selfSigned, startFakeDns } from '../world/index.ts'
import { policyText, type StsHost, startStsHost } from '../world/sts-host.ts'

const minute = 60_000
const day = 1440 * minute
const signal = new AbortController().signal

let folder: string
let authority: Authority
let dns: FakeDns
let db: Db
let site: StsHost
let parts: StsFetchParts
let cache: StsCache
let now: number
let domain: string
let count = 0

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-sts-'))
  authority = await createAuthority()
  await writeFile(join(folder, 'ca.pem'), authority.cert)
  dns = await startFakeDns()
  db = await openDatabase({ data: folder, database: `sqlite:${join(folder, 'x.db')}` })
  site = await startStsHost(await authority.issue(['mta-sts.a1.example', '*.wide.example', ...names(40)]))
})
after(async () => {
  await Promise.all([site.close(), dns.close(), db.close()])
  await rm(folder, { recursive: true, force: true })
})
function names(upTo: number): string[] {
  return Array.from({ length: upTo }, (_, i) => `mta-sts.d${i}.example`)
}

/** A fresh domain for each test, with a record, a host, and nothing remembered. */
beforeEach(() => {
  now = Date.now()
  domain = `d${count++}.example`
  publish('one')
  dns.set(`mta-sts.${domain}`, { records: [{ type: 'A', data: site.host }] })
  site.asked.length = 0
  site.answer(policyText('enforce', [`mx.${domain}`]))
  restart()
})

/** As after a restart: only the database remembers. */
function restart(more: Partial<StsFetchParts> = {}) {
  const clock = () => now
  parts = {
    settings: { 'delivery.allowPrivateAddresses': true, 'delivery.ipv6': true },
    resolver: createResolver({ servers: [dns.address], clock, timeout: 1500 }),
    clock,
    trust: () => loadTrust(join(folder, 'ca.pem'), []),
    port: site.port,
    deadline: 1500,
    ...more,
  }
  cache = createStsCache({ ...parts, db, ratchet: 90 * day })
}
const publish = (id: string | undefined) =>
  dns.set(`_mta-sts.${domain}`, id === undefined ? undefined : { records: [{ type: 'TXT', data: [`v=STSv1; `, `id=${id};`], ttl: 300 }] })
const policyOf = (options = {}) => cache.policyOf(domain, signal, options)
async function fetched() {
  const answer = await fetchStsPolicy(domain, parts, signal)
  return answer.kind === 'policy' ? answer.policy.mode : [answer.reason, answer.text]
}
/** Another host, other certificate, for the same domain. */
async function elsewhere<T>(leaf: Leaf, work: () => Promise<T>): Promise<T> {
  const other = await startStsHost(leaf)
  other.answer(policyText('enforce', [`mx.${domain}`]))
  restart({ port: other.port })
  try {
    return await work()
  } finally {
    await other.close()
  }
}

test('a policy is fetched once, from mta-sts.<domain>, and outlives a restart', async () => {
  const first = await policyOf()
  assert.deepEqual(first, { kind: 'policy', id: 'one', policy: { mode: 'enforce', maxAge: 86_400, mx: [`mx.${domain}`] } })
  assert.deepEqual(site.asked, [`mta-sts.${domain} /.well-known/mta-sts.txt`])
  restart()
  assert.deepEqual(await policyOf(), first)
  assert.equal(site.asked.length, 1)
})

test('many deliveries at once share one fetch', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => policyOf()))
  assert.deepEqual(new Set(all.map(({ kind }) => kind)), new Set(['policy']))
  assert.equal(site.asked.length, 1)
})

test('the names of record and host may be aliases; the certificate still names mta-sts.<domain>', async () => {
  dns.set(`_mta-sts.${domain}`, { records: [{ type: 'CNAME', data: 'sts.provider.example' }] })
  dns.set('sts.provider.example', { records: [{ type: 'TXT', data: 'v=STSv1; id=shared' }] })
  dns.set(`mta-sts.${domain}`, { records: [{ type: 'CNAME', data: 'web.provider.example' }] })
  dns.set('web.provider.example', { records: [{ type: 'A', data: site.host }] })
  const found = await policyOf()
  assert.equal(found.kind === 'policy' && found.id, 'shared')
  assert.deepEqual(site.asked, [`mta-sts.${domain} /.well-known/mta-sts.txt`])
})

test('the record is looked at again when its TTL has passed, and a new id fetches the new policy', async () => {
  await policyOf()
  publish('two')
  site.answer(policyText('testing', ['*.new.example']))
  assert.equal((await policyOf()).kind === 'policy' && site.asked.length, 1)
  now += 301_000
  const found = await policyOf()
  assert.deepEqual(found.kind === 'policy' && [found.id, found.policy.mode, found.policy.mx], ['two', 'testing', ['*.new.example']])
})

test('without its record, or its host, the policy stays in force until it expires', async () => {
  await policyOf()
  publish(undefined)
  now += 301_000
  assert.deepEqual((await policyOf()).kind, 'policy')
  publish('two')
  site.answer((_request, response) => void response.writeHead(500).end())
  now += 301_000
  const kept = await policyOf()
  assert.deepEqual(kept.kind === 'policy' && [kept.id, kept.trouble?.reason], ['one', 'sts-policy-fetch-error'])
  now += day
  const gone = await policyOf()
  assert.deepEqual([gone.kind, gone.trouble?.reason], ['none', 'sts-policy-fetch-error'])
})

test('the record cannot be looked up: the policy in force holds; without one it is as if none, saying so', async () => {
  await policyOf()
  dns.set(`_mta-sts.${domain}`, { rcode: 'SERVFAIL' })
  now += 301_000
  const kept = await policyOf()
  assert.deepEqual(kept.kind === 'policy' && kept.trouble?.reason, 'sts-policy-fetch-error')
  now += day
  const gone = await policyOf()
  assert.deepEqual([gone.kind, gone.trouble?.reason], ['none', 'sts-policy-fetch-error'])
})

test('after a failed fetch the host is left alone for five minutes', async () => {
  site.answer((_request, response) => void response.writeHead(404).end())
  const first = await policyOf()
  assert.deepEqual([first.kind, first.trouble?.text], ['none', `mta-sts.${domain} answered 404 when asked for its MTA-STS policy`])
  site.answer(policyText('enforce', [`mx.${domain}`]))
  now += 4 * minute
  assert.equal((await policyOf()).kind, 'none')
  assert.equal(site.asked.length, 1)
  now += 2 * minute
  assert.equal((await policyOf()).kind, 'policy')
})

test('asked anew, a policy is fetched although its id is the known one, but not at every delivery', async () => {
  await policyOf()
  site.answer(policyText('enforce', ['mx.moved.example']))
  now += 6 * minute
  const found = await policyOf({ anew: true })
  assert.deepEqual(found.kind === 'policy' && found.policy.mx, ['mx.moved.example'])
  await policyOf({ anew: true })
  assert.equal(site.asked.length, 2)
})

test('a policy that calls itself something else than plain text is none; one that says nothing is', async () => {
  const fine = policyText('enforce', [`mx.${domain}`])
  for (const type of ['text/html', 'image/png', 'text/plainer']) {
    site.answer((_request, response) => void response.writeHead(200, { 'Content-Type': type }).end(fine))
    assert.deepEqual(await fetched(), [
      'sts-policy-invalid',
      `the MTA-STS policy cannot be used: mta-sts.${domain} calls it ${type}, not text/plain`,
    ])
  }
  for (const headers of [{}, { 'Content-Type': 'Text/Plain; charset=UTF-8' }]) {
    site.answer((_request, response) => void response.writeHead(200, headers).end(fine))
    assert.equal(await fetched(), 'enforce')
  }
})

test('an enforced policy that ran out is remembered for as long as the ratchet, unless a newer one takes it back', async () => {
  assert.equal((await policyOf()).kind, 'policy')
  const end = now + 86_400_000
  publish(undefined)
  now += 89 * day
  await cache.refresh(signal)
  assert.deepEqual(await policyOf(), { kind: 'none', enforcedUntil: end })
  now += 3 * day
  await cache.refresh(signal)
  assert.deepEqual(await policyOf(), { kind: 'none' })
})

test('the daily refresh prolongs what is used, and leaves alone what nobody has asked for in a month', async () => {
  site.answer(policyText('enforce', [`mx.${domain}`], 40 * 86_400))
  await policyOf()
  now += 13 * 60 * minute
  site.asked.length = 0
  await cache.refresh(signal)
  assert.ok(site.asked.includes(`mta-sts.${domain} /.well-known/mta-sts.txt`))
  now += 39 * day
  site.asked.length = 0
  await cache.refresh(signal)
  assert.deepEqual(site.asked, [])
  const found = await policyOf()
  assert.equal(found.kind, 'policy', 'prolonged by the first refresh')
})

test('no record, no question', async () => {
  publish(undefined)
  assert.deepEqual(await policyOf(), { kind: 'none' })
  assert.deepEqual(site.asked, [])
})

test('two records are as good as none; the trouble is told', async () => {
  dns.set(`_mta-sts.${domain}`, {
    records: [
      { type: 'TXT', data: 'v=STSv1; id=a' },
      { type: 'TXT', data: 'v=STSv1; id=b' },
    ],
  })
  const found = await policyOf()
  assert.deepEqual([found.kind, found.trouble?.reason], ['none', 'sts-policy-invalid'])
})

test('a certificate for another name, or that nobody vouches for, or expired, is no policy', async () => {
  const host = `mta-sts.${domain}`
  const wrong = await elsewhere(await authority.issue([`www.${domain}`]), fetched)
  assert.deepEqual(wrong, ['sts-webpki-invalid', `certificate of ${host} is for another name`])
  const self = await elsewhere(await selfSigned([host]), fetched)
  assert.deepEqual(self, ['sts-webpki-invalid', `certificate of ${host} is self-signed`])
  const old = await authority.issue([host], { notBefore: new Date(now - 9 * day), notAfter: new Date(now - day) })
  assert.equal((await elsewhere(old, fetched))[0], 'sts-webpki-invalid')
  const byName = await authority.issue([host], { san: false })
  assert.equal((await elsewhere(byName, fetched))[0], 'sts-webpki-invalid')
  assert.equal(await elsewhere(await authority.issue([host]), fetched), 'enforce')
})

test('a redirect is not followed', async () => {
  const other = await startStsHost(await authority.issue([`mta-sts.${domain}`]))
  site.answer((_request, response) => void response.writeHead(301, { Location: `https://127.0.0.1:${other.port}/` }).end())
  assert.deepEqual(await fetched(), ['sts-policy-fetch-error', `mta-sts.${domain} answered 301 when asked for its MTA-STS policy`])
  assert.deepEqual(other.asked, [])
  await other.close()
})

test('64 KiB are read, 65 are not, with or without a length told beforehand', async () => {
  const policy = policyText('enforce', [`mx.${domain}`])
  const padded = (kib: number) => `${policy}${`${'x'.repeat(1022)}\r\n`.repeat(kib)}`
  site.answer(padded(63))
  assert.equal(await fetched(), 'enforce')
  site.answer(padded(65))
  assert.deepEqual(await fetched(), ['sts-policy-invalid', 'the MTA-STS policy cannot be used: it is longer than 64 KiB'])
  site.answer((_request, response) => {
    response.writeHead(200)
    response.on('error', () => undefined)
    const flood = () => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
    }
    response.on('drain', flood)
    flood()
  })
  assert.equal((await fetched())[0], 'sts-policy-invalid')
})

test('a host that drips, hangs or stops in the middle costs the deadline and no more', async () => {
  const drip = (_request: unknown, response: import('node:http').ServerResponse) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('v'), 20)
    response.on('close', () => clearInterval(timer))
  }
  for (const how of [drip, () => undefined]) {
    site.answer(how)
    const started = Date.now()
    assert.deepEqual(await fetched(), ['sts-policy-fetch-error', `mta-sts.${domain} did not show its MTA-STS policy in time`])
    assert.ok(Date.now() - started < 20000)
  }
  site.answer((_request, response) => {
    response.writeHead(200, { 'Content-Length': '500' }).write(policyText('enforce', [`mx.${domain}`]))
    setTimeout(() => response.destroy(), 20)
  })
  assert.equal((await fetched())[0], 'sts-policy-fetch-error')
})

test('garbage is no policy: not HTTP, too long a header, packed, wrong words', async () => {
  site.answer((request) => void request.socket.end('SSH-2.0-x\r\n'))
  assert.equal((await fetched())[0], 'sts-policy-fetch-error')
  site.answer((_request, response) => void response.writeHead(200, { 'X-Long': 'x'.repeat(40_000) }).end())
  assert.equal((await fetched())[0], 'sts-policy-fetch-error')
  site.answer((_request, response) => void response.writeHead(200, { 'Content-Encoding': 'gzip' }).end('x'))
  assert.equal((await fetched())[0], 'sts-policy-fetch-error')
  for (const text of ['', '<html>parked</html>', '\u0000\u00ff', 'version: STSv1\nmode: sometimes\nmax_age: 1\nmx: a.example']) {
    site.answer(text)
    assert.equal((await fetched())[0], 'sts-policy-invalid', text)
  }
})

test('a host at an address that only we can reach is not asked, and one that nobody answers at is told', async () => {
  restart({ settings: { 'delivery.allowPrivateAddresses': false, 'delivery.ipv6': true } })
  assert.deepEqual(await fetched(), ['sts-policy-fetch-error', `mta-sts.${domain} has the address 127.0.0.1, which is not a public one`])
  assert.deepEqual(site.asked, [])
  restart({ port: 1 })
  assert.match(String(await fetched()), /sts-policy-fetch-error.*127\.0\.0\.1:1/)
  dns.set(`mta-sts.${domain}`, undefined)
  restart()
  assert.match(String(await fetched()), /has no address/)
})

test('a second address of the host is asked when the first is dead', async () => {
  dns.set(`mta-sts.${domain}`, {
    records: [
      { type: 'A', data: '127.251.7.9' },
      { type: 'A', data: site.host },
    ],
  })
  restart()
  assert.equal(await fetched(), 'enforce')
})
