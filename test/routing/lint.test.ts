import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { lint } from '../../src/routing/lint.ts'
import { policyOf } from './world.ts'

const clear = '{ opportunistic: { i-understand: may travel unencrypted } }'
/** What is said of tests has a test of its own below. */
const warnings = (text: string) => all(text).filter((line) => !/no tests?\b/.test(line))
const now = Date.parse('2026-05-01T00:00:00Z')
const all = (text: string) => lint(policyOf(text), now).map(({ line, text }) => `${line}: ${text}`)
const rulesOf = (...list: readonly string[]) =>
  `version: 1\ngroups: { banks: [a.example, b.example] }\nrules:\n  - { name: used, when: { to: group:banks, subject-tag: [x] }, deliver: [tls] }\n${list.map((rule) => `  - ${rule}\n`).join('')}default: { deliver: [tls] }\n`

describe('lint', () => {
  test('has nothing to say of the default policy', () => assert.deepEqual(warnings(defaultPolicyText), []))

  test('shows a group that no rule uses', () =>
    assert.deepEqual(
      warnings(
        'version: 1\ngroups:\n  a: [x.example]\n  b: [y.example]\nrules: [{ name: r, when: { not: { to: group:b } }, deliver: [tls] }]\ndefault: { deliver: [tls] }\n',
      ),
      ['3: group "a" is used by no rule'],
    ))

  test('does not call a group unused that approves a hold', () =>
    assert.deepEqual(
      warnings('version: 1\ngroups: { heads: [a@org.example] }\ndefault: { deliver: [{ hold: { approvers: group:heads } }] }\n'),
      [],
    ))

  const shadowed: readonly (readonly [string, string, boolean])[] = [
    ['{ to: lab.example }', '{ to: max@lab.example }', true],
    ['{ to: lab.example }', '{ to: [max@lab.example, ann@lab.example] }', true],
    ['{ to: lab.example }', '{ to: [max@lab.example, ann@else.example] }', false],
    ['{ to: lab.example }', '{ to: "*.lab.example" }', false],
    ['{ to: "*.example" }', '{ to: lab.example }', true],
    ['{ to: "*.example" }', '{ to: "*.lab.example" }', true],
    ['{ to: lab.example }', '{ from: lab.example }', false],
    ['{ to: lab.example }', '{ to: lab.example, subject-tag: secure }', true],
    ['{ to: lab.example, subject-tag: secure }', '{ to: lab.example }', false],
    ['{ to: lab.example, subject-tag: secure }', '{ subject-tag: secure, to: max@lab.example, is: encrypted }', true],
    ['{ subject-tag: [secure, portal] }', '{ subject-tag: portal }', true],
    ['{ subject-tag: portal }', '{ subject-tag: [secure, portal] }', false],
    ['{ any: [{ to: lab.example }, { is: encrypted }] }', '{ to: lab.example }', true],
    ['{ to: "*.example" }', '{ any: [{ to: lab.example }, { to: bank.example }] }', true],
    ['{ to: "*.example" }', '{ any: [{ to: lab.example }, { is: encrypted }] }', false],
    ['{ not: { to: max@lab.example } }', '{ not: { to: lab.example } }', true],
    ['{ not: { to: lab.example } }', '{ not: { to: max@lab.example } }', false],
    ['{ to: group:banks }', '{ to: a.example }', true],
  ]
  for (const [wide, narrow, expected] of shadowed)
    test(`${narrow} after ${wide} ${expected ? 'is never' : 'may be'} reached`, () => {
      const found = warnings(rulesOf(`{ name: wide, when: ${wide}, deliver: [tls] }`, `{ name: narrow, when: ${narrow}, deliver: [pgp] }`))
      assert.deepEqual(found, expected ? ['6: rule "narrow" is never reached: rule "wide" in line 5 matches all its mail first'] : [])
    })

  const unreadable: readonly (readonly [string, string, string | undefined])[] = [
    // First the rules, then the default, then who would be laxer than whom.
    [`{ name: a, when: { detect: iban }, deliver: [${clear}] }`, '[tls, escrow]', 'rule "a", which asks less than default'],
    [
      '{ name: a, when: { detect: iban }, deliver: [tls, escrow] }',
      '[{ tls: { level: authenticated } }]',
      'rule "a", which asks less than default',
    ],
    ['{ name: a, when: { detect: iban }, deliver: [{ tls: { level: authenticated } }, escrow] }', '[tls, escrow]', undefined],
    ['{ name: a, when: { detect: iban }, deliver: [hold, tls] }', '[tls, escrow]', undefined],
    ['{ name: a, when: { detect: iban }, deliver: [bounce] }', '[escrow]', undefined],
    ['{ name: a, when: { not: { detect: iban } }, deliver: [tls, escrow] }', `[tls, ${clear}]`, 'default, which asks less than rule "a"'],
    [`{ name: a, when: { header-from: news@org.example, not: { detect: iban } }, deliver: [${clear}] }`, '[tls]', undefined],
    [
      `{ name: a, when: { to: max@lab.example, detect: iban }, deliver: [tls] }\n  - { name: b, when: { to: lab.example }, deliver: [escrow] }`,
      `[${clear}]`,
      'rule "a", which asks less than rule "b"',
    ],
    [
      `{ name: a, when: { detect: iban }, deliver: [escrow] }\n  - { name: b, when: { detect: us-ssn }, deliver: [${clear}] }`,
      '[tls]',
      'rule "b", which asks less than default',
    ],
    [
      `{ name: a, when: { any: [{ subject-tag: x }, { detect: iban }] }, deliver: [tls] }`,
      '[escrow]',
      'rule "a", which asks less than default',
    ],
    [`{ name: a, when: { subject-tag: x }, deliver: [tls] }`, '[escrow]', undefined],
  ]
  for (const [rules, last, expected] of unreadable)
    test(`of ${rules.replaceAll(clear, 'clear')} before ${last.replaceAll(clear, 'clear')} ${expected === undefined ? 'says nothing about' : 'warns of'} mail that cannot be looked into`, () => {
      const found = warnings(`version: 1\nrules:\n  - ${rules}\ndefault: { deliver: ${last} }\n`).filter((line) =>
        line.includes('looked into'),
      )
      assert.equal(found.length, expected === undefined ? 0 : 1, found.join('\n'))
      if (expected !== undefined) assert.ok(found[0]?.includes(`it goes by ${expected}, by which it goes when nothing is found`), found[0])
    })

  test('shows steps that are never tried, and the same step twice', () => {
    assert.deepEqual(warnings(rulesOf(`{ name: r, when: { to: lab.example }, deliver: [${clear}, escrow] }`)), [
      '5: escrow is never tried: opportunistic before it ends every delivery',
    ])
    assert.deepEqual(warnings(rulesOf('{ name: r, when: { to: lab.example }, deliver: [tls, pgp, tls] }')), [
      '5: tls stands in this list twice with the same options',
    ])
    assert.deepEqual(warnings(rulesOf('{ name: r, when: { to: lab.example }, deliver: [tls, pgp, { tls: { level: encrypted } }] }')), [])
  })

  test('shows what a policy without the sensible rules would do to automatic and encrypted mail', () => {
    const found = warnings('version: 1\ndefault: { deliver: [tls, pgp, escrow] }\n')
    assert.equal(found.length, 3)
    assert.match(found[0] ?? '', /automatic mail .* can become a letter/)
    assert.match(found.join(), /already encrypted/)
    assert.deepEqual(warnings('version: 1\ndefault: { deliver: [tls] }\n'), [])
  })

  test('shows a default that may send in clear, and a missing default', () => {
    assert.match(warnings(`version: 1\ndefault: { deliver: [tls, ${clear}] }\n`)[0] ?? '', /any mail may travel unencrypted/)
    assert.match(warnings('version: 1\nrules: [{ name: r, when: { to: lab.example }, deliver: [tls] }]\n')[0] ?? '', /no default/)
  })
})

describe('lint of a policy as a whole', () => {
  const base =
    'version: 1\nrules:\n  - { name: a, when: { to: a.example }, deliver: [tls, escrow] }\n  - { name: b, when: { to: b.example }, deliver: [tls] }\n'
  const rest = 'default: { deliver: [tls] }\n'
  const example = (to: string) => `{ from: ann@org.example, to: x@${to}, expect: tls }`

  test('shows the rules that no test decides on, and says once that there are no tests', () => {
    assert.deepEqual(all(`${base}${rest}`), ['3: the policy has no tests'])
    assert.deepEqual(all(`${base}${rest}tests: [${example('a.example')}]\n`), ['4: no test is decided by rule "b"'])
    assert.deepEqual(all(`${base}${rest}tests: [${example('a.example')}, ${example('b.example')}]\n`), [])
  })
  test('shows a detector that no rule uses', () =>
    assert.deepEqual(warnings(`version: 1\ndetectors: { mine: { words: [x] } }\n${rest}`), ['2: detector "mine" is used by no rule']))
  test('shows that mail is only observed', () => {
    assert.match(warnings(`version: 1\nobserve: true\n${rest}`).join(), /^1: observe: mail goes as it went before/)
    assert.match(warnings(`version: 1\ndefault: { deliver: [tls], observe: true }\n`).join(), /^2: default only observes/)
  })
  const overrides: readonly (readonly [string, RegExp])[] = [
    ['{ to: x@a.example, prefer: escrow, reason: r, until: 2026-04-30 }', /^6: the override for x@a.example ended on 2026-04-30$/],
    ['{ to: x@a.example, prefer: escrow, reason: r, until: 2026-05-03 }', /^6: the override for x@a.example ends on 2026-05-03$/],
    ['{ to: x@a.example, prefer: pgp, reason: r, until: 2027-04-30 }', /changes nothing: no rule has the steps that it names$/],
    [
      '{ to: a.example, never: escrow, reason: r, until: 2027-04-30 }',
      /forbids the portal, which is the last way of "a": mail that no step/,
    ],
  ]
  for (const [override, expected] of overrides)
    test(`shows that ${expected.source.slice(0, 60)}`, () =>
      assert.match(warnings(`${base}${rest}overrides: [${override}]\n`).join('\n'), expected))
  test('has nothing to say of an override that does something for a while', () =>
    assert.deepEqual(warnings(`${base}${rest}overrides: [{ to: a.example, prefer: escrow, reason: r, until: 2027-04-30 }]\n`), []))
})
