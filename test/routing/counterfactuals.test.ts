import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StepResult } from '../../src/mail/plan.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { counterfactuals, type Went, type WouldBe } from '../../src/routing/counterfactuals.ts'
import type { PlanFacts } from '../../src/routing/facts.ts'
import { foretell, keyed, type Side } from '../../src/routing/foretell.ts'
import { plan } from '../../src/routing/plan.ts'
import type { Policy } from '../../src/routing/policy.ts'
import { seenSide } from '../../src/routing/seen.ts'
import { witnessOf } from '../../src/routing/simulate.ts'
import { factsOf, policyOf } from './world.ts'

const settings = defaultSettings({})
const around = { probed: new Map(), verifiedAt: new Map(), keys: new Map() }
const step = (method: string, result: StepResult['result'], reason: StepResult['reason'] = null): StepResult => ({
  method,
  result,
  reason,
  text: '',
  evidence: result === 'delivered' && method === 'tls' ? { identity: 'webpki', protocol: 'TLSv1.3' } : {},
})

const text = `version: 1
rules:
  - { name: portal, when: { subject-tag: portal }, deliver: [escrow] }
  - { name: cards, when: { detect: payment-card }, deliver: [{ tls: { level: dane } }, escrow] }
  - { name: private, when: { header: { Sensitivity: private } }, deliver: [escrow] }
  - { name: large, when: { size: { over: 1MiB } }, deliver: [escrow] }
default:
  deliver: [tls, pgp, smime, escrow]
`
const policy = policyOf(text)
const refusedAll = [
  step('tls', 'unsuitable', 'certificate-expired'),
  step('pgp', 'unsuitable', 'no-key'),
  step('smime', 'unsuitable', 'no-certificate'),
  step('escrow', 'delivered'),
]

const went = (facts: PlanFacts, steps: readonly StepResult[], method: string): Went => ({
  ...{ facts, steps, method, policy, around, settings },
  planned: plan(policy, facts).steps,
})
const quiet = { headers: { sensitivity: [] }, detected: { 'payment-card': 0 }, size: 1000 }
const letter = went(factsOf(quiet), refusedAll, 'escrow')

/** What the mail becomes with other facts, another side, or an override written into the policy's text. */
function becomes({ facts, steps, planned }: Went, change: { facts?: PlanFacts; side?: Partial<Side>; policy?: Policy }): string {
  const side = { ...seenSide(witnessOf({ facts, steps }, planned, around, settings), settings), ...change.side }
  return foretell(plan(change.policy ?? policy, change.facts ?? facts).steps, side, settings).method
}
const served = () => ({ kind: 'served', assurance: 'verified', clear: false }) as const
const withOverride = (words: string) =>
  policyOf(`${text}overrides:\n  - { to: max@lab.example, ${words}, reason: test, until: 2999-01-01 }\n`)

describe('what would have changed the way of a message', () => {
  test('is what repairs, keys and overrides really make of a letter', () => {
    const told = counterfactuals(letter, true)
    assert.deepEqual(told, [
      { method: 'tls', if: 'lab.example renews its certificate' },
      { method: 'pgp', if: 'a PGP key for max@lab.example is imported (letterlock keys pgp import FILE)' },
    ] satisfies WouldBe[])
    assert.deepEqual(
      [becomes(letter, { side: { tls: served } }), becomes(letter, { side: { pgp: () => keyed('pgp', true) } })],
      told.map(({ method }) => method),
    )
  })

  test('is what another subject tag really makes of mail that went by TLS', () => {
    const byTls = went(
      factsOf(quiet),
      [step('tls', 'delivered'), ...['pgp', 'smime', 'escrow'].map((name) => step(name, 'not-tried'))],
      'tls',
    )
    const told = counterfactuals(byTls, true)
    assert.deepEqual(told, [{ method: 'escrow', if: 'the subject carries [portal] (rule "portal", line 3)' }])
    assert.equal(becomes(byTls, { facts: factsOf({ ...quiet, subjectTags: ['portal'] }) }), 'escrow')
  })

  test('is a way that an override would prefer to the one that served', () => {
    const byPgp = went(
      factsOf(quiet),
      [refusedAll[0] ?? step('tls', 'unsuitable'), step('pgp', 'delivered'), step('smime', 'not-tried')],
      'pgp',
    )
    const told = counterfactuals(byPgp, true).find(({ if: words }) => words.endsWith('prefers escrow'))
    assert.deepEqual([told?.method, becomes(byPgp, { policy: withOverride('prefer: escrow') })], ['escrow', 'escrow'])
  })

  test('is what the message really becomes without what its rule asked for', () => {
    const probed = { ...around, probed: new Map([['lab.example', { posture: 'verified' as const, reason: null }]]) }
    const cases: [PlanFacts, PlanFacts, string][] = [
      [factsOf({ ...quiet, subjectTags: ['portal'] }), factsOf(quiet), 'the subject does not carry [portal]'],
      [factsOf({ ...quiet, headers: { sensitivity: ['private'] } }), factsOf(quiet), 'the header Sensitivity is not there'],
      [factsOf({ ...quiet, size: 2 ** 21 }), factsOf(quiet), 'the message has at most 1048576 bytes'],
    ]
    for (const [facts, without, words] of cases) {
      const mail = { ...went(facts, [step('escrow', 'delivered')], 'escrow'), around: probed }
      assert.deepEqual(counterfactuals(mail, true)[0], { method: 'tls', if: `${words} (rule "default", line 7)` })
      const side = seenSide(witnessOf(mail, mail.planned, probed, settings), settings)
      assert.equal(foretell(plan(policy, without).steps, side, settings).method, 'tls')
    }
    const card = went(
      factsOf({ ...quiet, detected: { 'payment-card': 1 } }),
      [step('tls', 'unsuitable', 'assurance-too-low'), step('escrow', 'delivered')],
      'escrow',
    )
    const told = counterfactuals({ ...card, around: probed }, true)
    assert.equal(
      told.find((one) => one.if.startsWith('no payment-card')),
      undefined,
      'what its host proves below dane was not recorded',
    )
  })

  test('is no other rule where no rule decided how it went, and never a guess', () => {
    assert.deepEqual(
      counterfactuals(letter, false).map(({ if: words }) => words),
      counterfactuals(letter, true)
        .slice(0, 2)
        .map(({ if: words }) => words),
    )
    const unseen = went(factsOf({ ...quiet, subjectTags: ['portal'] }), [step('escrow', 'delivered')], 'escrow')
    assert.deepEqual(counterfactuals(unseen, true), [], 'nothing was seen of its TLS')
  })

  test('is the same method for mail that waits, once the host is back', () => {
    const down = went(factsOf(quiet), [step('tls', 'deferred', 'unreachable'), step('pgp', 'not-tried')], 'tls')
    assert.deepEqual(counterfactuals(down, false), [{ method: 'tls', if: 'the mail host of lab.example accepts mail again' }])
  })
})
