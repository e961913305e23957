import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sql } from '../../../src/store/db.ts'
import {
  appliedShape,
  checkedShape,
  diffShape,
  policyShape,
  previewShape,
  revisionsShape,
  simulatedShape,
  testedShape,
} from '../../../src/web/api/shapes.ts'
import { type ApiWorld, day, json, startApiWorld } from './world.ts'

let world: ApiWorld
let token: string
before(async () => {
  world = await startApiWorld()
  token = await world.tokenOf('policy')
})
after(() => world?.close())

const path = '/api/v1/policy'
const text = (domain: string) =>
  `version: 1\nrules:\n  - { name: one, when: { to: ${domain} }, deliver: [tls] }\ndefault: { deliver: [tls, bounce] }\n`
const broken = 'version: 1\ndefault:\n  deliver: [tls, escro]\n'
const failing = `${text('lab.example')}tests: [{ from: a@org.example, to: b@lab.example, given: { tls: none }, expect: tls }]\n`

const tag = async () => (await world.ask(path, { token })).headers.get('etag') ?? ''
const put = async (body: string, headers: Record<string, string> = {}) =>
  world.ask(path, { method: 'PUT', token, headers: { 'content-type': 'application/yaml', 'if-match': await tag(), ...headers }, body })

describe('the policy by API', () => {
  test('is read as JSON or YAML, each with a tag of its own, and not sent again to whoever has it', async () => {
    const asJson = await world.ask(path, { token })
    const { text: shown, revision } = policyShape.parse(asJson.json())
    const asYaml = await world.ask(path, { token, headers: { accept: 'text/html;q=0, application/yaml' } })
    assert.deepEqual([asYaml.text, asYaml.headers.get('content-type'), revision], [shown, 'application/yaml', 1])
    assert.notEqual(asJson.headers.get('etag'), asYaml.headers.get('etag'))
    const again = await world.ask(path, { token, headers: { 'if-none-match': `"x", ${asJson.headers.get('etag')}` } })
    assert.deepEqual([again.status, again.text], [304, ''])
    assert.equal((await world.ask(path, { token, headers: { accept: 'image/png' } })).status, 406)
    assert.equal(
      (await world.ask(path, { token, headers: { accept: 'application/*;q=0.5, text/yaml' } })).headers.get('content-type'),
      'text/yaml',
    )
  })

  test('is replaced only on top of the one that If-Match names', async () => {
    const first = await tag()
    const without = await world.ask(path, { method: 'PUT', token, ...json({ text: text('a.example') }) })
    assert.deepEqual([without.status, without.json().code], [428, 'if-match-needed'])
    const applied = await put(text('a.example'))
    assert.deepEqual([applied.status, appliedShape.parse(applied.json()).revision, applied.headers.get('etag')], [200, 2, await tag()])
    const stale = await put(text('b.example'), { 'if-match': first })
    assert.deepEqual([stale.status, stale.json().code, (await world.policies.current()).revision], [412, 'policy-changed', 2])
    assert.equal((await put(text('b.example'), { 'if-match': `W/${await tag()}` })).status, 412)
    assert.equal((await put(text('b.example'), { 'if-match': '*' })).status, 200)
  })

  test('names who changed it, and why, in history and audit', async () => {
    const body = { text: text('c.example'), comment: 'as the board decided' }
    await world.ask(path, {
      method: 'PUT',
      token,
      headers: { 'content-type': 'application/json', 'if-match': await tag() },
      body: JSON.stringify(body),
    })
    const { revisions } = revisionsShape.parse((await world.ask(`${path}/revisions`, { token })).json())
    const actor = `api:${(await world.tokens.list()).find(({ role }) => role === 'policy')?.id}`
    assert.deepEqual([revisions[0]?.appliedBy, revisions[0]?.comment, revisions[0]?.ours], [actor, 'as the board decided', true])
    const told = await world.db.read(
      sql`SELECT actor FROM audit WHERE action = 'policy.applied' AND object = ${String(revisions[0]?.revision)}`,
    )
    assert.deepEqual(told, [{ actor }])
  })

  test('with a mistake or a failing test is refused with line and column, and the one in force stays', async () => {
    const before = (await world.policies.current()).revision
    for (const [body, line, column, words] of [
      [broken, 3, 18, /escro/],
      [failing, 5, 9, /test fails/],
    ] as const) {
      const reply = await put(body)
      assert.deepEqual(
        [reply.status, reply.headers.get('content-type'), reply.json().code],
        [422, 'application/problem+json', 'policy-invalid'],
      )
      const [first] = reply.json().problems as { line: number; column: number; text: string }[]
      assert.deepEqual([first?.line, first?.column], [line, column])
      assert.match(first?.text ?? '', words)
    }
    assert.equal((await world.policies.current()).revision, before)
  })

  test('is checked and tested without being applied', async () => {
    const before = (await world.policies.current()).revision
    const ask = async (verb: string, body: string) =>
      world.ask(`${path}/${verb}`, { method: 'POST', token, headers: { 'content-type': 'text/yaml' }, body })
    assert.equal(checkedShape.parse((await ask('check', text('a.example'))).json()).valid, true)
    assert.equal(checkedShape.parse((await ask('check', broken)).json()).valid, false)
    assert.equal(checkedShape.parse((await ask('check', failing)).json()).valid, false)
    const { passed, failed } = testedShape.parse((await ask('test', failing)).json())
    assert.deepEqual([passed, failed, (await ask('test', broken)).status], [0, 1, 422])
    assert.equal((await world.policies.current()).revision, before)
  })

  test('goes back to an older revision as a new one, and shows what differs', async () => {
    const current = (await world.policies.current()).revision
    const back = await world.ask(`${path}/rollback`, {
      method: 'POST',
      token,
      headers: { 'content-type': 'application/json', 'if-match': await tag() },
      body: JSON.stringify({ revision: 1 }),
    })
    assert.equal(appliedShape.parse(back.json()).revision, current + 1)
    const one = policyShape.parse((await world.ask(`${path}/revisions/1`, { token })).json())
    const now = policyShape.parse((await world.ask(`${path}/revisions/${current + 1}`, { token })).json())
    assert.deepEqual([now.text, now.comment], [one.text, 'back to revision 1'])
    const same = diffShape.parse((await world.ask(`${path}/diff?from=1`, { token })).json())
    assert.deepEqual([same.from, same.to, same.diff], [1, current + 1, ''])
    assert.match(diffShape.parse((await world.ask(`${path}/diff?from=1&to=2`, { token })).json()).diff, /^\+ {2}- \{ name: one/m)
    for (const missing of [`${path}/revisions/99`, `${path}/revisions/x`, `${path}/diff?from=99`])
      assert.equal((await world.ask(missing, { token })).status, 404, missing)
  })

  test('is changed once by a request that comes twice with the same Idempotency-Key', async () => {
    const headers = { 'if-match': await tag(), 'idempotency-key': 'k-1' }
    const [first, second] = [await put(text('d.example'), headers), await put(text('d.example'), headers)]
    assert.deepEqual([first.status, second.status, second.text], [200, 200, first.text])
    assert.equal(second.headers.get('etag'), first.headers.get('etag'))
    const other = await put(text('e.example'), headers)
    assert.deepEqual([other.status, other.json().code], [422, 'key-used'])
    const stranger = await world.ask(path, {
      method: 'PUT',
      token: await world.tokenOf('owner'),
      headers: { 'content-type': 'application/yaml', ...headers },
      body: text('d.example'),
    })
    assert.equal(stranger.status, 412, 'the key of another token is another key')
    assert.equal((await put(text('f.example'), { 'idempotency-key': 'a b' })).status, 400)
    world.later(25 * 3_600_000)
    assert.equal((await put(text('e.example'), { 'idempotency-key': 'k-1' })).status, 200)
  })

  test('is changed once by twenty requests at once with one key', async () => {
    const headers = { 'if-match': await tag(), 'idempotency-key': 'k-2' }
    const replies = await Promise.all(Array.from({ length: 20 }, () => put(text('g.example'), headers)))
    const { revision } = await world.policies.current()
    for (const { status, json: body } of replies)
      assert.ok(status === 200 ? body().revision === revision : body().code === 'request-under-way', String(status))
    assert.ok(replies.some(({ status }) => status === 200))
  })

  test('of two changes at once on the same tag, one is refused', async () => {
    const headers = { 'if-match': await tag() }
    const replies = await Promise.all(['h', 'i', 'j'].map((name) => put(text(`${name}.example`), headers)))
    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 412, 412])
  })

  test('is read beside the mail, however long that takes; what is larger than a policy is refused unread', async () => {
    // As much as is let in to the parser: some hundredths of a second of work, in which a timer here goes on.
    const hostile = `version: 1\n${'a: 1\n'.repeat(24_000)}`
    let ticks = 0
    const timer = setInterval(() => {
      ticks += 1
    }, 5)
    for (const [verb, more] of [
      ['simulate', {}],
      ['preview', { from: 'a@org.example', to: 'b@lab.example' }],
      ['check', {}],
    ] as const) {
      const before = ticks
      const { status } = await world.ask(`${path}/${verb}`, { method: 'POST', token, ...json({ ...more, text: hostile }) })
      assert.equal(status, verb === 'check' ? 200 : 422)
      assert.ok(ticks - before > 3, `${verb}: ${ticks - before} ticks`)
    }
    clearInterval(timer)
    const larger = await world.ask(`${path}/check`, { method: 'POST', token, ...json({ text: 'x'.repeat(5_000_000) }) })
    assert.deepEqual([larger.status, larger.json().code], [413, 'too-large'])
  })

  test('has its revisions listed page by page, the newest first', async () => {
    for (const domain of ['p.example', 'q.example', 'r.example']) await put(text(domain))
    const { revision: newest } = await world.policies.current()
    const pages = async (cursor: string): Promise<number[]> => {
      const { revisions, next } = revisionsShape.parse((await world.ask(`${path}/revisions?limit=2${cursor}`, { token })).json())
      assert.ok(revisions.length <= 2)
      const numbers = revisions.map(({ revision }) => revision)
      return next === null ? numbers : [...numbers, ...(await pages(`&cursor=${next}`))]
    }
    assert.deepEqual(
      await pages(''),
      Array.from({ length: newest }, (_, i) => newest - i),
    )
  })

  test('is not called wrong while too many others are looked at: it may be sent again, with the same key', async () => {
    const busy = await startApiWorld({ waiting: 0 })
    try {
      const by = await busy.tokenOf('policy')
      const large = `${text('a.example')}# ${'x'.repeat(20_000)}\n`
      const send = (method: string, verb: string) =>
        busy.ask(`${path}${verb}`, {
          ...{ method, token: by, body: large },
          headers: { 'content-type': 'application/yaml', 'if-match': '*', 'idempotency-key': `the-same${method}${verb}` },
        })
      const asked = [
        ['POST', '/check'],
        ['POST', '/test'],
        ['PUT', ''],
      ] as const
      const replies = await Promise.all(asked.map(([method, verb]) => send(method, verb)))
      const refused = replies.filter(({ status }) => status !== 200)
      assert.deepEqual(
        refused.map(({ status, headers, json: body }) => [status, body().code, headers.get('retry-after')]),
        Array(2).fill([503, 'unavailable', '60']),
      )
      for (const [method, verb] of asked) assert.equal((await send(method, verb)).status, 200, verb)
    } finally {
      await busy.close()
    }
  })

  test('is simulated over what was decided, one at a time; what it cannot do says so', async () => {
    const ask = (verb: string, body: object) => world.ask(`${path}/${verb}`, { method: 'POST', token, ...json(body) })
    const replies = await Promise.all([1, 2].map(() => ask('simulate', { text: text('a.example'), since: '7d' })))
    const [done] = replies.filter(({ status }) => status === 200)
    const told = simulatedShape.parse(done?.json())
    assert.deepEqual([told.decisions, told.changed, told.since], [0, 0, world.clock() - 7 * day])
    for (const { status, json: body } of replies) assert.ok(status === 200 || body().code === 'unavailable')
    assert.equal((await ask('simulate', { text: broken })).status, 422)
    assert.equal((await ask('simulate', { text: text('a.example'), since: '7 days' })).status, 400)
  })

  test('is previewed for one message, by the policy in force or by another text, with what detectors find masked', async () => {
    const ask = (body: object, by = token) => world.ask(`${path}/preview`, { method: 'POST', token: by, ...json(body) })
    const mail = { from: 'ann@org.example', to: 'max@a.example' }
    const other = previewShape.parse((await ask({ ...mail, text: text('a.example') })).json())
    const [sender, recipient] = [await ask({ ...mail, from: 'a' }), await ask({ ...mail, to: 'b' })]
    assert.deepEqual(
      [sender.json().detail, recipient.json().detail],
      ['body: from: expected an address such as ann@org.example, or <>', 'body: to: expected an address such as max@lab.example'],
    )
    assert.deepEqual([other.rule.name, other.steps], ['one', ['tls', 'bounce']])
    const rules = `version: 1\nrules:\n  - { name: numbers, when: { detect: iban }, deliver: [escrow] }\ndefault: { deliver: [tls] }\n`
    const message = Buffer.from('From: ann@org.example\r\nTo: max@a.example\r\nSubject: x\r\n\r\nDE89 3704 0044 0532 0130 00\r\n').toString(
      'base64',
    )
    const found = await ask({ ...mail, text: rules, message })
    assert.deepEqual([found.status, previewShape.parse(found.json()).rule.name], [200, 'numbers'])
    assert.ok(!found.text.includes('3704 0044') && !found.text.includes('370400440532'))
    for (const bad of [
      { from: 'ann', to: mail.to },
      { ...mail, to: 'x' },
      { ...mail, subject: 'a', message },
      { ...mail, message: '%%' },
    ])
      assert.equal((await ask(bad)).status, 400, JSON.stringify(bad))
    assert.equal((await ask({ ...mail, text: broken })).status, 422)
    const auditor = await ask({ ...mail, live: true }, await world.tokenOf('auditor'))
    assert.deepEqual([auditor.status, auditor.json().code], [403, 'not-allowed'])
  })

  test('that was altered in the database is not shown, says so, and is got rid of by a new one', async () => {
    const { revision } = await world.policies.current()
    await world.db.write(sql`INSERT INTO policy_revision (revision, fingerprint, text, applied_at, applied_by, comment)
      VALUES (${revision + 1}, 'x', ${text('evil.example')}, 0, 'cli:root', '')`)
    const reply = await world.ask(path, { token })
    assert.deepEqual([reply.status, reply.json().code], [503, 'policy-altered'])
    assert.equal((await put(text('k.example'), { 'if-match': '*' })).status, 200)
    assert.equal((await world.ask(path, { token })).status, 200)
  })
})
