/** Properties of the language and of the plan that must hold for any policy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { methods } from '../../src/methods/index.ts'
import { judge } from '../../src/routing/match.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import { plan, undecided } from '../../src/routing/plan.ts'
import type { Policy } from '../../src/routing/policy.ts'
import { printPolicy } from '../../src/routing/print.ts'
import { relevantTo } from '../../src/routing/relevant.ts'
import { facts, rule, text } from './any-policy.ts'
import { policyOf } from './world.ts'

/** Without places and fingerprints: what a policy means. Of two ways to write one thing (a list of one), the meaning is the same. */
const meaning = (policy: Policy) =>
  JSON.parse(
    JSON.stringify(policy, (key, value) =>
      ['line', 'column', 'fingerprint'].includes(key) ? undefined : value instanceof Map ? [...value.keys()] : value,
    ),
  )

test('any policy that parses prints to a text that parses to the same policy', () =>
  fc.assert(
    fc.property(text, (source) => {
      const policy = policyOf(source)
      const printed = printPolicy(policy)
      assert.deepEqual(meaning(policyOf(printed)), meaning(policy), printed)
      assert.equal(printPolicy(policyOf(printed)), printed)
    }),
    { numRuns: 200 },
  ))

test('the rule that decides matches, and no rule before it does', () =>
  fc.assert(
    fc.property(text, facts, (source, given) => {
      const policy = policyOf(source)
      const { rule: decided } = plan(policy, given)
      const first = policy.rules.find(({ when }) => judge(when, given, policy).matched)
      assert.equal(decided.name, first?.name ?? 'default')
    }),
    { numRuns: 300 },
  ))

test('a rule added at the end changes no decision that a rule made before', () =>
  fc.assert(
    fc.property(text, rule, facts, (source, [when, more], given) => {
      const before = policyOf(source)
      const decided = plan(before, given)
      if (decided.rule.name === 'default') return
      const added = stringify({ name: 'added', when, ...more }, { aliasDuplicateObjects: false })
      const after = policyOf(printPolicy({ ...before, rules: [...before.rules, ...policyOf(ruleAlone(added)).rules] }))
      assert.deepEqual(
        { name: plan(after, given).rule.name, steps: plan(after, given).steps },
        { name: decided.rule.name, steps: decided.steps },
      )
    }),
    { numRuns: 200 },
  ))

const ruleAlone = (yaml: string) =>
  `version: 1\ngroups: { g: [lab.example, eva@uni.example], heads: [head@org.example, hr@org.example] }\ndetectors: { mine: { words: [Project X] } }\nrules:\n  - ${yaml.trimEnd().replaceAll('\n', '\n    ')}\n`

test('what a simulation leaves out of stored facts changes no plan', () =>
  fc.assert(
    fc.property(text, text, facts, (source, other, given) => {
      const [policy, under] = [policyOf(source), policyOf(other)]
      const relevant = relevantTo(policy)(given, policy)
      const { rule, steps, alsoTo } = plan(policy, relevant)
      const whole = plan(policy, given)
      assert.deepEqual({ rule, steps, alsoTo }, { rule: whole.rule, steps: whole.steps, alsoTo: whole.alsoTo })
      assert.deepEqual(undecided(policy, relevant), undecided(policy, given))
      // The generator's detectors are the same in every policy.
      assert.deepEqual(relevantTo(policy)(given, under), relevant)
    }),
    { numRuns: 300 },
  ))

test('no text makes the parser throw', () =>
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 300 }), mangled()), (source) => {
      assert.ok(['policy', 'errors'].includes(parsePolicy(source, methods).kind))
    }),
    { numRuns: 300 },
  ))

/** A policy in which some lines were cut, doubled or swapped. */
function mangled(): fc.Arbitrary<string> {
  return fc.tuple(text, fc.array(fc.nat(), { maxLength: 6 })).map(([source, cuts]) => {
    const lines = source.split('\n')
    for (const cut of cuts) {
      const at = cut % lines.length
      const line = lines[at] ?? ''
      if (cut % 3 === 0) lines.splice(at, 1)
      else if (cut % 3 === 1) lines.splice(at, 0, line)
      else lines[at] = line.slice(0, (cut >> 3) % (line.length + 1))
    }
    return lines.join('\n')
  })
}
