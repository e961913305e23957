import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { matchesDomain } from '../../src/mail/address.ts'
import { messageFacts } from '../../src/mail/facts.ts'
import { parseHeader } from '../../src/mail/header.ts'
import { methodNames, methods } from '../../src/methods/index.ts'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import { collectPatterns, readPattern, wordFor } from '../../src/routing/patterns.ts'
import { type PlanFacts, plan } from '../../src/routing/plan.ts'
import { factsOf, policyOf } from './world.ts'

const house = `version: 1
groups:
  banks: [bank-a.example]
rules:
  - name: banks
    when: { to: group:banks }
    deliver: [{ tls: { level: authenticated } }]
  - name: portal
    when: { subject-tag: portal }
    deliver: [escrow]
  - name: late
    when: { subject-tag: portal, to: lab.example }
    deliver: [pgp, bounce, escrow]
  - name: forbidden
    when: { to: never.example }
    deliver: [bounce]
default:
  deliver: [tls, pgp, smime, escrow]
`
const stepsOf = (text: string, facts: PlanFacts) => plan(policyOf(text), facts).steps.map(({ method }) => method)
const ruleOf = (facts: PlanFacts) => plan(policyOf(house), facts).rule

describe('plan', () => {
  test('takes the first rule that matches, with its line', () => {
    assert.deepEqual(ruleOf(factsOf({ recipient: 'a@bank-a.example', subjectTags: ['portal'] })), { name: 'banks', line: 5 })
    assert.deepEqual(ruleOf(factsOf({ subjectTags: ['portal'] })), { name: 'portal', line: 8 })
    assert.deepEqual(ruleOf(factsOf()), { name: 'default', line: 17 })
  })

  test('ends every ladder with the implied bounce, and goes no further than a written one', () => {
    assert.deepEqual(stepsOf(house, factsOf()), ['tls', 'pgp', 'smime', 'escrow', 'bounce'])
    assert.deepEqual(stepsOf(house, factsOf({ recipient: 'x@never.example' })), ['bounce'])
    const written = house.replace('subject-tag: portal }', 'subject-tag: other }')
    assert.deepEqual(stepsOf(written, factsOf({ subjectTags: ['portal'] })), ['pgp', 'bounce'])
  })

  test('freezes options that the method reads again, from JSON, as the same', () => {
    const deliver = `[{ tls: { level: pinned, pin: ["SHA256:${'AB'.repeat(32)}"], min: 1.3, patience: 4h } }, { tls: { level: authenticated, pin: [MX.lab.example] } },
      { pgp: { trust: direct } }, smime, { escrow: { proof: link, expires: 14d, subject: original, languages: [de] } }, { opportunistic: { i-understand: may travel unencrypted } }]`
    const { steps } = plan(policyOf(`version: 1\ndefault: { deliver: ${deliver} }\n`), factsOf())
    const frozen: typeof steps = JSON.parse(JSON.stringify(steps))
    assert.equal(frozen.length, 7)
    for (const { method, options } of frozen) {
      const name = methodNames.find((known) => known === method)
      if (name) assert.deepEqual(methods[name].options.parse(options), options, method)
      else assert.equal(method, 'bounce')
    }
  })

  test('carries the options as the method reads them, and nothing of the text', () => {
    const { steps } = plan(policyOf(house), factsOf({ recipient: 'a@bank-a.example' }))
    assert.deepEqual(steps, [
      { method: 'tls', options: { level: 'authenticated' } },
      { method: 'bounce', options: {} },
    ])
  })

  test('says of each rule it looked at why it matched or not', () => {
    assert.deepEqual(plan(policyOf(house), factsOf()).trace, [
      { name: 'banks', matched: false, because: 'no: to is lab.example' },
      { name: 'portal', matched: false, because: 'no: subject has no tag [portal]' },
      { name: 'late', matched: false, because: 'no: subject has no tag [portal]' },
      { name: 'forbidden', matched: false, because: 'no: to is lab.example' },
      { name: 'default', matched: true, because: 'yes: no rule before it matched' },
    ])
  })

  test('stamps revision and fingerprint of the policy', () => {
    const policy = { ...policyOf(house), revision: 7 }
    const { revision, fingerprint } = plan(policy, factsOf())
    assert.deepEqual([revision, fingerprint], [7, policy.fingerprint])
  })

  test('returns mail that no rule of a policy without default matches', () => {
    const made = plan(policyOf('version: 1\nrules: [{ name: a, when: { to: x.example }, deliver: [tls] }]\n'), factsOf())
    assert.deepEqual(made.steps, [{ method: 'bounce', options: {} }])
    assert.match(made.trace.at(-1)?.because ?? '', /no rule matched and the policy has no default/)
  })

  test('keeps the trace of a thousand rules short, and counts what it leaves out', () => {
    const rules = Array.from(
      { length: 1000 },
      (_, index) => `  - { name: r${index}, when: { to: x${index}.example }, deliver: [tls] }`,
    ).join('\n')
    const { trace } = plan(policyOf(`version: 1\nrules:\n${rules}\ndefault: { deliver: [tls] }\n`), factsOf())
    assert.equal(trace.length, 61)
    assert.deepEqual(trace[30], { name: '…', matched: false, because: 'no: 941 more rules' })
    assert.equal(trace.at(-1)?.name, 'default')
  })
})

describe('the default policy', () => {
  const methodsFor = (headers: string, reversePath = 'ann@org.example') =>
    stepsOf(defaultPolicyText, {
      reversePath,
      recipient: 'max@lab.example',
      mail: messageFacts(parseHeader(Buffer.from(headers.replaceAll('\n', '\r\n')))),
    })
  const clear = ['tls', 'opportunistic', 'bounce']

  test('serves ordinary mail by tls, pgp, smime, escrow', () =>
    assert.deepEqual(methodsFor('From: ann@org.example\nSubject: Results\n'), ['tls', 'pgp', 'smime', 'escrow', 'bounce']))
  test('never makes a letter of an out-of-office reply', () =>
    assert.deepEqual(methodsFor('From: ann@org.example\nAuto-Submitted: auto-replied\n', ''), clear))
  test('never makes a letter of a DSN', () =>
    assert.deepEqual(
      methodsFor('From: mailer-daemon@org.example\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\n', ''),
      clear,
    ))
  test('never puts mail that is already encrypted into a letter', () =>
    assert.deepEqual(
      methodsFor('From: ann@org.example\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x\n'),
      clear,
    ))
})

const word = fc.constantFrom('lab.example', 'bank-a.example', 'a.bank-a.example', 'never.example', 'org.example')
const address = fc.tuple(fc.constantFrom('ann', 'max', 'hr'), word).map(([local, domain]) => `${local}@${domain}`)
const anyFacts = fc
  .record({
    reversePath: fc.oneof(address, fc.constant('')),
    recipient: address,
    headerFrom: fc.oneof(address, fc.constant('')),
    subjectTags: fc.subarray(['portal', 'secure']),
    autoSubmitted: fc.boolean(),
    dsn: fc.boolean(),
    encrypted: fc.boolean(),
  })
  .map(factsOf)
const pattern = fc.oneof(
  address,
  word,
  word.map((domain) => `"*.${domain}"`),
)
const leaf = fc.oneof(
  fc
    .tuple(fc.constantFrom('from', 'header-from', 'to'), fc.array(pattern, { minLength: 1, maxLength: 3 }))
    .map(([key, list]) => `{ ${key}: [${list.join(', ')}] }`),
  fc.constantFrom('{ subject-tag: portal }', '{ subject-tag: [secure, portal] }', '{ is: auto-submitted }', '{ is: [dsn, encrypted] }'),
)
const when = fc.oneof(
  leaf,
  leaf.map((inner) => `{ not: ${inner} }`),
  fc
    .tuple(fc.constantFrom('any', 'all'), fc.array(leaf, { minLength: 1, maxLength: 3 }))
    .map(([key, list]) => `{ ${key}: [${list.join(', ')}] }`),
)
const ladder = fc.constantFrom('[tls]', '[escrow]', '[pgp, escrow]', '[bounce]')
const rules = fc.array(fc.tuple(when, ladder), { maxLength: 6 })
const textOf = (list: readonly (readonly [string, string])[]) =>
  `version: 1\nrules:\n${list.map(([condition, deliver], index) => `  - { name: r${index}, when: ${condition}, deliver: ${deliver} }\n`).join('')}default: { deliver: [tls, pgp] }\n`

describe('for every policy and every mail', () => {
  test('a rule added at the end changes no decision that an earlier rule made', () =>
    fc.assert(
      fc.property(rules, fc.tuple(when, ladder), anyFacts, (list, added, facts) => {
        const before = plan(policyOf(textOf(list)), facts)
        const after = plan(policyOf(textOf([...list, added])), facts)
        if (before.rule.name !== 'default')
          assert.deepEqual([after.rule, after.steps, after.trace], [before.rule, before.steps, before.trace])
        else assert.ok(after.rule.name === 'default' || after.rule.name === `r${list.length}`)
      }),
    ))

  test('the first rule that matches alone is the one that decides', () =>
    fc.assert(
      fc.property(rules, anyFacts, (list, facts) => {
        const alone = list.findIndex((rule) => plan(policyOf(textOf([rule])), facts).rule.name === 'r0')
        const { rule, trace } = plan(policyOf(textOf(list)), facts)
        assert.equal(rule.name, alone < 0 ? 'default' : `r${alone}`)
        assert.deepEqual(
          trace.map(({ matched }) => matched),
          [...trace.slice(1).map(() => false), true],
        )
      }),
    ))

  test('a ladder ends in exactly one bounce', () =>
    fc.assert(
      fc.property(rules, anyFacts, (list, facts) => {
        const { steps } = plan(policyOf(textOf(list)), facts)
        assert.equal(
          steps.findIndex(({ method }) => method === 'bounce'),
          steps.length - 1,
        )
      }),
    ))

  test('a domain pattern means what it means to the rest of the house', () =>
    fc.assert(
      fc.property(word, fc.boolean(), word, fc.constantFrom('', 'a.', 'a.b.', 'x'), (domain, below, other, prefix) => {
        const text = below ? `*.${domain}` : domain
        const read = readPattern(text)
        assert.ok(read)
        const name = `${prefix}${other}`
        assert.equal(
          wordFor({ words: [text], lists: [collectPatterns([{ word: text, pattern: read }])] }, `max@${name}`) !== undefined,
          matchesDomain(text, name),
        )
      }),
    ))

  test('random text is read or refused with places, and never throws', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'version: 1',
        'rules:',
        '- ',
        '  ',
        '\n',
        ': ',
        '[',
        ']',
        '{',
        '}',
        '"',
        "'",
        '|',
        '>',
        '&a ',
        '*a',
        '!t ',
        '---',
        '...',
        '#',
        '%',
        '?',
        'when',
        'deliver',
        'tls',
        'default',
        '\t',
        '\r',
        '\0',
        '\uFEFF',
        '<<',
        '\u2028',
      ),
      fc.string({ unit: 'binary', maxLength: 5 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const parsed = parsePolicy(pieces.join(''), methods)
        if (parsed.kind === 'errors')
          assert.ok(parsed.problems.length > 0 && parsed.problems.every(({ line, column, text }) => line > 0 && column > 0 && text !== ''))
      }),
      { numRuns: 2000 },
    )
  })

  test('a policy with any value in any place is read or refused, and never throws', () => {
    const value = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom('tls', 'group:a', 'lab.example', 'dsn', 1, null, true, '', 'may travel unencrypted'),
        fc.string({ maxLength: 8 }),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(
          fc.constantFrom(
            'name',
            'when',
            'deliver',
            'to',
            'from',
            'is',
            'any',
            'not',
            'tls',
            'escrow',
            'opportunistic',
            'level',
            'i-understand',
            'x',
          ),
          tie('tree'),
          { maxKeys: 3 },
        ),
      ),
    })).tree
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('version', 'groups', 'rules', 'default', 'tests'), value), (tree) => {
        const parsed = parsePolicy(JSON.stringify({ version: 1, ...tree }), methods)
        if (parsed.kind === 'errors') assert.ok(parsed.problems.length > 0)
      }),
      { numRuns: 1000 },
    )
  })
})
