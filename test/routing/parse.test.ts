import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { printPolicy } from '../../src/routing/print.ts'
import { policyOf, problemsOf } from './world.ts'

const rest = 'default:\n  deliver: [tls, escrow]\n'
/** A policy of one rule whose `when` and `deliver` begin in columns 11 and 14 of lines 4 and 5. */
const rule = (when: string, deliver = '[tls]', head = '') =>
  `version: 1\n${head}rules:\n  - name: first\n    when: ${when}\n    deliver: ${deliver}\n${rest}`

describe('parsePolicy', () => {
  test('reads a policy into one value with the lines of its parts', () => {
    const policy = policyOf(`version: 1
groups:
  banks: [bank-a.example, "*.sparkasse.example"]
rules:
  - name: banks
    when: { to: group:banks }
    deliver: [{ tls: { level: authenticated } }]

  - name: portal
    when: { subject-tag: [portal], from: hr@org.example }
    deliver: [escrow]
default:
  deliver: [tls, pgp]
`)
    assert.deepEqual(
      policy.groups.map(({ name, line }) => [name, line]),
      [['banks', 3]],
    )
    assert.deepEqual(
      policy.rules.map(({ name, line }) => [name, line]),
      [
        ['banks', 5],
        ['portal', 9],
      ],
    )
    assert.deepEqual(policy.default.line, 12)
    assert.deepEqual(policy.rules[0]?.steps, [{ method: 'tls', options: { level: 'authenticated' }, line: 7, column: 17 }])
    assert.equal(policy.rules[1]?.when.kind, 'all')
    assert.match(policy.fingerprint, /^[0-9a-f]{12}$/)
    assert.equal(policy.revision, 0)
  })

  test('writes out the groups that approve a hold, each address once', () => {
    const heads = 'groups: { heads: [Ann@org.example, bob@org.example] }\n'
    const policy = policyOf(rule('{ is: dsn }', '[{ hold: { approvers: [group:heads, eva@org.example, ann@org.example] } }]', heads))
    assert.deepEqual(policy.rules[0]?.steps[0]?.options, { approvers: ['ann@org.example', 'bob@org.example', 'eva@org.example'] })
    const printed = printPolicy(policy)
    assert.match(printed, /approvers:\n\s+- group:heads\n\s+- eva@org\.example\n/)
    assert.deepEqual(policyOf(printed).rules[0]?.steps[0]?.options, policy.rules[0]?.steps[0]?.options)
  })

  test('gives a bare word its default options and an empty mapping the same', () => {
    const [bare, empty, nothing] = ['[tls]', '[{ tls: {} }]', '[{ tls: }]'].map(
      (deliver) => policyOf(rule('{ is: dsn }', deliver)).rules[0]?.steps[0]?.options,
    )
    assert.deepEqual(bare, { level: 'verified' })
    assert.deepEqual(empty, bare)
    assert.deepEqual(nothing, bare)
  })

  test('reads the default policy, in which automatic and encrypted mail never meet escrow', () => {
    const policy = policyOf(defaultPolicyText)
    assert.deepEqual(
      policy.rules.map(({ name, steps }) => [name, steps.map(({ method }) => method)]),
      [
        ['automatic-mail', ['tls', 'opportunistic']],
        ['already-encrypted', ['tls', 'opportunistic']],
      ],
    )
    assert.deepEqual(
      policy.default.steps.map(({ method }) => method),
      ['tls', 'pgp', 'smime', 'escrow'],
    )
  })

  test('reads a policy with Windows line ends and a byte-order mark, at the same places', () => {
    const policy = policyOf(`\uFEFF${rule('{ is: dsn }').replaceAll('\n', '\r\n')}`)
    assert.equal(policy.rules[0]?.line, 3)
  })

  test('reports all mistakes of a text at once, in reading order', () => {
    const problems = problemsOf(
      'version: 2\nrules:\n  - name: a\n    when: { too: x.example }\n    deliver: [tsl]\ndefault: { deliver: [nothing] }\n',
    )
    assert.deepEqual(
      problems.map(({ line }) => line),
      [1, 4, 5, 6],
    )
  })

  test('does not call a rule unknown that is there, with a mistake in it', () => {
    const tests =
      '\ntests:\n  - { from: a@org.example, to: b@lab.example, expect: tls, rule: first }\n  - { invariant: never-plaintext, except: [first] }\n'
    const problems = problemsOf(`${rule('{ is: dsn }', '[tsl]').trimEnd()}${tests}`)
    assert.deepEqual(
      problems.map(({ text }) => text),
      ['step "tsl" is unknown'],
    )
  })
})

/** what, text, line, column, words of the message, words of the hint */
const mistakes: readonly (readonly [string, string, number, number, RegExp, RegExp?])[] = [
  ['an empty text', '', 1, 1, /expected a policy, found nothing/, /version: 1/],
  ['a list', '- a', 1, 1, /expected a policy, found a list/],
  ['no version', rest, 1, 1, /version is missing/, /version: 1/],
  ['another version', `version: 2\n${rest}`, 1, 10, /expected version 1, found the number 2/],
  ['a version in quotes', `version: "1"\n${rest}`, 1, 10, /expected version 1, found "1"/],
  ['no rules and no default', 'version: 1\n', 1, 1, /neither rules nor default/, /default/],
  ['a mistyped key', `version: 1\nrulse: []\n${rest}`, 2, 1, /policy key "rulse" is unknown/, /did you mean "rules"/],
  ['a key written twice', `version: 1\nversion: 1\n${rest}`, 2, 1, /"version" is written twice/, /line 1/],
  ['broken YAML', `version: 1\nrules: [\n${rest}`, 3, 1, /not valid YAML/, /a \{ or \[ before it is not closed/],
  ['a tab as indentation', 'version: 1\nrules:\n\t- name: a\n', 3, 1, /not valid YAML: .*tab/i, /^indent with spaces$/],
  [
    'a colon in a text',
    'version: 1\ndefault: deliver: [tls]\n',
    2,
    10,
    /not valid YAML: nested mappings/,
    /on a line of its own, or in quotes/,
  ],
  ['a quote that is not closed', 'version: "1\n', 2, 1, /not valid YAML: missing closing "quote/, /close the quotes/],
  [
    'lists in lists',
    `version: 1\nrules: ${'['.repeat(60)}\n`,
    2,
    40,
    /nested too deeply/,
    /name parts of it as rules, groups or detectors/,
  ],
  ['an anchor', `version: 1\nrules: &r []\nx: *r\n${rest}`, 2, 8, /anchors \(&r\) are not used/],
  ['an alias', `version: 1\nrules: *r\n${rest}`, 2, 8, /aliases \(\*r\) are not used/],
  [
    'names below a domain without quotes',
    rule('{ to: *.lab.example }'),
    4,
    17,
    /aliases \(\*\.lab\.example\) are not used/,
    /in quotes: "\*\.lab\.example"/,
  ],
  ['a tag', `version: !!int 1\n${rest}`, 1, 10, /tags .* are not used/],
  ['two documents', `version: 1\n${rest}---\nversion: 1\n`, 4, 1, /a second document begins here/],
  ['two documents without a line between', `version: 1\n${rest}...\nversion: 1\n`, 5, 1, /a second document begins here/],
  ['a closing bracket too many', `version: 1\nrules: []]\n${rest}`, 2, 10, /not valid YAML: "\]" closes nothing/],
  ['a %YAML directive', `%YAML 1.1\n---\nversion: 1\n${rest}`, 1, 1, /directives (.*) are not used/],
  ['a key that is a list', `version: 1\n? [a]\n: 1\n${rest}`, 2, 3, /a key must be a word/],
  ['groups as a list', `version: 1\ngroups: [a]\n${rest}`, 2, 9, /expected a mapping of group names/],
  ['an empty group', `version: 1\ngroups:\n  a: []\n${rest}`, 3, 6, /group "a" is empty/],
  ['a group without members', `version: 1\ngroups:\n  a:\n${rest}`, 3, 5, /expected a domain or an address, found nothing/],
  ['a group in a group', `version: 1\ngroups:\n  a: [x.example]\n  b: [group:a]\n${rest}`, 4, 7, /a group cannot contain "group:a"/],
  [
    'a group with a bad member',
    `version: 1\ngroups:\n  a: [x.example, "not a domain"]\n${rest}`,
    3,
    18,
    /"not a domain" is neither an address nor a domain/,
  ],
  ['a group written twice', `version: 1\ngroups:\n  a: [x.example]\n  a: [y.example]\n${rest}`, 4, 3, /"a" is written twice/, /line 3/],
  ['a group with a bad name', `version: 1\ngroups:\n  "a:b": [x.example]\n${rest}`, 3, 3, /"a:b" is no name for a group/],
  ['rules as a mapping', `version: 1\nrules: { name: a }\n${rest}`, 2, 8, /expected a list of rules/, /dash/],
  [
    'a rule that is a word',
    `version: 1\nrules: [tls]\n${rest}`,
    2,
    9,
    /expected a mapping of name, when, deliver, also-to or observe, found "tls"/,
  ],
  ['a rule without name', `version: 1\nrules:\n  - when: { is: dsn }\n    deliver: [tls]\n${rest}`, 3, 5, /the rule has no name/],
  ['a rule without when', `version: 1\nrules:\n  - name: a\n    deliver: [tls]\n${rest}`, 3, 5, /the rule has no when/, /default/],
  ['a rule without deliver', `version: 1\nrules:\n  - name: a\n    when: { is: dsn }\n${rest}`, 3, 5, /the rule has no deliver/],
  ['a rule named default', rule('{ is: dsn }').replace('first', 'default'), 3, 11, /cannot be called default/],
  [
    'a rule named like another',
    `version: 1\nrules:\n  - { name: a, when: { is: dsn }, deliver: [tls] }\n  - { name: a, when: { is: dsn }, deliver: [tls] }\n${rest}`,
    4,
    13,
    /rule called "a" stands already in line 3/,
  ],
  [
    'a rule with a number as name',
    rule('{ is: dsn }').replace('first', '7'),
    3,
    11,
    /expected the name of the rule, found the number 7/,
    /quotes/,
  ],
  [
    'a mistyped key of a rule',
    `version: 1\nrules:\n  - name: a\n    whenn: {}\n    deliver: [tls]\n${rest}`,
    4,
    5,
    /rule key "whenn" is unknown/,
    /"when"/,
  ],
  ['an empty when', rule('{}'), 4, 11, /a condition needs one of from/, /default/],
  ['a when that is a word', rule('always'), 4, 11, /expected a mapping of from, header-from, to, .* found "always"/],
  ['a mistyped condition', rule('{ form: a@org.example }'), 4, 13, /condition key "form" is unknown/, /did you mean "from"/],
  ['a mistyped trait', rule('{ is: auto-submited }'), 4, 17, /is: "auto-submited" is unknown/, /"auto-submitted"/],
  [
    'an unknown group',
    rule('{ to: group:bank }', '[tls]', 'groups: { banks: [x.example] }\n'),
    5,
    17,
    /group "bank" is unknown/,
    /did you mean "banks"/,
  ],
  ['a group where there are none', rule('{ to: group:banks }'), 4, 17, /group "banks" is unknown/, /no groups/],
  [
    'a group without its prefix',
    rule('{ to: banks }', '[tls]', 'groups: { banks: [x.example] }\n'),
    5,
    17,
    /"banks" is a group/,
    /group:banks/,
  ],
  ['everybody as a pattern', rule('{ to: "*" }'), 4, 17, /"\*" is neither an address nor a domain/, /default/],
  ['a pattern below with an at sign', rule('{ to: "*@lab.example" }'), 4, 17, /neither an address nor a domain/, /write the domain alone/],
  ['an address with two at signs', rule('{ to: a@b@c.example }'), 4, 17, /neither an address nor a domain/],
  ['an empty list of addresses', rule('{ to: [] }'), 4, 17, /empty list/],
  ['a number as an address', rule('{ to: [lab.example, 7] }'), 4, 31, /found the number 7/, /quotes/],
  ['an empty list of tags', rule('{ subject-tag: [] }'), 4, 26, /empty list/],
  ['an empty list of alternatives', rule('{ any: [] }'), 4, 18, /empty list/],
  ['a tag in YAML brackets', rule('{ subject-tag: [[secure]] }'), 4, 27, /expected a tag, found a list/],
  ['a mistake inside not', rule('{ not: { from: "" } }'), 4, 26, /found nothing/],
  ['a mistyped step', rule('{ is: dsn }', '[tls, pgpp]'), 5, 20, /step "pgpp" is unknown/, /did you mean "pgp"/],
  ['an approver group that is unknown', rule('{ is: dsn }', '[{ hold: { approvers: group:heads } }]'), 5, 36, /group "heads" is unknown/],
  [
    'an approver group that names a domain',
    rule('{ is: dsn }', '[{ hold: { approvers: [group:all] } }]', 'groups: { all: [org.example] }\n'),
    6,
    37,
    /group "all" cannot approve: "org\.example" is no address/,
  ],
  [
    'an approver group of too many',
    rule(
      '{ is: dsn }',
      '[{ hold: { approvers: [group:all] } }]',
      `groups: { all: [${Array.from({ length: 21 }, (_, i) => `a${i}@org.example`).join(', ')}] }\n`,
    ),
    6,
    37,
    /group "all" cannot approve: it has 21 addresses, and at most 20 are asked/,
  ],
  [
    'too many approvers',
    rule('{ is: dsn }', `[{ hold: { approvers: [${'group:a, '.repeat(21)}] } }]`, 'groups: { a: [a@org.example] }\n'),
    6,
    36,
    /21 approvers; at most 20 are asked/,
  ],
  ['an approver that is no address', rule('{ is: dsn }', '[{ hold: { approvers: [a] } }]'), 5, 37, /"a" is not an address/],
  ['a method that is not for policies', rule('{ is: dsn }', '[route]'), 5, 15, /step "route" is unknown/],
  ['no steps', rule('{ is: dsn }', '[]'), 5, 14, /deliver needs at least one step/],
  ['deliver without a value', rule('{ is: dsn }', ''), 5, 14, /deliver needs at least one step/],
  [
    'two methods in one step',
    rule('{ is: dsn }', '[{ tls: {}, pgp: {} }]'),
    5,
    15,
    /expected a step, found a mapping of 2 keys/,
    /item of its own/,
  ],
  [
    'options that are a word',
    rule('{ is: dsn }', '[{ tls: verified }]'),
    5,
    22,
    /expected the options of tls as a mapping, found "verified"/,
  ],
  ['a mistyped option', rule('{ is: dsn }', '[{ tls: { levle: verified } }]'), 5, 24, /option of tls "levle" is unknown/, /"level"/],
  [
    'an option that is not due',
    rule('{ is: dsn }', '[{ escrow: { reply: sender } }]'),
    5,
    27,
    /option reply of escrow is not available in this version/,
    /available: proof, on-downgrade, on-clear-path, expires/,
  ],
  [
    'a letter that expires too soon',
    rule('{ is: dsn }', '[{ escrow: { expires: 5m } }]'),
    5,
    36,
    /option expires of escrow: must be a duration from 1h/,
  ],
  ['an option of another method', rule('{ is: dsn }', '[{ escrow: { level: verified } }]'), 5, 27, /option of escrow "level" is unknown/],
  [
    'a bad value of an option',
    rule('{ is: dsn }', '[{ tls: { level: perfect } }]'),
    5,
    31,
    /option level of tls: expected encrypted, verified, authenticated, dane or pinned/,
  ],
  [
    'a mistyped value of an option',
    rule('{ is: dsn }', '[{ tls: { level: danee } }]'),
    5,
    31,
    /option level of tls: expected encrypted, verified, authenticated, dane or pinned$/,
    /^did you mean "dane"\?$/,
  ],
  [
    'a mistyped item of an option',
    rule('{ is: dsn }', '[{ escrow: { on-downgrade: secondfactor } }]'),
    5,
    41,
    /option on-downgrade of escrow: expected second-factor or hold$/,
    /^did you mean "second-factor"\?$/,
  ],
  [
    'a version of TLS that there is not',
    rule('{ is: dsn }', '[{ tls: { min: 1.1 } }]'),
    5,
    29,
    /option min of tls: expected 1\.2, 1\.3, TLSv1\.2 or TLSv1\.3$/,
  ],
  ['a bad duration', rule('{ is: dsn }', '[{ tls: { patience: soon } }]'), 5, 34, /option patience of tls: write a duration/],
  [
    'a bad item of an option',
    rule('{ is: dsn }', '[{ tls: { pin: [mx.lab.example, "!"] } }]'),
    5,
    46,
    /option pin\.1 of tls: write the SHA-256/,
  ],
  ['options that do not fit together', rule('{ is: dsn }', '[{ tls: { level: pinned } }]'), 5, 22, /level pinned needs pin/],
  ['options of bounce', rule('{ is: dsn }', '[{ bounce: { text: no } }]'), 5, 27, /bounce has no option "text"/],
  [
    'opportunistic without its sentence',
    rule('{ is: dsn }', '[opportunistic]'),
    5,
    15,
    /may send mail in clear text, and must say so/,
    /i-understand: may travel unencrypted/,
  ],
  ['opportunistic with another sentence', rule('{ is: dsn }', '[{ opportunistic: { i-understand: yes } }]'), 5, 48, /must say so/],
  [
    'the options of our own notices',
    rule('{ is: dsn }', '[{ opportunistic: { notice: true } }]'),
    5,
    34,
    /option of opportunistic "notice" is unknown/,
  ],
  ['a default that is a list', 'version: 1\ndefault: [tls]\n', 2, 10, /expected a mapping of deliver, also-to or observe, found a list/],
  ['a default without deliver', 'version: 1\ndefault: {}\n', 2, 1, /default has no deliver/],
  ['a default with when', 'version: 1\ndefault: { when: { is: dsn }, deliver: [tls] }\n', 2, 12, /default key "when" is unknown/],
]

describe('a mistake is shown with its place, what was expected and a hint', () => {
  for (const [what, text, line, column, message, hint] of mistakes)
    test(what, () => {
      const [first] = problemsOf(text)
      assert.ok(first)
      assert.match(first.text, message)
      if (hint) assert.match(first.hint ?? '', hint)
      assert.deepEqual([first.line, first.column], [line, column], first.text)
    })
})
