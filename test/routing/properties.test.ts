/** Properties of the language and of the plan that must hold for any policy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { methods } from '../../src/methods/index.ts'
import type { PlanFacts } from '../../src/routing/facts.ts'
import { judge } from '../../src/routing/match.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import { plan } from '../../src/routing/plan.ts'
import { type Policy, tlsWorlds, traits } from '../../src/routing/policy.ts'
import { printPolicy } from '../../src/routing/print.ts'
import { factsOf, policyOf } from './world.ts'

const domains = ['lab.example', 'uni.example', 'a.lab.example', 'org.example']
const addresses = ['max@lab.example', 'eva@uni.example', 'ann@org.example', 'x@a.lab.example']
const place = fc.constantFrom(...domains, ...addresses, '*.lab.example', 'group:g')
const several = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 3 })
const some = <T>(items: readonly T[]) => fc.uniqueArray(fc.constantFrom(...items), { minLength: 1, maxLength: 3 })

const leaf: fc.Arbitrary<object> = fc.oneof(
  several(place).map((to) => ({ to })),
  several(place).map((from) => ({ from })),
  several(place).map((one) => ({ 'header-from': one })),
  some(['secure', 'portal', 'x y']).map((tags) => ({ 'subject-tag': tags })),
  some(traits).map((is) => ({ is })),
  fc.record({ over: fc.integer({ min: 0, max: 1e9 }) }).map((size) => ({ size })),
  some(['iban', 'payment-card', 'mine']).map((detect) => ({ detect })),
  some(['erp', 'scanner']).map((names) => ({ 'authenticated-as': names })),
  some(['10.0.0.0/8', '192.0.2.1', '2001:db8::/32']).map((client) => ({ client })),
  fc.constantFrom<object>(
    { header: { Sensitivity: ['private', '1'] } },
    { header: { 'X-A': { contains: 'ü: "x"' } } },
    { header: { 'List-Id': { present: false } } },
  ),
)
const { condition } = fc.letrec<{ condition: object }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    several(tie('condition')).map((any) => ({ any })),
    several(tie('condition')).map((all) => ({ all })),
    several(tie('condition')).map((not) => ({ not })),
  ),
}))
const step = fc.constantFrom<unknown>(
  'tls',
  'pgp',
  'smime',
  'escrow',
  'bounce',
  { tls: { level: 'authenticated', patience: '1h', min: 1.3 } },
  { tls: { level: 'pinned', pin: ['ab'.repeat(32)] } },
  { pgp: { trust: 'direct' } },
  { escrow: { proof: 'link', expires: '14d', languages: ['de', 'en'] } },
  { opportunistic: { 'i-understand': 'may travel unencrypted' } },
)
const ladder = fc.record(
  { deliver: several(step), 'also-to': some(['journal@org.example']), observe: fc.boolean() },
  { requiredKeys: ['deliver'] },
)
const rule = fc.tuple(condition, ladder)
const documented = fc
  .record(
    {
      observe: fc.boolean(),
      rules: fc.array(rule, { maxLength: 6 }),
      default: ladder,
      overrides: fc.array(
        fc.record(
          {
            to: several(place),
            prefer: fc.constantFrom('pgp', 'tls'),
            never: some(['escrow', 'pgp']),
            reason: fc.constantFrom('asked', 'a: b'),
            until: fc.constantFrom('2026-12-31', '2030-01-01'),
          },
          { requiredKeys: ['to', 'never', 'reason', 'until'] },
        ),
        { maxLength: 3 },
      ),
      tests: fc.array(
        fc.record(
          {
            from: fc.constantFrom('<>', ...addresses),
            to: fc.constantFrom(...addresses),
            subject: fc.constantFrom('[secure] x', 'plain'),
            given: fc.record({ tls: fc.constantFrom(...tlsWorlds), pgp: fc.boolean() }),
            expect: fc.constantFrom('tls', 'bounce', 'clear', 'wait'),
          },
          { requiredKeys: ['from', 'to', 'expect'] },
        ),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: ['rules', 'default'] },
  )
  .map(({ rules, ...rest }) => ({
    version: 1,
    groups: { g: ['lab.example', 'eva@uni.example'] },
    detectors: { mine: { words: ['Project X'], patterns: ['a\\d+'], threshold: 2 }, iban: { threshold: 3 } },
    rules: rules.map(([when, more], index) => ({ name: `rule ${index}`, when, ...more })),
    ...rest,
  }))
const text = documented.map((document) => stringify(document, { aliasDuplicateObjects: false }))

const facts: fc.Arbitrary<PlanFacts> = fc
  .record({
    reversePath: fc.constantFrom('', ...addresses),
    recipient: fc.constantFrom(...addresses),
    headerFrom: fc.constantFrom(...addresses),
    subjectTags: fc.subarray(['secure', 'portal']),
    autoSubmitted: fc.boolean(),
    dsn: fc.boolean(),
    encrypted: fc.boolean(),
    signed: fc.boolean(),
    calendar: fc.boolean(),
    rightsManaged: fc.boolean(),
    forwarded: fc.boolean(),
    size: fc.integer({ min: 0, max: 1e9 }),
    client: fc.record({ address: fc.constantFrom('10.1.2.3', '192.0.2.1', '2001:db8::1'), authenticatedAs: fc.constantFrom(null, 'erp') }),
    headers: fc.constantFrom(
      { sensitivity: ['private'], 'x-a': [], 'list-id': ['x'] },
      { sensitivity: [], 'x-a': ['Ü: "X"'], 'list-id': [] },
    ),
    detected: fc.record({
      iban: fc.integer({ min: 0, max: 4 }),
      'payment-card': fc.integer({ min: 0, max: 2 }),
      mine: fc.integer({ min: 0, max: 3 }),
    }),
    at: fc.constantFrom(Date.parse('2026-06-01'), Date.parse('2029-06-01')),
  })
  .map((given) => factsOf(given))

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
  `version: 1\ngroups: { g: [lab.example, eva@uni.example] }\ndetectors: { mine: { words: [Project X] } }\nrules:\n  - ${yaml.trimEnd().replaceAll('\n', '\n    ')}\n`

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
