import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { outsiders } from '../../src/routing/outsiders.ts'
import { policyOf } from './world.ts'

const policy = policyOf(`version: 1
rules:
  - name: a
    when: { is: dsn }
    deliver: [tls, { hold: { approvers: [head@org.example, x@lab.example] } }]
  - name: b
    when: { is: calendar }
    deliver: [tls]
    also-to: [journal@org.example, y@lab.example]
default:
  deliver: [tls]
  also-to: z@sub.org.example
`)

describe('addresses that learn of mail of others', () => {
  test('are refused with their place when they are not of the organisation', () =>
    assert.deepEqual(
      outsiders(policy, ['org.example']).map(({ line, column, text }) => `${line}:${column}: ${text}`),
      [
        '5:22: approver x@lab.example is no address of the organisation',
        '6:5: also-to: y@lab.example is no address of the organisation',
        '10:1: also-to: z@sub.org.example is no address of the organisation',
      ],
    ))
  test('cannot be judged before the organisation has domains', () => assert.deepEqual(outsiders(policy, []), []))
})
