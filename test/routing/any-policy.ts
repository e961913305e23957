/** Any policy of the language, and any facts, for property tests. */
import fc from 'fast-check'
import { stringify } from 'yaml'
import type { PlanFacts } from '../../src/routing/facts.ts'
import { tlsWorlds, traits } from '../../src/routing/policy.ts'
import { factsOf } from './world.ts'

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
  'hold',
  { hold: { approvers: ['group:heads', 'zoe@org.example', 'hr@org.example'] } },
  { escrow: { proof: 'link', expires: '14d', languages: ['de', 'en'] } },
  { opportunistic: { 'i-understand': 'may travel unencrypted' } },
)
const ladder = fc.record(
  { deliver: several(step), 'also-to': some(['journal@org.example']), observe: fc.boolean() },
  { requiredKeys: ['deliver'] },
)
export const rule = fc.tuple(condition, ladder)
export const documented = fc
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
    groups: { g: ['lab.example', 'eva@uni.example'], heads: ['head@org.example', 'hr@org.example'] },
    detectors: { mine: { words: ['Project X'], patterns: ['a\\d+'], threshold: 2 }, iban: { threshold: 3 } },
    rules: rules.map(([when, more], index) => ({ name: `rule ${index}`, when, ...more })),
    ...rest,
  }))
export const text = documented.map((document) => stringify(document, { aliasDuplicateObjects: false }))

export const facts: fc.Arbitrary<PlanFacts> = fc
  .record({
    reversePath: fc.constantFrom('', 'srs0=ab=cd=lab.example=max@org.example', ...addresses),
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
