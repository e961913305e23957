import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { plan } from '../../src/routing/plan.ts'
import { factsOf, policyOf, problemsOf } from './world.ts'

const base = `version: 1
groups: { labs: [lab.example] }
rules:
  - name: labs
    when: { to: group:labs }
    deliver: [tls, pgp, escrow]
default: { deliver: [tls, escrow] }
`
const april = Date.parse('2026-04-01T12:00:00Z')

describe('overrides', () => {
  const policy = policyOf(`${base}overrides:
  - { to: max@lab.example, prefer: pgp, never: [escrow], reason: asked by phone, until: 2026-12-31 }
  - { to: lab.example, tls: { level: pinned, pin: ["${'ab'.repeat(32)}"] }, reason: own CA, until: 2026-12-31 }
`)
  const methodsOf = (recipient: string, at = april) => plan(policy, factsOf({ recipient, at })).steps.map(({ method }) => method)

  test('put what a recipient prefers first and leave out what it never wants', () =>
    assert.deepEqual(methodsOf('max@lab.example'), ['pgp', 'tls', 'bounce']))
  test('never add a step that the rule does not have', () => {
    const other = policyOf(`${base}overrides: [{ to: x.example, prefer: pgp, reason: r, until: 2026-12-31 }]`)
    assert.deepEqual(
      plan(other, factsOf({ recipient: 'a@x.example', at: april })).steps.map(({ method }) => method),
      ['tls', 'escrow', 'bounce'],
    )
  })
  test('never move a step past a hold', () => {
    const held = (deliver: string) => {
      const other = policyOf(
        `version: 1\ndefault: { deliver: ${deliver} }\noverrides: [{ to: x.example, prefer: pgp, reason: r, until: 2026-12-31 }]\n`,
      )
      return plan(other, factsOf({ recipient: 'a@x.example', at: april })).steps.map(({ method }) => method)
    }
    assert.deepEqual(held('[hold, tls, pgp]'), ['hold', 'pgp', 'tls', 'bounce'])
    assert.deepEqual(held('[tls, pgp, hold, escrow]'), ['pgp', 'tls', 'hold', 'escrow', 'bounce'])
    assert.deepEqual(held('[tls, hold, escrow]'), ['tls', 'hold', 'escrow', 'bounce'])
  })
  test('never ask less of a channel than the rule does', () => {
    const laid = (own: string, wish: string) => {
      const lists = `overrides: [{ to: x.example, tls: ${wish}, reason: r, until: 2026-12-31 }]`
      const other = policyOf(`version: 1\ndefault: { deliver: [{ tls: ${own} }] }\n${lists}\n`)
      return plan(other, factsOf({ recipient: 'a@x.example', at: april })).steps[0]?.options
    }
    assert.deepEqual(laid('{ level: authenticated, min: 1.3 }', '{ level: encrypted, min: 1.2 }'), {
      level: 'authenticated',
      min: 'TLSv1.3',
    })
    const pinned = `level: pinned, pin: ["${'ab'.repeat(32)}"]`
    assert.deepEqual(laid(`{ ${pinned} }`, '{ level: authenticated, pin: [mx.x.example] }'), { level: 'pinned', pin: ['ab'.repeat(32)] })
    assert.deepEqual(laid('{ level: encrypted }', '{ level: dane, min: 1.3, patience: 1h }'), {
      level: 'dane',
      min: 'TLSv1.3',
      patience: '1h',
    })
  })
  test('pin the certificate of every tls step, and say so in the trace', () => {
    const { steps, trace } = plan(policy, factsOf({ recipient: 'eva@lab.example', at: april }))
    assert.deepEqual(steps[0], { method: 'tls', options: { level: 'pinned', pin: ['ab'.repeat(32)] } })
    assert.match(trace.at(-1)?.because ?? '', /^yes: lab\.example, until 2026-12-31/)
    assert.match(trace.at(-1)?.because ?? '', /own CA$/)
  })
  test('count through their last day, and not a day longer', () => {
    assert.deepEqual(methodsOf('max@lab.example', Date.parse('2026-12-31T23:59:59Z')), ['pgp', 'tls', 'bounce'])
    assert.deepEqual(methodsOf('max@lab.example', Date.parse('2027-01-01T00:00:00Z')), ['tls', 'pgp', 'escrow', 'bounce'])
  })
  for (const [text, wrong] of [
    ['{ to: x.example, prefer: pgp, until: 2026-12-31 }', /the override has no reason/],
    ['{ to: x.example, prefer: pgp, reason: r }', /the override has no until/],
    ['{ to: x.example, reason: r, until: 2026-12-31 }', /the override changes nothing/],
    ['{ to: x.example, prefer: pgpp, reason: r, until: 2026-12-31 }', /step "pgpp" is unknown/],
    ['{ to: x.example, prefer: opportunistic, reason: r, until: 2026-12-31 }', /step "opportunistic" is unknown/],
    ['{ to: x.example, prefer: hold, reason: r, until: 2026-12-31 }', /step "hold" is unknown/],
    ['{ to: x.example, prefer: pgp, reason: r, until: 2026-02-30 }', /"2026-02-30" is not a date/],
    ['{ to: x.example, tls: { level: pinned }, reason: r, until: 2026-12-31 }', /level pinned needs pin/],
    ['{ to: x.example, never: [pgp, hold], reason: r, until: 2026-12-31 }', /never: hold would send past the person who is to look at it/],
    ['{ to: x.example, prefers: pgp, reason: r, until: 2026-12-31 }', /override key "prefers" is unknown/],
  ] as const)
    test(`are refused when wrong: ${text}`, () => assert.match(problemsOf(`${base}overrides: [${text}]`)[0]?.text ?? '', wrong))
})

describe('observe', () => {
  test('lets mail go as before and keeps what the rule would have done', () => {
    const { steps, observed } = plan(policyOf(`${base}observe: true\n`), factsOf())
    assert.deepEqual(
      steps.map(({ method }) => method),
      ['opportunistic', 'bounce'],
    )
    assert.deepEqual(
      observed?.map(({ method }) => method),
      ['tls', 'pgp', 'escrow', 'bounce'],
    )
  })
  test('may stand in one rule alone', () => {
    const policy = policyOf(base.replace('    deliver: [tls, pgp, escrow]', '    deliver: [tls, pgp, escrow]\n    observe: true'))
    assert.ok(plan(policy, factsOf()).observed)
    assert.equal(plan(policy, factsOf({ recipient: 'a@x.example' })).observed, undefined)
  })
  test('is true or false', () => assert.match(problemsOf(`${base}observe: maybe\n`)[0]?.text ?? '', /expected true or false/))
})

describe('also-to', () => {
  test('names who gets a copy', () => {
    const policy = policyOf(base.replace('deliver: [tls, escrow]', 'deliver: [tls, escrow], also-to: journal@org.example'))
    assert.deepEqual(plan(policy, factsOf({ recipient: 'a@x.example' })).alsoTo, ['journal@org.example'])
  })
  test('takes addresses only', () =>
    assert.match(
      problemsOf(base.replace('deliver: [tls, escrow]', 'deliver: [tls], also-to: org.example'))[0]?.text ?? '',
      /"org.example" is not an address/,
    ))
})

describe('detectors', () => {
  for (const [text, wrong] of [
    ['{ mine: {} }', /detector "mine" looks for nothing/],
    ['{ mine: { words: [a], threshold: 0 } }', /expected how many finds it takes/],
    ['{ iban: { words: [a] } }', /iban is a detector of the program: only its threshold can be set/],
    ['{ mine: { patterns: ["(a+"] } }', /the pattern "\(a\+" cannot be used: /],
    ['{ mine: { patterns: ["(a)\\\\1"] } }', /cannot be used: /],
    ['{ mine: { patterns: ["(?=a)b"] } }', /cannot be used: /],
    ['{ mine: { patterns: ["a*"] } }', /finds nothing everywhere|matches empty text/],
    ['{ mine: { patterns: ["((a{100}){100}){100}"] } }', /cannot be used: |is too large/],
    ['{ mine: { patterns: ["a.{20}b"] } }', /the pattern "a\.\{20\}b" cannot be looked for fast enough in every text/],
    ['{ "mi/ne": { words: [a] } }', /is no name for a detector/],
  ] as const)
    test(`are refused when wrong: ${text}`, () => assert.match(problemsOf(`${base}detectors: ${text}\n`)[0]?.text ?? '', wrong))
  test('are refused with the place of the pattern and what to write instead', () => {
    const problems = problemsOf(`${base}detectors:\n  mine:\n    patterns:\n      - case-\\d+\n      - a.{20}b\n`)
    assert.equal(problems.length, 1)
    assert.equal(problems[0]?.column, 9)
    assert.match(problems[0]?.hint ?? '', /write \.\{0,20\} for \.\{20\}/)
  })
  test('whose patterns are too large together are refused, and the rest is not looked at', () => {
    const patterns = Array.from({ length: 200 }, (_, i) => `"project${i}.{0,40}secret"`).join(', ')
    const problems = problemsOf(`${base}detectors: { mine: { patterns: [${patterns}] }, other: { patterns: ["a*"] } }\n`)
    assert.deepEqual(
      problems.map(({ text }) => text),
      ['up to here, the patterns are too large together; those below were not looked at'],
    )
  })
  test('of the program may get another threshold', () => {
    const policy = policyOf(`${base}detectors: { iban: { threshold: 5 } }\n`)
    assert.deepEqual(
      policy.detectors.map(({ name, threshold }) => [name, threshold]),
      [['iban', 5]],
    )
  })
})

describe('tests', () => {
  test('are read with everything that a mail and its world can be', () => {
    const policy = policyOf(`${base}tests:
  - { from: ann@org.example, to: max@lab.example, subject: "[secure] x", is: [calendar], header: { Sensitivity: private }, size: 3MiB,
      detect: iban, authenticated-as: erp, client: 10.0.0.7, at: 2026-05-01, given: { tls: expired, pgp: true }, expect: pgp, rule: labs }
  - { from: "<>", header-from: ann@org.example, to: x@y.example, expect: escrow, proof: code }
  - { invariant: never-plaintext, except: [labs] }
`)
    const [first, second, third] = policy.tests
    assert.ok(first?.kind === 'example' && second?.kind === 'example' && third?.kind === 'invariant')
    assert.deepEqual(
      [first.subject, first.is, first.headers, first.size, first.detect, first.authenticatedAs, first.client, first.given, first.expect],
      [
        '[secure] x',
        ['calendar'],
        { sensitivity: ['private'] },
        3 * 2 ** 20,
        ['iban'],
        'erp',
        '10.0.0.7',
        { tls: 'expired', pgp: true, smime: false },
        'pgp',
      ],
    )
    assert.equal(new Date(first.at ?? 0).toISOString(), '2026-05-01T00:00:00.000Z')
    assert.deepEqual([second.from, second.headerFrom, second.proof, second.given.tls], ['', 'ann@org.example', 'code', 'verified'])
    assert.deepEqual([third.invariant, third.except], ['never-plaintext', ['labs']])
  })
  for (const [text, wrong] of [
    ['{ from: ann@org.example, expect: tls }', /the test has no to/],
    ['{ from: ann@org.example, to: a@b.example, expect: post }', /expected outcome "post" is unknown/],
    ['{ from: ann@org.example, to: a@b.example, given: { tls: rotten }, expect: tls }', /state of TLS "rotten" is unknown/],
    ['{ from: ann@org.example, to: b.example, expect: tls }', /"b.example" is not an address/],
    ['{ from: ann@org.example, to: a@b.example, expect: tls, rule: labz }', /rule "labz" is unknown/],
    ['{ invariant: never-plain }', /invariant "never-plain" is unknown/],
    ['{ invariant: never-plaintext, except: [nobody] }', /rule "nobody" is unknown/],
  ] as const)
    test(`are refused when wrong: ${text}`, () => assert.match(problemsOf(`${base}tests: [${text}]`)[0]?.text ?? '', wrong))
})
