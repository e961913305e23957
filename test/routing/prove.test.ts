import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { prove } from '../../src/routing/prove.ts'
import { policyOf } from './world.ts'

const settings = defaultSettings({})
const now = Date.parse('2026-05-01T12:00:00Z')
const provedOf = (text: string) => prove(policyOf(text), settings, now)
const from = 'from: ann@org.example, to: max@lab.example'
const open = '{ opportunistic: { i-understand: may travel unencrypted } }'

/** What becomes of mail in each world, ladder by ladder. */
const table: readonly (readonly [deliver: string, given: string, expect: string, proof?: string])[] = [
  ['[tls, escrow]', 'tls: verified', 'tls'],
  ['[tls, escrow]', 'tls: dane', 'tls'],
  ['[tls, escrow]', 'tls: encrypted', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: none', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: broken', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: expired', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: untrusted', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: wrong-name', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: downgraded', 'escrow', 'second-factor'],
  ['[tls, escrow]', 'tls: downgraded', 'hold'],
  ['[tls, { escrow: { on-downgrade: hold } }]', 'tls: downgraded', 'hold'],
  ['[tls, { escrow: { proof: second-factor } }]', 'tls: expired', 'hold'],
  ['[tls, { escrow: { on-clear-path: second-factor } }]', 'tls: none', 'escrow', 'second-factor'],
  ['[tls, { escrow: { on-clear-path: second-factor } }]', 'tls: expired', 'escrow', 'code'],
  ['[tls, escrow]', 'tls: unreachable', 'wait'],
  ['[{ hold: { approvers: head@org.example } }, tls]', 'tls: verified', 'hold'],
  ['[tls]', 'tls: none', 'bounce'],
  ['[{ tls: { level: encrypted } }]', 'tls: untrusted', 'tls'],
  ['[{ tls: { level: authenticated } }, bounce]', 'tls: verified', 'bounce'],
  ['[{ tls: { level: authenticated } }]', 'tls: authenticated', 'tls'],
  ['[{ tls: { level: dane } }, escrow]', 'tls: authenticated', 'escrow', 'code'],
  [`[{ tls: { level: pinned, pin: [${'ab'.repeat(32)}] } }]`, 'tls: encrypted', 'tls'],
  [`[{ tls: { level: pinned, pin: [${'ab'.repeat(32)}] } }]`, 'tls: wrong-name', 'bounce'],
  ['[pgp, escrow]', 'pgp: true', 'pgp'],
  ['[pgp, escrow]', 'pgp: false', 'escrow'],
  ['[{ escrow: { proof: link } }]', 'tls: verified', 'escrow', 'link'],
  [`[${open}]`, 'tls: none', 'clear'],
  [`[${open}]`, 'tls: none', 'opportunistic'],
  [`[${open}]`, 'tls: broken', 'bounce'],
  [`[${open}]`, 'tls: expired', 'opportunistic'],
]

describe('a test of a policy', () => {
  for (const [deliver, given, expect, proof] of table)
    test(`${deliver} with ${given} is ${expect}${proof ? ` with proof ${proof}` : ''}`, () => {
      const asked = proof === undefined ? '' : `, proof: ${proof}`
      const [proved] = provedOf(
        `version: 1\ndefault: { deliver: ${deliver} }\ntests: [{ ${from}, given: { ${given} }, expect: ${expect}${asked} }]\n`,
      )
      assert.ok(proved?.passed, proved?.text)
    })

  test('that fails says what was expected, what would happen instead, by which rule and why', () => {
    const [proved] = provedOf(`version: 1
rules:
  - name: labs
    when: { to: lab.example }
    deliver: [tls, escrow]
default: { deliver: [tls] }
tests:
  - { ${from}, given: { tls: expired }, expect: tls, rule: default }
`)
    assert.deepEqual(proved, {
      line: 8,
      column: 5,
      name: 'ann@org.example to max@lab.example (TLS expired): tls',
      passed: false,
      text: 'expected tls, expected rule "default", but it would be escrow, proof code (tls certificate-expired) by rule "labs" (line 3)',
    })
  })

  test('has the headers, finds, traits, user and client that it says, and no others', () => {
    const policy = (more: string) => `version: 1
rules:
  - { name: header, when: { header: { Sensitivity: private } }, deliver: [bounce] }
  - { name: detect, when: { detect: iban }, deliver: [bounce] }
  - { name: is, when: { is: calendar }, deliver: [bounce] }
  - { name: user, when: { authenticated-as: erp }, deliver: [bounce] }
  - { name: client, when: { client: 10.0.0.0/8 }, deliver: [bounce] }
  - { name: tag, when: { subject-tag: portal }, deliver: [bounce] }
  - { name: subject, when: { header: { Subject: { contains: offer } } }, deliver: [bounce] }
default: { deliver: [tls] }
tests: [${more}]
`
    for (const [more, rule] of [
      ['', 'default'],
      [', header: { sensitivity: Private }', 'header'],
      [', detect: iban', 'detect'],
      [', is: calendar', 'is'],
      [', authenticated-as: erp', 'user'],
      [', client: 10.1.1.1', 'client'],
      [', subject: "[portal] x"', 'tag'],
      [', subject: our offer', 'subject'],
    ] as const) {
      const expect = rule === 'default' ? 'tls' : 'bounce'
      const [proved] = provedOf(policy(`{ ${from}${more}, expect: ${expect}, rule: ${rule} }`))
      assert.ok(proved?.passed, `${rule}: ${proved?.text}`)
    }
  })
})

describe('the invariant never-plaintext', () => {
  const rules = `version: 1
rules:
  - name: automatic
    when: { is: auto-submitted }
    deliver: [tls, ${open}]
default: { deliver: [tls, pgp, escrow] }
`
  test('holds where no rule can send in clear', () => {
    const [proved] = provedOf(`${rules}tests: [{ invariant: never-plaintext, except: [automatic] }]\n`)
    assert.ok(proved?.passed, proved?.text)
    assert.match(proved.text, /^holds for 1 rule in 88 worlds/)
  })
  test('names the rule and the world in which it does not hold', () => {
    const [proved] = provedOf(`${rules}tests: [{ invariant: never-plaintext }]\n`)
    assert.equal(proved?.passed, false)
    assert.match(proved.text, /^rule "automatic" \(line 3\) sends in clear where TLS is none and no key is known: /)
  })
  test('does not hold where clear text waits behind a hold: it can be released', () => {
    const [proved] = provedOf(`version: 1\ndefault: { deliver: [hold, ${open}] }\ntests: [{ invariant: never-plaintext }]\n`)
    assert.match(proved?.text ?? '', /^rule "default" \(line 2\) sends in clear/)
  })
  test('does not hold while a rule only observes', () =>
    assert.equal(
      provedOf(`version: 1\nobserve: true\ndefault: { deliver: [tls] }\ntests: [{ invariant: never-plaintext }]\n`)[0]?.passed,
      false,
    ))
  test('looks at what overrides make of a ladder', () => {
    const text = `version: 1
default: { deliver: [escrow, ${open}] }
tests: [{ invariant: never-plaintext }]
`
    assert.equal(provedOf(text)[0]?.passed, true)
    const [proved] = provedOf(`${text}overrides: [{ to: max@lab.example, never: escrow, reason: no portal, until: 2026-12-31 }]\n`)
    assert.equal(proved?.passed, false)
    assert.match(proved.text, /with the override in line 4 sends in clear/)
  })
})

test('a test is called by what is special about its mail, so that two between the same people are told apart', () => {
  const mail = '{ from: ann@org.example, to: max@lab.example, expect: tls'
  const named = prove(
    policyOf(
      `version: 1\ndefault: { deliver: [tls] }\ntests:\n  - ${mail} }\n  - ${mail}, subject: "[portal] x", is: signed, detect: iban, size: 1MiB }\n  - ${mail}, header-from: news@org.example, header: { Sensitivity: private }, authenticated-as: erp, client: 192.0.2.7 }\n`,
    ),
    defaultSettings({}),
    0,
  ).map(({ name }) => name)
  assert.deepEqual(named, [
    'ann@org.example to max@lab.example (TLS verified): tls',
    'ann@org.example to max@lab.example ("[portal] x", signed, iban found, 1048576 bytes, TLS verified): tls',
    'ann@org.example to max@lab.example (header From news@org.example, sensitivity: private, signed in as erp, client 192.0.2.7, TLS verified): tls',
  ])
})
