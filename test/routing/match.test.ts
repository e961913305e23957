import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judge } from '../../src/routing/match.ts'
import { factsOf, policyOf } from './world.ts'

const conditionOf = (when: string) => {
  const [rule] = policyOf(
    `version: 1\ngroups: { banks: [bank-a.example, "*.sparkasse.example"], hr: [hr@org.example] }\nrules: [{ name: a, when: ${when}, deliver: [bounce] }]\n`,
  ).rules
  assert.ok(rule)
  return rule.when
}

/** condition, facts, matched, because */
const table: readonly (readonly [string, Parameters<typeof factsOf>[0], boolean, string])[] = [
  ['{ to: lab.example }', {}, true, 'to is lab.example'],
  ['{ to: lab.example }', { recipient: 'max@sub.lab.example' }, false, 'to is sub.lab.example'],
  ['{ to: LAB.Example }', {}, true, 'to is lab.example (LAB.Example)'],
  ['{ to: "*.lab.example" }', {}, false, 'to is lab.example'],
  ['{ to: "*.lab.example" }', { recipient: 'max@a.b.lab.example' }, true, 'to is a.b.lab.example (*.lab.example)'],
  ['{ to: "*.lab.example" }', { recipient: 'max@evil-lab.example' }, false, 'to is evil-lab.example'],
  ['{ to: max@lab.example }', {}, true, 'to is max@lab.example'],
  ['{ to: MAX@lab.example }', {}, true, 'to is max@lab.example (MAX@lab.example)'],
  ['{ to: max@lab.example }', { recipient: 'MAX@lab.example' }, true, 'to is MAX@lab.example (max@lab.example)'],
  ['{ to: max@lab.example }', { recipient: 'maxi@lab.example' }, false, 'to is maxi@lab.example'],
  ['{ to: \'"max"@lab.example\' }', {}, true, 'to is max@lab.example ("max"@lab.example)'],
  ['{ to: bücher.example }', { recipient: 'a@xn--bcher-kva.example' }, true, 'to is xn--bcher-kva.example (bücher.example)'],
  ['{ to: "[192.0.2.1]" }', { recipient: 'a@[192.0.2.1]' }, true, 'to is [192.0.2.1]'],
  ['{ to: group:banks }', { recipient: 'a@bank-a.example' }, true, 'to is bank-a.example (group:banks)'],
  ['{ to: group:banks }', { recipient: 'a@kiel.sparkasse.example' }, true, 'to is kiel.sparkasse.example (group:banks)'],
  ['{ to: [x.example, group:banks] }', {}, false, 'to is lab.example'],
  ['{ from: group:hr }', { reversePath: 'hr@org.example' }, true, 'from is hr@org.example (group:hr)'],
  ['{ from: group:hr }', {}, false, 'from is ann@org.example'],
  ['{ from: org.example }', { reversePath: '', headerFrom: 'bot@org.example' }, true, 'from is org.example'],
  ['{ from: org.example }', { reversePath: '', headerFrom: 'bot@else.example' }, false, 'from is else.example'],
  ['{ from: org.example }', { reversePath: '', headerFrom: '' }, false, 'from is unknown'],
  ['{ from: org.example }', { reversePath: 'a@else.example', headerFrom: 'a@org.example' }, false, 'from is else.example'],
  ['{ header-from: org.example }', { reversePath: 'a@else.example' }, true, 'header-from is org.example'],
  ['{ header-from: org.example }', { headerFrom: '' }, false, 'header-from is unknown'],
  ['{ subject-tag: [secure, encrypt] }', { subjectTags: ['encrypt'] }, true, 'subject has the tag [encrypt]'],
  ['{ subject-tag: SECURE }', { subjectTags: ['secure'] }, true, 'subject has the tag [secure]'],
  ['{ subject-tag: "[secure]" }', { subjectTags: ['secure'] }, true, 'subject has the tag [secure]'],
  ['{ subject-tag: [secure, encrypt] }', { subjectTags: ['portal'] }, false, 'subject has no tag [secure] or [encrypt]'],
  ['{ is: auto-submitted }', { autoSubmitted: true }, true, 'mail is auto-submitted'],
  ['{ is: [auto-submitted, dsn] }', { dsn: true }, true, 'mail is dsn'],
  ['{ is: encrypted }', { encrypted: true }, true, 'mail is encrypted'],
  ['{ is: [auto-submitted, dsn] }', { encrypted: true }, false, 'mail is not auto-submitted or dsn'],
  ['{ to: lab.example, from: org.example }', {}, true, 'to is lab.example, from is org.example'],
  ['{ to: lab.example, from: else.example }', {}, false, 'from is org.example'],
  ['{ any: [{ to: x.example }, { subject-tag: secure }] }', { subjectTags: ['secure'] }, true, 'subject has the tag [secure]'],
  ['{ any: [{ to: x.example }, { subject-tag: secure }] }', {}, false, 'to is lab.example, subject has no tag [secure]'],
  ['{ all: [{ to: lab.example }, { is: dsn }] }', {}, false, 'mail is not dsn'],
  ['{ not: { to: lab.example } }', {}, false, 'to is lab.example'],
  ['{ not: { to: x.example } }', {}, true, 'to is lab.example'],
  ['{ not: [{ to: x.example }, { to: lab.example }] }', {}, false, 'to is lab.example'],
  ['{ not: { to: lab.example, is: dsn } }', {}, true, 'mail is not dsn'],
  ['{ to: lab.example, not: { is: encrypted } }', { encrypted: true }, false, 'mail is encrypted'],
]

describe('a condition', () => {
  for (const [when, facts, matched, because] of table)
    test(`${when} ${matched ? 'matches' : 'does not match'} ${JSON.stringify(facts)}: ${because}`, () =>
      assert.deepEqual(judge(conditionOf(when), factsOf(facts), { detectors: [] }), { matched, because }))

  test('on a header field puts it in order once, however many values and rules ask: it may be as long as a stranger likes', () => {
    let reads = 0
    const field = new Proxy(['a  b'.repeat(50_000)], {
      get: (values, name, self) => {
        if (name === '0') reads += 1
        return Reflect.get(values, name, self)
      },
    })
    const values = Array.from({ length: 100 }, (_, i) => `v${i}`)
    const [rule, other] = ['contains', 'equals'].map((test) => conditionOf(`{ header: { X-A: { ${test}: [${values.join(', ')}] } } }`))
    assert.ok(rule && other)
    const facts = factsOf({ headers: { 'x-a': field } })
    for (const one of [rule, other, rule]) assert.equal(judge(one, facts, { detectors: [] }).matched, false)
    assert.equal(reads, 1)
  })
})
