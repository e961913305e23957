import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { relevantTo } from '../../src/routing/relevant.ts'
import { factsOf, policyOf } from './world.ts'

const policy = (when: string) =>
  policyOf(`version: 1\nrules: [{ name: r, when: ${when}, deliver: [tls] }]\ndefault: { deliver: [escrow] }\n`)
const cut = (when: string, given: Parameters<typeof factsOf>[0] = {}) => {
  const asked = policy(when)
  return relevantTo(asked)(factsOf({ subjectTags: ['secure', 'x'], size: 7, detected: { iban: 9, 'us-ssn': 1 }, ...given }), asked)
}

describe('of recorded facts a policy asks', () => {
  test('for a recipient, and of everybody else for nothing', () => {
    assert.deepEqual(
      cut('{ to: max@lab.example }'),
      factsOf({ reversePath: '', headerFrom: '', subjectTags: [], autoSubmitted: false, dsn: false, encrypted: false }),
    )
    assert.equal(cut('{ to: lab.example }').recipient, '@lab.example')
  })
  test('for the tags, finds and traits of its rules alone', () => {
    assert.deepEqual(cut('{ subject-tag: secure }').mail.subjectTags, ['secure'])
    assert.deepEqual(cut('{ detect: iban }').detected, { iban: 1 })
    assert.deepEqual([cut('{ is: signed }', { signed: true, dsn: true }).mail.signed, cut('{ is: signed }').mail.dsn], [true, false])
  })
  test('for the whole reverse-path where it may be one that a forwarder wrote', () => {
    const srs = { reversePath: 'srs0=ab=cd=lab.example=max@org.example' }
    assert.equal(cut('{ is: forwarded }', srs).reversePath, srs.reversePath)
    assert.equal(cut('{ from: org.example }', srs).reversePath, '@org.example')
  })
  test('for the header From in the place of a null reverse-path', () =>
    assert.deepEqual(
      [{ reversePath: '' }, {}].map((given) => cut('{ from: org.example }', given).mail.headerFrom),
      ['@org.example', ''],
    ))
})
