import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Request } from 'express'
import { createFailures, formToken, hostGate, tokenMatches } from '../../../src/web/portal/gate.ts'

const asking = (parts: { host?: string; ip?: string; token?: unknown }) =>
  ({ headers: parts.host === undefined ? {} : { host: parts.host }, ip: parts.ip, body: { token: parts.token } }) as unknown as Request

test('a Host is ours when it is of the portal or one of its former addresses, whatever the port and case', () => {
  const isOurs = hostGate({ 'portal.url': 'https://post.klinik.example', 'portal.formerUrls': ['https://old.klinik.example:8443'] })
  for (const host of ['post.klinik.example', 'POST.klinik.example:8443', 'old.klinik.example', 'post.klinik.example.'])
    assert.ok(isOurs(asking({ host })), host)
  for (const host of [
    'klinik.example',
    'localhost',
    '127.0.0.1',
    'post.klinik.example.evil.example',
    'post.klinik.example@evil.example',
    '',
    ' ',
  ])
    assert.ok(!isOurs(asking({ host })), host)
  assert.ok(!isOurs(asking({})))
})

test('a portal on loopback answers to every loopback name and to nothing else', () => {
  const isOurs = hostGate({ 'portal.url': 'http://localhost:8080', 'portal.formerUrls': [] })
  for (const host of ['localhost:1', '127.0.0.1:8080', '[::1]:8080', 'gate.localhost']) assert.ok(isOurs(asking({ host })), host)
  for (const host of ['evil.example', '10.0.0.1', 'localhost.evil.example']) assert.ok(!isOurs(asking({ host })), host)
})

test('a form token fits its purpose and its secret only', () => {
  const token = formToken('code', 'cookie')
  assert.ok(tokenMatches(asking({ token }), 'code', 'cookie'))
  assert.ok(!tokenMatches(asking({ token }), 'close', 'cookie'))
  assert.ok(!tokenMatches(asking({ token }), 'code', 'another'))
  for (const wrong of [undefined, '', [token], { token }]) assert.ok(!tokenMatches(asking({ token: wrong }), 'code', 'cookie'))
})

test('failures are counted by address, an IPv6 network as one, for ten minutes', () => {
  let now = 0
  const failures = createFailures(3, () => now)
  for (let i = 0; i < 3; i++) assert.equal(failures.count(asking({ ip: `2001:db8::${i}` })), undefined)
  assert.equal(failures.exceeded(asking({ ip: '2001:db8::9' })), undefined)
  assert.equal(failures.count(asking({ ip: '2001:db8::9' })), 600_000)
  assert.equal(failures.exceeded(asking({ ip: '2001:db8::a' })), 600_000)
  assert.equal(failures.exceeded(asking({ ip: '2001:db8:1::9' })), undefined)
  assert.equal(failures.exceeded(asking({ ip: '::ffff:192.0.2.1' })), undefined)
  now = 600_000
  assert.equal(failures.exceeded(asking({ ip: '2001:db8::9' })), undefined)
})

test('an attacker with many addresses does not fill the memory, and does not free those that failed', () => {
  const failures = createFailures(1, () => 0)
  for (let i = 0; i < 20_000; i++) failures.count(asking({ ip: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` }))
  failures.count(asking({ ip: '10.0.78.31' }))
  assert.equal(failures.exceeded(asking({ ip: '10.0.78.31' })), 600_000)
})
