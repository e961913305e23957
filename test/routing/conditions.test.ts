import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PlanFacts } from '../../src/routing/facts.ts'
import { judge } from '../../src/routing/match.ts'
import { plan, undecided } from '../../src/routing/plan.ts'
import { factsOf, policyOf, problemsOf } from './world.ts'

const withRule = (when: string, more = '') => `version: 1
detectors:
  project-x: { words: [Project X, 4711], threshold: 2 }
rules:
  - name: one
    when: ${when}
    deliver: [escrow]
${more}default: { deliver: [tls] }
`

function judged(when: string, facts: Parameters<typeof factsOf>[0]) {
  const policy = policyOf(withRule(when))
  const [rule] = policy.rules
  assert.ok(rule)
  return judge(rule.when, factsOf(facts), policy)
}

type Row = readonly [when: string, facts: Parameters<typeof factsOf>[0], matched: boolean | 'unknown', because: string]
const client = (address: string, authenticatedAs: string | null = null): NonNullable<PlanFacts['client']> => ({ address, authenticatedAs })

const table: readonly Row[] = [
  [
    '{ header: { Sensitivity: [private, company-confidential] } }',
    { headers: { sensitivity: ['Company-Confidential'] } },
    true,
    'header Sensitivity is company-confidential',
  ],
  ['{ header: { Sensitivity: private } }', { headers: { sensitivity: ['personal'] } }, false, 'header Sensitivity is not private'],
  ['{ header: { Sensitivity: private } }', { headers: { sensitivity: [] } }, false, 'header Sensitivity is not there'],
  ['{ header: { Sensitivity: private } }', {}, 'unknown', 'header Sensitivity is not known'],
  [
    '{ header: { msip_labels: { contains: "Name=Secret" } } }',
    { headers: { msip_labels: ['MSIP_Label_1_Enabled=true; MSIP_Label_1_Name=Secret;'] } },
    true,
    'header msip_labels contains Name=Secret',
  ],
  ['{ header: { X-Priority: 1 } }', { headers: { 'x-priority': ['1'] } }, true, 'header X-Priority is 1'],
  ['{ header: { List-Id: { present: true } } }', { headers: { 'list-id': ['<a.example>'] } }, true, 'header List-Id is there'],
  ['{ header: { List-Id: { present: false } } }', { headers: { 'list-id': ['<a.example>'] } }, false, 'header List-Id is there'],
  ['{ header: { A: x, B: y } }', { headers: { a: ['x'], b: ['z'] } }, false, 'header B is not y'],
  ['{ size: { over: 1MiB } }', { size: 1_048_577 }, true, 'size is 1048577 bytes'],
  ['{ size: { over: 1MiB } }', { size: 1_048_576 }, false, 'size is 1048576 bytes'],
  ['{ size: { over: 1KiB, under: 2KiB } }', { size: 2048 }, false, 'size is 2048 bytes'],
  ['{ size: { under: 1KiB } }', {}, 'unknown', 'size is not known'],
  ['{ detect: [payment-card, iban] }', { detected: { 'payment-card': 0, iban: 2 } }, true, 'iban was found (2)'],
  ['{ detect: medical-terms }', { detected: { 'medical-terms': 2 } }, false, 'no medical-terms was found'],
  ['{ detect: project-x }', { detected: { 'project-x': 1 } }, false, 'no project-x was found'],
  ['{ detect: project-x }', { detected: { 'project-x': 2 } }, true, 'project-x was found (2)'],
  ['{ detect: iban }', {}, 'unknown', 'detect is not known'],
  ['{ detect: [iban, us-ssn] }', { detected: { iban: 1 } }, true, 'iban was found (1)'],
  ['{ not: { detect: iban } }', { detected: 'unreadable' }, false, 'the content could not be looked into, which counts as found'],
  ['{ authenticated-as: [Scanner] }', { client: client('192.0.2.7', 'scanner') }, true, 'the client authenticated as scanner'],
  ['{ authenticated-as: scanner }', { client: client('192.0.2.7') }, false, 'the client did not authenticate'],
  ['{ client: [10.0.0.0/8, 192.0.2.7] }', { client: client('192.0.2.7') }, true, 'the client is 192.0.2.7 (192.0.2.7/32)'],
  ['{ client: 192.0.2.0/24 }', { client: client('::ffff:192.0.2.9') }, true, 'the client is ::ffff:192.0.2.9 (192.0.2.0/24)'],
  ['{ client: "2001:db8::/32" }', { client: client('192.0.2.9') }, false, 'the client is 192.0.2.9'],
  ['{ is: [signed, calendar] }', { calendar: true, signed: false }, true, 'mail is calendar'],
  ['{ is: rights-managed }', {}, 'unknown', 'is: rights-managed is not known'],
  ['{ is: forwarded }', { reversePath: 'SRS0=abc=xy=other.example=max@org.example' }, true, 'mail is forwarded'],
  ['{ is: forwarded }', { forwarded: false }, false, 'mail is not forwarded'],
  ['{ any: [{ size: { over: 1B } }, { to: lab.example }] }', {}, true, 'to is lab.example'],
  ['{ all: [{ size: { over: 1B } }, { to: x.example }] }', {}, false, 'to is lab.example'],
  ['{ all: [{ detect: iban }, { size: { over: 1B } }] }', {}, 'unknown', 'detect and size are not known'],
]

describe('a condition', () => {
  for (const [when, facts, matched, because] of table)
    test(`${when} answers ${matched} to ${JSON.stringify(facts)}: ${because}`, () => {
      const verdict = judged(when, facts)
      assert.deepEqual({ matched: verdict.matched, because: verdict.because }, { matched, because })
    })

  test('that cannot be answered counts as met in a plan, and undecided names what is missing', () => {
    const policy = policyOf(withRule('{ detect: iban, size: { over: 1B } }'))
    assert.equal(plan(policy, factsOf()).rule.name, 'one')
    assert.deepEqual(undecided(policy, factsOf({ size: 5 })), ['detect'])
    assert.deepEqual(undecided(policy, factsOf({ size: 0 })), [])
    assert.deepEqual(undecided(policy, factsOf({ size: 5, detected: { iban: 0 } })), [])
  })
})

describe('a mistake', () => {
  const mistakes: readonly (readonly [when: string, text: RegExp, hint?: RegExp])[] = [
    ['{ header: Sensitivity }', /expected a mapping of header names to values/],
    ['{ header: { "a b": x } }', /"a b" is no name of a header field/],
    ['{ header: { A: { contain: x } } }', /header key "contain" is unknown/, /did you mean "contains"/],
    ['{ header: { A: { contains: x, equals: y } } }', /expected one of equals, contains or present/],
    ['{ header: { A: { present: maybe } } }', /expected true or false, found "maybe"/],
    ['{ size: 10MiB }', /expected a mapping of over or under, found "10MiB"/],
    ['{ size: {} }', /size needs over or under/],
    ['{ size: { over: ten } }', /over must be a size such as/],
    ['{ size: { over: 2MiB, under: 1MiB } }', /no size is over the first and under the second/],
    ['{ detect: payment-cart }', /detector "payment-cart" is unknown/, /did you mean "payment-card"/],
    ['{ detect: [] }', /an empty list of detectors/],
    ['{ client: lab.example }', /client must be a network such as/],
    ['{ client: "tenant:contoso" }', /client: tenant:… is not available in this version/],
    ['{ authenticated-as: [] }', /an empty list of user names/],
  ]
  for (const [when, text, hint] of mistakes)
    test(`in ${when} is told with its place and what was expected`, () => {
      const [problem, ...more] = problemsOf(withRule(when))
      assert.deepEqual(more, [])
      assert.match(problem?.text ?? '', text)
      assert.equal(problem?.line, 6)
      if (hint) assert.match(problem?.hint ?? '', hint)
    })
})
