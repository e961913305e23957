import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Evidence } from '../../src/mail/outcome.ts'
import type { StepResult } from '../../src/mail/plan.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { lintHistory } from '../../src/routing/lint-history.ts'
import { factsOf, policyOf } from './world.ts'

const settings = defaultSettings({})
const nowhere = { probed: new Map(), verifiedAt: new Map(), keys: new Map() }
const then = policyOf('version: 1\ndefault:\n  deliver: [tls, escrow]\n')
const policy = policyOf(`version: 1
rules:
  - name: banks
    when: { to: [bank.example, other.example] }
    deliver: [{ tls: { level: dane } }, escrow]
default:
  deliver: [tls, escrow]
`)
const tls = (result: StepResult['result'], reason: StepResult['reason'], evidence: Evidence = {}): StepResult[] => [
  { method: 'tls', result, reason, text: '', evidence },
]
const byTls = (identity: string) => tls('delivered', null, { identity, protocol: 'TLSv1.3' })

function warnings(decisions: readonly (readonly [to: string, steps: readonly StepResult[]])[]): string[] {
  const lint = lintHistory(policy, () => then, nowhere, settings)
  for (const [recipient, steps] of decisions) lint.add({ at: 1, revision: 1, facts: factsOf({ recipient }), steps })
  return lint.warnings('90 days').map(({ line, text }) => `${line}: ${text}`)
}

test('a level that no partner of its rule has met is told with its place and its counts', () => {
  assert.deepEqual(
    warnings([
      ['x@bank.example', byTls('webpki')],
      ['y@bank.example', byTls('webpki')],
      ['z@other.example', tls('unsuitable', 'starttls-not-supported')],
      ['a@lab.example', byTls('webpki')],
    ]),
    ['5: rule "banks" asks for tls dane, which none of its 2 domains has met in 90 days (3 decisions)'],
  )
})

test('one partner that met it is enough, and what says nothing of TLS is not held against it', () => {
  assert.deepEqual(
    warnings([
      ['x@bank.example', byTls('webpki')],
      ['z@other.example', byTls('dane')],
    ]),
    [],
  )
  assert.deepEqual(
    warnings([
      ['x@bank.example', tls('deferred', 'unreachable', { row: 'unreachable' })],
      ['z@other.example', tls('unsuitable', 'message-too-large')],
    ]),
    [],
  )
  assert.deepEqual(warnings([]), [])
})
