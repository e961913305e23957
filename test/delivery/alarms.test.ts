import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alarmsOf } from '../../src/delivery/alarms.ts'
import type { Planned } from '../../src/delivery/settlement.ts'
import type { Outcome } from '../../src/mail/outcome.ts'
import type { StepResult } from '../../src/mail/plan.ts'
import { verdict } from '../../src/transport/verdict.ts'

const hour = 3_600_000
const times = { need: 'forced', soft: hour, ratchet: 4 * hour, enforced: 24 * hour, patience: undefined } as const
const broken = { row: 'starttls-not-offered', text: 'mx.a.example offers no STARTTLS', evidence: {} } as const
const suspicion: StepResult = { method: 'tls', result: 'unsuitable', reason: 'downgrade-suspected', text: 'TLS is gone', evidence: {} }
const bounced: Outcome & { kind: 'failed' } = {
  kind: 'failed',
  reason: 'downgrade-suspected',
  text: 'no way',
  status: '5.7.0',
  evidence: {},
}

/** An ending; `known` is what stood in the database before. */
const ending = (
  outcome: Planned['outcome'],
  more: { earlier?: StepResult[]; known?: StepResult[]; stepAttempts?: number } = {},
): Planned => {
  const plan = { revision: 1, fingerprint: 'f', rule: { name: 'r', line: 1 }, steps: [], trace: [] }
  const { earlier = [], known = [], stepAttempts = 1 } = more
  return {
    recipient: {
      ...{ id: 'a', address: 'a@a.example', notify: [], bcc: false, step: 0, stepSince: 0, attempts: 0, stepAttempts: 0 },
      ...{ delayNoticed: false, inDoubt: false, returning: false, fence: 1, unended: 0 },
      frozen: { plan, earlier: known, waits: [] },
    },
    ...{ step: 0, method: 'tls', answer: undefined, stepSince: 0, waits: [], nextAttemptAt: undefined, plan, frozen: undefined },
    ...{ outcome, earlier, stepAttempts },
  }
}
const waiting = (published: 'none' | 'ratchet' | 'sts-enforce' | 'dane') => verdict(broken, { ...times, published }) as Planned['outcome']

test('a suspected downgrade is told when the mail stops waiting, once for all recipients, and not again later', () => {
  const fresh = ending(bounced, { earlier: [suspicion] })
  assert.deepEqual(alarmsOf('a.example', [fresh, fresh]), [
    { action: 'domain.downgrade-suspected', domain: 'a.example', reason: 'downgrade-suspected', text: 'TLS is gone' },
  ])
  assert.deepEqual(alarmsOf('a.example', [ending(bounced, { earlier: [suspicion], known: [suspicion] })]), [])
})

test('a policy that its own domain does not meet is told at the first attempt, not at each', () => {
  for (const published of ['sts-enforce', 'dane'] as const) {
    const [alarm] = alarmsOf('a.example', [ending(waiting(published))])
    assert.deepEqual([alarm?.action, alarm?.reason], ['domain.policy-failed', 'starttls-not-supported'])
    assert.deepEqual(alarmsOf('a.example', [ending(waiting(published), { stepAttempts: 2 })]), [])
  }
})

test('what only waits, or never promised anything, alarms nobody', () => {
  assert.deepEqual(alarmsOf('a.example', [ending(waiting('ratchet'))]), [])
  const unreachable = verdict({ ...broken, row: 'unreachable' }, { ...times, published: 'dane' }) as Planned['outcome']
  assert.deepEqual(alarmsOf('a.example', [ending(unreachable)]), [])
})
