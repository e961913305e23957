import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sql } from '../../../src/store/db.ts'
import { createApi } from '../../../src/web/api/api.ts'
import { clientOf, mayComeInClear } from '../../../src/web/api/client.ts'
import { problems } from '../../../src/web/api/problem.ts'
import { auditShape, domainsShape, messageShape, messagesShape, operatedShape, queueShape } from '../../../src/web/api/shapes.ts'
import { type ApiWorld, json, startApiWorld } from './world.ts'

let world: ApiWorld
let owner: string
before(async () => {
  world = await startApiWorld()
  owner = await world.tokenOf('owner')
})
after(() => world?.close())

const policy = '/api/v1/policy'
const yaml = { 'content-type': 'application/yaml', 'if-match': '*' }

/** A message with one recipient, as delivery leaves it. */
async function message(id: string, to: string, method: string, acceptedAt: number): Promise<void> {
  await world.db.write(
    sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
      VALUES (${id}, 'mail', ${`<${id}@org.example>`}, 'ann@org.example', 'ann@org.example', ${acceptedAt}, 100, 1, '7bit', 0, '{}', ${Buffer.alloc(32)})`,
    sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at, claimed_until, fence, method, delay_noticed)
      VALUES (${`${id}-1`}, ${id}, ${to}, ${to.split('@')[1] ?? ''}, '', 0, 'delivered', 0, 1, 1, 0, 0, 0, ${method}, 0)`,
  )
}

describe('the API', () => {
  test('lists messages a page at a time, each once, by what is asked for', async () => {
    // Three of one millisecond: the cursor must know the id, too.
    for (const [index, at] of [1000, 2000, 2000, 2000, 3000].entries()) await message(`m${index}`, `p${index}@lab.example`, 'tls', at)
    await message('m9', 'q@bank.example', 'pgp', 500)
    const seen: string[] = []
    for (let next: string | null = ''; next !== null; ) {
      const reply = await world.ask(`/api/v1/messages?limit=2&to=lab.example${next === '' ? '' : `&cursor=${next}`}`, { token: owner })
      const page = messagesShape.parse(reply.json())
      assert.ok(page.messages.length <= 2)
      seen.push(...page.messages.map(({ id }) => id))
      next = page.next
    }
    assert.deepEqual(seen, ['m4', 'm3', 'm2', 'm1', 'm0'])
    const ids = async (query: string) =>
      messagesShape.parse((await world.ask(`/api/v1/messages?${query}`, { token: owner })).json()).messages.map(({ id }) => id)
    const full = messagesShape.parse((await world.ask('/api/v1/messages?limit=5&to=lab.example', { token: owner })).json())
    assert.deepEqual([full.messages.length, full.next], [5, null], 'a page that is just full is the last')
    assert.deepEqual([await ids('method=pgp'), await ids('from=nobody@org.example'), await ids('to=q@bank.example')], [['m9'], [], ['m9']])
  })

  test('finds a message by our id and by its Message-ID, and says when there is none', async () => {
    for (const name of ['m1', '%3Cm1@org.example%3E', 'm1@org.example'])
      assert.equal(messageShape.parse((await world.ask(`/api/v1/messages/${name}`, { token: owner })).json()).id, 'm1')
    const none = await world.ask('/api/v1/messages/nothing/explain', { token: owner })
    assert.deepEqual([none.status, none.json().code], [404, 'not-found'])
  })

  test('writes every look at what became of mail into the audit, before it answers', async () => {
    const token = await world.tokenOf('helpdesk')
    await world.ask('/api/v1/messages?to=p1@lab.example&limit=5', { token })
    await world.ask('/api/v1/messages/m1', { token })
    await world.ask('/api/v1/letters', { token })
    const reply = await world.ask('/api/v1/audit?action=trail.looked', { token: owner })
    const { entries } = auditShape.parse(reply.json())
    const id = (await world.tokens.list()).find(({ role }) => role === 'helpdesk')?.id
    const looks = entries.filter(({ actor }) => actor === `api:${id}`).map(({ object }) => object)
    assert.deepEqual(looks.sort(), ['letters', 'messages/m1', 'messages?to=p1@lab.example'])
    assert.equal(entries[0]?.object, 'audit?action=trail.looked')
  })

  test('holds on to no browser: no cookie, no CORS, nothing cached, nothing rendered', async () => {
    for (const path of ['/api/openapi.json', '/api/v1/policy', '/api/v1/nothing', '/api']) {
      const { headers } = await world.ask(path, { token: owner, headers: { origin: 'https://evil.example' } })
      const names = [...headers.keys()]
      assert.ok(!names.some((name) => name.startsWith('access-control') || name === 'set-cookie' || name === 'x-powered-by'), path)
      assert.deepEqual([headers.get('cache-control'), headers.get('x-content-type-options')], ['no-store', 'nosniff'])
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/)
    }
    const preflight = await world.ask(policy, {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'PUT' },
    })
    assert.deepEqual([preflight.status, preflight.headers.get('allow')], [405, 'GET, HEAD, PUT'])
  })

  test('answers hostile addresses with 400 or 404 and goes on', async () => {
    const paths = [
      '/api/v1/messages/%',
      '/api/v1/messages/%ff',
      '/api/v1/messages/%00',
      '/api/v1/messages?to=a&to=b',
      '/api/v1/messages?tto=a',
    ]
    const more = ['limit=0', 'limit=501', 'limit=1e3', 'cursor=x', `cursor=${'A'.repeat(500)}`, 'method=pigeon', `to=${'a'.repeat(400)}`]
    for (const path of [...paths, ...more.map((query) => `/api/v1/messages?${query}`)])
      assert.equal((await world.ask(path, { token: owner })).status, 400, path)
    for (const path of [
      '/api/../etc/passwd',
      '/api/v1//policy',
      '/api/v1/policy/',
      '/api/v1/__proto__',
      '/api/constructor',
      '/api/v1/messages/x/y/z',
    ])
      assert.ok([404, 401].includes((await world.ask(path)).status), path)
    for (const name of ["'%20OR%201=1--", '..%2f..%2fetc', '%25%00'.slice(0, 3), 'x'.repeat(3000), '%F0%9F%92%A5'])
      assert.equal((await world.ask(`/api/v1/messages/${name}`, { token: owner })).status, 404, name)
  })

  test('answers hostile bodies with 4xx and goes on', async () => {
    const put = (headers: Record<string, string>, body: string | Buffer) =>
      world.ask(policy, { method: 'PUT', token: owner, headers: { ...yaml, ...headers }, body })
    const as = { 'content-type': 'application/json' }
    assert.deepEqual(
      [
        (await put(as, '{')).status,
        (await put(as, '"text"')).status,
        (await put(as, '['.repeat(100_000))).status,
        (await put(as, '{"text": 5}')).status,
        (await put(as, '{"text": "version: 1", "__proto__": {"role": "owner"}}')).status,
        (await put({}, Buffer.from([0xff, 0xfe, 0x31]))).status,
        (await put({ 'content-type': 'text/plain' }, 'version: 1')).status,
        (await put({ 'content-encoding': 'gzip' }, 'version: 1')).status,
        (await put({ 'content-type': 'application/yaml; charset=utf-16' }, 'version: 1')).status,
        (await put({}, 'a: &a [*a, *a]\n')).status,
        (await put({}, `${'['.repeat(500)}\n`)).status,
        (await world.ask('/api/v1/queue/retry', { method: 'POST', token: owner, ...json({ id: 'x', domain: 'y' }) })).status,
      ],
      [400, 400, 400, 400, 400, 400, 415, 415, 415, 422, 422, 400],
    )
  })

  test('reads no more of a body than it may have, announced or not', async () => {
    const head = `PUT ${policy} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${owner}\r\nContent-Type: application/yaml\r\nIf-Match: *\r\n`
    assert.match(await world.raw(`${head}Content-Length: 5000000\r\n\r\n`), /^HTTP\/1\.1 413 /)
    const chunk = `10000\r\n${'#'.repeat(0x10000)}\r\n`
    assert.match(await world.raw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(18)}`), /^HTTP\/1\.1 413 /)
    const justFits = `version: 1\ndefault: { deliver: [tls] }\n#`.padEnd(1024 * 1024, '#')
    assert.equal((await world.ask(policy, { method: 'PUT', token: owner, headers: yaml, body: justFits })).status, 200)
  })

  test('answers what is no HTTP, and whoever goes away in the middle, without harm', async () => {
    assert.match(await world.raw('HELO there\r\n\r\n'), /^HTTP\/1\.1 400 /)
    assert.match(await world.raw(`GET ${policy} HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /)
    const head = `PUT ${policy} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${owner}\r\nContent-Type: application/yaml\r\nIf-Match: *\r\nContent-Length: 100\r\n\r\n`
    const { connect } = await import('node:net')
    await new Promise<void>((resolve) => {
      const socket = connect(world.port, '127.0.0.1', () => socket.write(`${head}version`, () => socket.destroy()))
      socket.once('close', () => resolve())
    })
    assert.equal((await world.ask(policy, { token: owner })).status, 200)
  })

  test(
    'cuts off whoever sends a request slowly',
    { skip: process.env.LONG_TESTS === '1' ? false : 'takes half a minute; LONG_TESTS=1' },
    async () => {
      assert.match(await world.raw(`GET ${policy} HTTP/1.1\r\nHost: x\r\n`), /^HTTP\/1\.1 408 /)
    },
  )

  test('answers HEAD as GET without its body, and health for anybody', async () => {
    const head = await world.ask(policy, { method: 'HEAD', token: owner })
    assert.deepEqual([head.status, head.text, Number(head.headers.get('content-length')) > 100], [200, '', true])
    for (const path of ['/livez', '/readyz']) assert.equal((await world.ask(path)).status, 200)
  })

  test('lists its problems, and each answer names one of them', async () => {
    const listed = (await world.ask('/api/problems')).json().problems as object
    assert.deepEqual(Object.keys(listed), Object.keys(problems))
    const reply = await world.ask('/api/v1/nothing', { token: owner })
    assert.deepEqual(
      [reply.json().type, reply.json().status, reply.headers.get('content-type')],
      ['/api/problems#not-found', 404, 'application/problem+json'],
    )
  })

  test('says what role is missing, to a token that is good', async () => {
    const reply = await world.ask('/api/v1/audit', { token: await world.tokenOf('helpdesk') })
    assert.deepEqual([reply.status, reply.json().code], [403, 'not-allowed'])
    assert.match(String(reply.json().detail), /helpdesk.*audit\.read/)
  })
})

describe('the way to the API', () => {
  test('is this machine, or a trusted proxy; a token from elsewhere would have come in clear', () => {
    for (const peer of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.1.2.3']) assert.ok(mayComeInClear(peer, ['10.1.0.0/16']), peer)
    for (const peer of ['10.2.0.1', '192.0.2.1', '2001:db8::1', undefined, 'x'])
      assert.ok(!mayComeInClear(peer, ['10.1.0.0/16']), String(peer))
  })

  test('from elsewhere ends with 403 before the token is looked at', async () => {
    const answers: number[] = []
    const api = createApi({ ...world, log: { error: () => {}, warn: () => {} } as never })
    const request = { url: policy, method: 'GET', headers: { authorization: `Bearer ${owner}` }, socket: { remoteAddress: '192.0.2.7' } }
    const response = { headersSent: false, destroyed: false, writeHead: (status: number) => answers.push(status), end: () => {} }
    await api(request as never, response as never)
    assert.deepEqual(answers, [403])
  })

  test('names the client behind trusted proxies, and believes nobody else', () => {
    const from = (remoteAddress: string, forwarded?: string) =>
      clientOf({ socket: { remoteAddress }, headers: { ...(forwarded && { 'x-forwarded-for': forwarded }) } } as never, [
        '127.0.0.1',
        '10.0.0.0/8',
      ])
    assert.equal(from('127.0.0.1', '203.0.113.9, 198.51.100.4, 10.0.0.2'), '198.51.100.4')
    assert.equal(from('192.0.2.1', '203.0.113.9'), '192.0.2.1')
    assert.equal(from('127.0.0.1'), '127.0.0.1')
    assert.equal(from('127.0.0.1', 'rubbish'), '127.0.0.1')
  })
})

describe('the queue by API', () => {
  test('is shown, held, released and returned, with who and why in the audit', async () => {
    await world.db.write(
      sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
        VALUES ('w1', 'mail', '<w1@org.example>', 'ann@org.example', 'ann@org.example', 1, 100, 1, '7bit', 0, '{}', ${Buffer.alloc(32)})`,
      sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at, claimed_until, fence, delay_noticed)
        VALUES ('w1-1', 'w1', 'x@slow.example', 'slow.example', '', 0, 'waiting', 0, 1, 1, ${world.clock()}, 0, 0, 0)`,
    )
    const token = await world.tokenOf('operator')
    const act = async (verb: string, body: object) => {
      const reply = await world.ask(`/api/v1/queue/${verb}`, { method: 'POST', token, ...json(body) })
      return [reply.status, operatedShape.parse(reply.json()).changed]
    }
    const states = async () =>
      queueShape.parse((await world.ask('/api/v1/queue?domain=Slow.Example', { token })).json()).queue.map(({ id, state }) => [id, state])
    assert.deepEqual(await states(), [['w1-1', 'waiting']])
    assert.deepEqual(await act('hold', { domain: 'slow.example', dryRun: true }), [200, ['w1-1']])
    assert.deepEqual(await states(), [['w1-1', 'waiting']])
    assert.deepEqual(await act('hold', { id: 'w1-1', comment: 'asked by phone' }), [200, ['w1-1']])
    assert.deepEqual(await states(), [['w1-1', 'held']])
    const shown = queueShape.parse((await world.ask('/api/v1/queue?state=held&domain=slow.example', { token })).json()).queue
    assert.deepEqual(
      shown.map(({ nextAttemptAt }) => nextAttemptAt),
      [null],
      'it has no next attempt',
    )
    assert.deepEqual(await act('release', { id: 'w1' }), [200, ['w1-1']])
    const nothing = await world.ask('/api/v1/queue/bounce', { method: 'POST', token, ...json({ id: 'nothing' }) })
    assert.deepEqual([nothing.status, nothing.json().code], [404, 'not-found'])
    assert.match(String(nothing.json().detail), /"nothing" waits or is held; GET \/api\/v1\/queue/)
    assert.deepEqual(await act('bounce', { domain: 'nothing.example' }), [200, []])
    const [held] = auditShape.parse((await world.ask('/api/v1/audit?action=recipient.hold', { token: owner })).json()).entries
    assert.match(held?.actor ?? '', /^api:/)
    assert.deepEqual([held?.object, held?.detail], ['w1-1', { comment: 'asked by phone' }])
  })

  test('is listed page by page, each recipient once, the next due first', async () => {
    const rows = Array.from({ length: 7 }, (_, i) => ({
      id: `w2-${i}`,
      at: 1000 + Math.floor(i / 3),
      held: i % 2 === 1 ? 'held' : 'waiting',
    }))
    await world.db.write(
      sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
        VALUES ('w2', 'mail', '<w2@org.example>', 'ann@org.example', 'ann@org.example', 1, 100, 1, '7bit', 0, '{}', ${Buffer.alloc(32)})`,
      ...rows.map(
        ({ id, at, held }) =>
          sql`INSERT INTO recipient (id, message, address, domain, notify, bcc, state, step, attempts, step_attempts, next_attempt_at, claimed_until, fence, delay_noticed)
            VALUES (${id}, 'w2', 'x@paged.example', 'paged.example', '', 0, ${held}, 0, 1, 1, ${at}, 0, 0, 0)`,
      ),
    )
    const token = await world.tokenOf('operator')
    const pages = async (query: string): Promise<string[]> => {
      const { queue, next } = queueShape.parse((await world.ask(`/api/v1/queue?domain=paged.example&limit=2${query}`, { token })).json())
      assert.ok(queue.length <= 2)
      const ids = queue.map(({ id }) => id)
      return next === null ? ids : [...ids, ...(await pages(`${query.replace(/&cursor=.*/, '')}&cursor=${next}`))]
    }
    assert.deepEqual(
      await pages(''),
      rows.map(({ id }) => id),
    )
    assert.deepEqual(await pages('&state=held'), ['w2-1', 'w2-3', 'w2-5'])
    assert.equal((await world.ask('/api/v1/queue?limit=501', { token })).status, 400)
    assert.equal((await world.ask('/api/v1/queue?cursor=x', { token })).status, 400)
  })

  test('of other domains is looked at by name alone', async () => {
    for (const name of ['x', 'a..b', '-', '..'.repeat(20)])
      assert.equal((await world.ask(`/api/v1/domains/${name}x`, { token: owner })).status, 404, name)
    assert.deepEqual((await world.ask('/api/v1/domains', { token: owner })).json(), { domains: [], next: null })
  })

  test('of domains there are pages, by name', async () => {
    const names = ['a.example', 'a-b.example', 'b.example', `${'long.'.repeat(40)}example`, 'xn--zrich-kva.example'].sort()
    await world.db.write(...names.map((domain) => sql`INSERT INTO probed_domain (domain, next_at, written_at) VALUES (${domain}, 1, 1)`))
    const pages = async (cursor = ''): Promise<string[]> => {
      const { domains, next } = domainsShape.parse((await world.ask(`/api/v1/domains?limit=2${cursor}`, { token: owner })).json())
      assert.ok(domains.length <= 2)
      const shown = domains.map(({ domain }) => domain)
      return next === null ? shown : [...shown, ...(await pages(`&cursor=${next}`))]
    }
    assert.deepEqual(await pages(), names)
    assert.equal((await world.ask('/api/v1/domains?limit=0', { token: owner })).status, 400)
  })
})
