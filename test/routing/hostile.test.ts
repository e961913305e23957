import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { methods } from '../../src/methods/index.ts'
import { lint } from '../../src/routing/lint.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import { policyOf, problemsOf } from './world.ts'

const last = 'default: { deliver: [tls, escrow] }\n'
const times = (count: number, piece: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => piece(index)).join('')
// Not a stopwatch: what blows up does not end at all, and the limit says so.
const limit = { timeout: 60_000 }

describe('a text that is meant to hurt is refused before it can', () => {
  const tooMany = /more than 100000 words, signs and lines/
  const hostile: readonly (readonly [string, string, RegExp])[] = [
    ['2 MiB', `# ${'x'.repeat(2 * 1024 * 1024)}`, /at most 1048576 \(1 MiB\)/],
    ['brackets in brackets', '['.repeat(500_000), /nested too deeply/],
    ['mappings in mappings', '{a: '.repeat(200_000), /nested too deeply/],
    ['lists in lists on one line', '- '.repeat(300_000), /nested too deeply/],
    ['explicit keys in keys', '? '.repeat(300_000), /nested too deeply/],
    ['ever deeper indentation', times(1000, (depth) => `${' '.repeat(depth)}a:\n`), /nested too deeply/],
    ['keys behind what is no key, a level for each line', `${'"a"a : \n \n '.repeat(5000)}x: 1\n- `, /not valid YAML: unexpected scalar/],
    ['brackets that close nothing', `version: 1\n${']'.repeat(1_000_000)}`, /"\]" closes nothing/],
    ['one key two hundred thousand times', 'a: 1\n'.repeat(200_000), tooMany],
    ['a list of nothing', `[${','.repeat(1_000_000)}]`, tooMany],
    ['a list of words in quotes', `[${'"",'.repeat(300_000)}]`, tooMany],
    ['nothing but comments', '#\n'.repeat(500_000), tooMany],
    ['nothing but lines', '\n'.repeat(1_000_000), tooMany],
    ['aliases of aliases', `a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]`, /anchors/],
    ['merge keys', 'a: &a { b: 1 }\nc: { <<: *a }', /anchors/],
    ['documents', '---\n'.repeat(200_000), /a second document begins here/],
  ]
  for (const [what, text, message] of hostile)
    test(what, limit, () => {
      const problems = problemsOf(text)
      assert.match(problems[0]?.text ?? '', message)
      assert.ok(problems.length <= 50)
    })
})

describe('of thousands of mistakes', () => {
  const many: readonly (readonly [string, string, RegExp])[] = [
    ['tags', times(20_000, (i) => `k${i}: !t 1\n`), /tags/],
    ['quotes that are not closed', `rules:\n${'- "a\n'.repeat(20_000)}`, /not valid YAML/],
    ['tabs', `rules:\n${times(10_000, (i) => `\t- a${i}: 1\n`)}`, /tab/i],
    ['keys that are unknown', times(20_000, (i) => `k${i}: 1\n`), /policy key "k0" is unknown/],
    [
      'groups that are unknown beside thousands that are known',
      `version: 1\ngroups:\n${times(3000, (i) => `  ${'b'.repeat(50)}${i}: [a.example]\n`)}rules:\n${times(1000, (i) => `  - { name: r${i}, when: { to: [${times(10, () => 'group:bamk, ')}] }, deliver: [tls] }\n`)}`,
      /group "bamk" is unknown/,
    ],
    [
      'rules that are unknown beside thousands that are known',
      `version: 1\nrules:\n${times(2000, (i) => `- { name: ${'n'.repeat(50)}${i}, when: { is: dsn }, deliver: [tls] }\n`)}${last}tests:\n  - { invariant: never-plaintext, except: [${'x, '.repeat(15_000)}] }\n`,
      /rule "x" is unknown/,
    ],
  ]
  for (const [what, text, message] of many)
    test(`${what}: the first fifty are shown`, limit, () => {
      const problems = problemsOf(text)
      assert.match(problems[0]?.text ?? '', message)
      assert.equal(problems.length, 50)
    })

  test('more rules, tests and overrides than are read are refused', () => {
    const rules = times(2001, (i) => `  - { name: r${i}, when: { is: dsn }, deliver: [tls] }\n`)
    const tests = times(2001, () => '  - { from: a@b.example, to: c@d.example, expect: tls }\n')
    const overrides = times(2001, () => '  - { to: d.example, prefer: pgp, reason: r, until: 2027-01-01 }\n')
    const refused = (text: string) => problemsOf(`version: 1\n${last}${text}`)[0]?.text ?? ''
    assert.match(refused(`rules:\n${rules}`), /2001 rules; at most 2000/)
    assert.match(refused(`tests:\n${tests}`), /2001 tests; at most 2000/)
    assert.match(refused(`overrides:\n${overrides}`), /2001 overrides; at most 2000/)
  })

  test('a key called __proto__ is an unknown key like any other', () => {
    const text = `version: 1\nrules: [{ name: a, when: { is: dsn }, deliver: [{ tls: { __proto__: { level: encrypted } } }] }]\n${last}`
    assert.match(problemsOf(text)[0]?.text ?? '', /"__proto__" is unknown/)
    assert.match(problemsOf('version: 1\n__proto__: { rules: [] }\n')[0]?.text ?? '', /"__proto__" is unknown/)
  })

  test('a schema that forgets to refuse unknown options does not open a way for them', () => {
    const loose = { ...methods, pgp: { ...methods.pgp, options: z.object({ trust: z.string().optional() }) } }
    const text = `version: 1\ndefault: { deliver: [{ pgp: { armour: no } }] }\n`
    assert.equal(parsePolicy(text, loose).kind, 'errors')
  })
})

describe('a policy as large as one may be is read', () => {
  const head = 'version: 1\n'
  const large: readonly (readonly [string, string, (policy: ReturnType<typeof policyOf>) => number, number])[] = [
    [
      '1,500 rules and as many tests',
      `${head}rules:\n${times(1500, (i) => `  - { name: r${i}, when: { to: [d${i}.example, e] }, deliver: [tls, pgp, escrow] }\n`)}${last}tests:\n${times(1500, (i) => `  - { from: a@org.example, to: b@d${i}.example, given: { tls: none, pgp: true }, expect: pgp }\n`)}`,
      ({ rules, tests }) => rules.length + tests.length,
      3000,
    ],
    [
      '2,000 rules',
      `${head}rules:\n${times(2000, (i) => `  - name: r${i}\n    # why it stands here\n    when: { to: d${i}.example, from: "*.org.example" }\n    deliver: [{ tls: { level: authenticated } }, pgp, escrow]\n\n`)}${last}`,
      ({ rules }) => rules.length,
      2000,
    ],
    [
      'a group of 30,000 addresses, one a line',
      `${head}groups:\n  partners:\n${times(30_000, (i) => `    - person${i}@partner.example\n`)}${last}`,
      ({ groups }) => groups[0]?.members.address.size ?? 0,
      30_000,
    ],
    [
      'six detectors of 5,000 words each',
      `${head}detectors:\n${times(6, (i) => `  d${i}: { words: [${times(5000, (j) => `w${i}x${j}, `)}] }\n`)}${last}`,
      ({ detectors }) => detectors.flatMap(({ words }) => words).length,
      30_000,
    ],
  ]
  for (const [what, text, count, expected] of large)
    test(what, limit, () => {
      assert.ok(Buffer.byteLength(text) <= 1024 * 1024, `${text.length}`)
      assert.equal(count(policyOf(text)), expected)
    })
})

describe('checking patterns has a bound', () => {
  const dear: readonly (readonly [what: string, pattern: string])[] = [
    ['match empty text in thousands of ways', '(?:a?){390}'],
    ['hold large classes', `${'\\\\pL'.repeat(100)}(?=`],
    ['name a range of many letters', '[é-\ufff0]'],
    ['repeat what is like itself', '((\\\\pL{31}){32}){1}'],
  ]
  for (const [what, pattern] of dear)
    test(`also of patterns that ${what}`, limit, () => {
      const count = Math.min(200, Math.floor(900_000 / 200 / (pattern.length + 4)))
      const problems = problemsOf(
        `version: 1\ndetectors:\n${times(200, (i) => `  d${i}: { patterns: [${`"${pattern}", `.repeat(count)}] }\n`)}`,
      )
      assert.ok(problems.length > 0)
    })
})

describe('comparing rules with each other has a bound', () => {
  const equal = (count: number, when: (index: number) => string) =>
    policyOf(
      `version: 1\ngroups:\n${times(2, (i) => `  g${i}: [${times(9000, (j) => `person${j}@partner.example, `)}]\n`)}rules:\n${times(count, (i) => `  - { name: r${i}, when: ${when(i)}, deliver: [tls] }\n`)}${last}`,
    )
  test('and lint says from which rule on it did not look', limit, () => {
    const found = lint(
      equal(1500, (i) => `{ to: group:g${i % 2}, from: a${i}@org.example }`),
      0,
    )
    const [told, more] = found.filter(({ text }) => /too many to compare/.test(text))
    assert.match(
      told?.text ?? '',
      /of rule "r\d+" and those behind it, it was not looked whether an earlier rule matches all its mail first/,
    )
    assert.ok((told?.line ?? 0) > 6)
    assert.equal(more, undefined)
  })

  test('and what it said before stands', limit, () => {
    const found = lint(
      equal(1500, (i) => (i === 3 ? '{ to: group:g1 }' : `{ to: group:g${i % 2}, from: a${i}@org.example }`)),
      0,
    )
    assert.match(found.find(({ text }) => /never reached/.test(text))?.text ?? '', /rule "r4" is never reached|rule "r5" is never reached/)
  })

  test('that a usual policy of hundreds of rules does not reach: a rule is compared with the very first', () => {
    const policy = policyOf(
      `version: 1\nrules:\n${times(900, (i) => `  - { name: r${i}, when: { to: ${i === 899 ? 'd0' : `d${i}`}.example }, deliver: [tls] }\n`)}${last}`,
    )
    const found = lint(policy, 0).map(({ text }) => text)
    assert.ok(found.includes('rule "r899" is never reached: rule "r0" in line 3 matches all its mail first'), found.join('\n'))
    assert.ok(!found.some((text) => /too many/.test(text)))
  })

  test('nor does that which looks for laxer ways of what cannot be looked into', () => {
    const policy = policyOf(
      `version: 1\nrules:\n  - { name: found, when: { from: org.example, not: { detect: iban } }, deliver: [tls] }\n${times(900, (i) => `  - { name: r${i}, when: { to: d${i}.example }, deliver: [tls] }\n`)}  - { name: lax, when: { from: org.example }, deliver: [{ tls: { level: encrypted } }] }\n${last}`,
    )
    assert.ok(lint(policy, 0).some(({ text }) => /it goes by rule "lax", which asks less than rule "found"/.test(text)))
  })

  test('trying each override on each rule has one too, and lint says of which it is not known', limit, () => {
    const policy = policyOf(
      `version: 1\nrules:\n${times(500, (i) => `  - { name: r${i}, when: { to: d${i}.example }, deliver: [{ tls: { patience: ${i + 1}m } }] }\n`)}${last}overrides:\n${times(500, (i) => `  - { to: x@lab${i}.example, prefer: pgp, reason: asked, until: 2027-12-31 }\n`)}`,
    )
    const found = lint(policy, 0)
    assert.ok(found.some(({ text }) => /^the override for x@lab0.example changes nothing/.test(text)))
    const told = found.filter(({ text }) =>
      /the overrides are too many to be tried on all rules: of the one for x@lab\d+.example and those behind/.test(text),
    )
    assert.equal(told.length, 1)
    assert.equal(found.filter(({ line }) => line > (told[0]?.line ?? 0)).length, 0)
  })
})
