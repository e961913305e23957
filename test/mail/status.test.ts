import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeStatus, isStatus, statusIn, withClass } from '../../src/mail/status.ts'

test('a status code is found at the start of a reply only', () => {
  assert.equal(statusIn('5.1.1 no such user'), '5.1.1')
  assert.equal(statusIn('4.7.500 slow down'), '4.7.500')
  for (const text of ['no such user 5.1.1', '10.5.1.1 is blocked', '5.1', '3.1.1 x', '5.1.1.1 x', ''])
    assert.equal(statusIn(text), undefined, text)
})

test('known details are told in words, unknown ones by their subject or class', () => {
  assert.equal(describeStatus('5.1.1'), 'the mailbox does not exist')
  assert.equal(describeStatus('4.2.2'), 'the mailbox is full')
  assert.equal(describeStatus('5.7.999'), 'a security rule stands in the way')
  assert.equal(describeStatus('5.9.9'), 'the message was refused')
  assert.equal(describeStatus('4.9.9'), 'a passing fault')
  assert.equal(describeStatus('2.1.5'), 'the message was accepted')
})

test('TLS that fails is not said to be forbidden by a rule: the channel is not safe enough', () => {
  assert.equal(describeStatus('4.7.0'), 'a security rule stands in the way')
  assert.equal(describeStatus('4.7.10'), 'encryption is needed')
})

test('a passing fault becomes a lasting one in the same words', () => {
  assert.equal(withClass('4.4.1', 5), '5.4.1')
  assert.equal(withClass('nonsense', 5), '5.0.0')
  assert.equal(isStatus('5.1.10'), true)
  assert.equal(isStatus('5.1.10 x'), false)
})
