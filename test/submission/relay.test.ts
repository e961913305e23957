/** Who may relay: the decisions as a table. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { relayRules } from '../../src/submission/relay.ts'

const rules = relayRules(
  defaultSettings({
    'organisation.domains': ['lab.example', 'xn--bcher-kva.example'],
    'smtp.relay.networks': ['127.0.0.0/8', '192.0.2.0/24', '2001:db8:1::/48', '198.51.100.7/32'],
    'smtp.relay.plaintextNetworks': ['127.0.0.0/8', '192.0.2.16/28', '203.0.113.0/24'],
  }),
)
const open = relayRules(defaultSettings({ 'smtp.relay.networks': ['127.0.0.0/8', '192.0.2.0/24'] }))
const verdict = (address: string, secure: boolean, user?: string, from = rules) => {
  const refusal = from.refuseSession(from.client(address), { secure, user })
  return refusal === undefined ? 'yes' : `${refusal.code} ${refusal.status} ${refusal.text}`
}

test('a trusted network may relay without AUTH, in clear only from the plaintext networks', () => {
  assert.equal(verdict('127.0.0.1', false), 'yes')
  assert.equal(verdict('192.0.2.17', false), 'yes')
  assert.equal(verdict('192.0.2.99', true), 'yes')
  assert.equal(verdict('2001:db8:1::5', true), 'yes')
  assert.equal(verdict('198.51.100.7', true), 'yes')
  assert.match(verdict('192.0.2.99', false), /^530 5\.7\.0 Must issue a STARTTLS command first$/)
})

test('everybody else signs in, over TLS', () => {
  assert.match(verdict('198.51.100.8', false), /^530 5\.7\.0 Must issue a STARTTLS command first$/)
  assert.match(verdict('198.51.100.8', true), /^530 5\.7\.0 Authentication required/)
  assert.equal(verdict('198.51.100.8', true, 'anna'), 'yes')
  assert.match(verdict('203.0.113.1', false), /^530 5\.7\.0 Must issue a STARTTLS command first, then AUTH/)
  assert.match(verdict('2001:db8:2::5', true), /^530/)
})

test('an IPv4 address written as IPv6 is the IPv4 address, and what is no address may do nothing', () => {
  assert.equal(verdict('::ffff:192.0.2.17', false), 'yes')
  assert.match(verdict('', true), /^530/)
  assert.match(verdict('unknown', true), /^530/)
})

test('without organisation.domains only this machine may send, whoever signs in', () => {
  assert.equal(verdict('127.0.0.1', false, undefined, open), 'yes')
  assert.match(verdict('192.0.2.1', true, undefined, open), /^550 5\.7\.1 .*organisation\.domains/)
  assert.match(verdict('203.0.113.1', true, 'anna', open), /^550 5\.7\.1/)
  assert.equal(open.refuseSender(open.client('127.0.0.1'), 'a@anywhere.example'), undefined)
  assert.equal(open.refuseSender(open.client('192.0.2.1'), 'a@anywhere.example')?.code, 550)
})

test('the sender is judged by its exact domain', () => {
  const sender = (address: string) => rules.refuseSender(rules.client('127.0.0.1'), address)?.code ?? 'yes'
  assert.equal(sender('anna@lab.example'), 'yes')
  assert.equal(sender('anna@xn--bcher-kva.example'), 'yes')
  for (const foreign of [
    'anna@lab.example.org',
    'anna@sub.lab.example',
    'anna@notlab.example',
    '"x@lab.example"@evil.example',
    'a@[127.0.0.1]',
  ])
    assert.equal(sender(foreign), 550, foreign)
})
