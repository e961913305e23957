/** The decision table as a pure function. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sentence } from '../../src/mail/outcome.ts'
import { columns, mostHopeful, type Published, type Row, rows, strictest, type Trouble } from '../../src/transport/trouble.ts'
import { type Circumstances, rounds, tlsFailure, verdict } from '../../src/transport/verdict.ts'

const minute = 60_000
const hour = 60 * minute
const usual: Circumstances = { published: 'none', need: 'forced', soft: hour, ratchet: 4 * hour, enforced: 24 * hour, patience: undefined }
const trouble = (row: Row, host = 'mx.a.example'): Trouble => ({ row, text: `${row} at ${host}`, evidence: { host } })

test('every row has a verdict, and only what passes by itself waits', () => {
  const kinds = new Map(rows.map((row) => [row, verdict(trouble(row), usual).kind]))
  const of = (kind: string) => rows.filter((row) => kinds.get(row) === kind)
  assert.deepEqual(of('unsuitable'), [
    'too-large',
    'eightbit',
    'no-shared-tls',
    'not-trusted',
    'name-mismatch',
    'too-low',
    'starttls-not-offered',
  ])
  assert.deepEqual(of('failed'), [
    'recipient-5yz',
    'content-5yz',
    'sender-5yz',
    'content-damaged',
    'smtputf8',
    'mail-loop',
    'null-mx',
    'domain-not-found',
  ])
  assert.equal(kinds.size, rows.length)
})

test('what cannot reach the recipient at all, or may have, never falls back to another method', () => {
  for (const row of [
    'in-doubt',
    'unreachable',
    'dns-temporary',
    'local-fault',
    'remote-4yz',
    'connection-lost',
    'greeting-5yz',
    'recipient-4yz',
  ] as const) {
    const outcome = verdict(trouble(row), { ...usual, patience: minute })
    assert.equal(outcome.kind === 'deferred' && outcome.retry.then, 'failed', row)
  }
})

test('rounds are drawn together for a shorter time and go on hourly for a longer one', () => {
  assert.deepEqual(
    rounds(60 * minute),
    [0, 1, 5, 15, 30, 60].map((m) => m * minute),
  )
  assert.deepEqual(rounds(6 * minute), [0, 6_000, 30_000, 90_000, 180_000, 360_000])
  assert.deepEqual(
    rounds(90 * minute),
    [0, 1, 5, 15, 30, 60, 90].map((m) => m * minute),
  )
  assert.deepEqual(
    rounds(150 * minute),
    [0, 1, 5, 15, 30, 60, 120, 150].map((m) => m * minute),
  )
})

test('the patience of the rule replaces the setting', () => {
  const outcome = verdict(trouble('expired'), { ...usual, patience: 6 * minute })
  assert.deepEqual(outcome.kind === 'deferred' && outcome.retry, { offsets: rounds(6 * minute), then: 'unsuitable' })
  assert.match(sentence(outcome), /; we try again for 6 minutes before another way is taken$/)
})

test('the most hopeful trouble decides', () => {
  const pick = (...list: readonly [Row, ...Row[]]) => {
    const [first, ...others] = list.map((row, i) => trouble(row, `mx${i}.a.example`))
    assert.ok(first)
    return mostHopeful([first, ...others]).row
  }
  assert.equal(pick('starttls-not-offered', 'unreachable'), 'unreachable')
  assert.equal(pick('not-trusted', 'expired'), 'expired')
  assert.equal(pick('greeting-5yz', 'starttls-not-offered'), 'starttls-not-offered')
  assert.equal(pick('starttls-not-offered', 'in-doubt', 'unreachable'), 'in-doubt')
})

test('a dead address of a host that was reached at another does not count', () => {
  assert.equal(
    mostHopeful([trouble('unreachable', 'mx.a.example'), trouble('starttls-not-offered', 'mx.a.example')]).row,
    'starttls-not-offered',
  )
  assert.equal(mostHopeful([trouble('unreachable', 'mx.a.example'), trouble('starttls-not-offered', 'mx.b.example')]).row, 'unreachable')
  assert.equal(mostHopeful([trouble('unreachable'), trouble('unreachable')]).row, 'unreachable')
})

test('a status of the other side is kept, but never a temporary one for a failure', () => {
  const refused = verdict({ ...trouble('recipient-5yz'), status: '5.2.1' }, usual)
  assert.equal(refused.kind === 'failed' && refused.status, '5.2.1')
  const odd = verdict({ ...trouble('sender-5yz'), status: '4.0.0' }, usual)
  assert.equal(odd.kind === 'failed' && odd.status, '5.1.0')
})

/** Spec transport, "Outcomes": what each row means in the columns nothing, ratchet, STS enforce, DANE. */
const spec: { readonly [row in Row]: readonly [string, string, string, string, string] } = {
  'starttls-not-offered': ['now', '4 h', '24 h', '24 h', 'starttls-not-supported'],
  'starttls-4yz': ['1 h', '4 h', '24 h', '24 h', 'starttls-not-supported'],
  'starttls-5yz': ['5 min', '4 h', '24 h', '24 h', 'starttls-not-supported'],
  'no-shared-tls': ['now', '4 h', '24 h', '24 h', 'validation-failure'],
  'tls-broken': ['1 h', '4 h', '24 h', '24 h', 'validation-failure'],
  'not-trusted': ['now', '4 h', '24 h', '24 h', 'certificate-not-trusted'],
  'name-mismatch': ['now', '4 h', '24 h', '24 h', 'certificate-host-mismatch'],
  expired: ['1 h', '4 h', '24 h', '24 h', 'certificate-expired'],
  'mx-not-in-policy': ['24 h', '4 h', '24 h', '24 h', 'validation-failure'],
  'tlsa-mismatch': ['24 h', '4 h', '24 h', '24 h', 'validation-failure'],
  'tlsa-invalid': ['24 h', '4 h', '24 h', '24 h', 'tlsa-invalid'],
  'dnssec-invalid': ['24 h', '4 h', '24 h', '24 h', 'dnssec-invalid'],
  'too-low': ['now', 'now', 'now', 'now', 'assurance-too-low'],
  'dns-temporary': ['life', 'life', 'life', 'life', 'dns-temporary'],
  'domain-not-found': ['bounce 5.1.2', 'bounce 5.1.2', 'bounce 5.1.2', 'bounce 5.1.2', 'domain-not-found'],
  'null-mx': ['bounce 5.1.10', 'bounce 5.1.10', 'bounce 5.1.10', 'bounce 5.1.10', 'null-mx'],
  'mx-unresolvable': ['4 h, bounce 5.4.4', '4 h, bounce 5.4.4', '4 h, bounce 5.4.4', '4 h, bounce 5.4.4', 'mx-unresolvable'],
  'address-not-allowed': ['4 h, bounce 5.4.4', '4 h, bounce 5.4.4', '4 h, bounce 5.4.4', '4 h, bounce 5.4.4', 'address-not-allowed'],
  'mail-loop': ['bounce 5.4.6', 'bounce 5.4.6', 'bounce 5.4.6', 'bounce 5.4.6', 'mail-loop'],
  unreachable: ['life', 'life', 'life', 'life', 'unreachable'],
  'remote-4yz': ['life', 'life', 'life', 'life', 'remote-temporary'],
  'greeting-5yz': ['24 h, bounce 5.3.0', '24 h, bounce 5.3.0', '24 h, bounce 5.3.0', '24 h, bounce 5.3.0', 'remote-refused'],
  'sender-5yz': ['bounce 5.1.0', 'bounce 5.1.0', 'bounce 5.1.0', 'bounce 5.1.0', 'remote-refused'],
  'recipient-5yz': ['bounce 5.1.1', 'bounce 5.1.1', 'bounce 5.1.1', 'bounce 5.1.1', 'recipient-refused'],
  'recipient-4yz': ['life', 'life', 'life', 'life', 'recipient-deferred'],
  'too-large': ['now', 'now', 'now', 'now', 'message-too-large'],
  'content-5yz': ['bounce 5.6.0', 'bounce 5.6.0', 'bounce 5.6.0', 'bounce 5.6.0', 'content-refused'],
  'content-damaged': ['bounce 5.6.0', 'bounce 5.6.0', 'bounce 5.6.0', 'bounce 5.6.0', 'content-damaged'],
  'connection-lost': ['life', 'life', 'life', 'life', 'connection-lost'],
  'in-doubt': ['once more', 'once more', 'once more', 'once more', 'in-doubt'],
  smtputf8: ['bounce 5.6.7', 'bounce 5.6.7', 'bounce 5.6.7', 'bounce 5.6.7', 'smtputf8-unsupported'],
  eightbit: ['now', 'now', 'now', 'now', 'eightbit-unsupported'],
  'local-fault': ['life', 'life', 'life', 'life', 'local-fault'],
}

/** An outcome in the words of the table above. */
function told(outcome: ReturnType<typeof verdict>): string {
  const { kind } = outcome
  if (kind === 'unsuitable') return 'now'
  if (kind === 'failed') return `bounce ${outcome.status}`
  if (kind === 'delivered') return kind
  const { offsets, until, then } = outcome.retry
  const last = (offsets?.at(-1) ?? until ?? 0) / minute
  const time = last >= 60 ? `${last / 60} h` : `${last} min`
  if (then === 'unsuitable') return offsets === undefined ? 'waits' : time
  if (offsets !== undefined) return 'once more'
  return until === undefined ? 'life' : `${time}, bounce ${outcome.status}`
}

const published = ['none', 'ratchet', 'sts-enforce', 'dane'] as const
for (const row of rows) {
  test(`the table, row ${row}: ${spec[row].slice(0, 4).join(' | ')}`, () => {
    const outcomes = published.map((column) => verdict(trouble(row), { ...usual, published: column }))
    assert.deepEqual([...outcomes.map(told)], spec[row].slice(0, 4))
    for (const outcome of outcomes) assert.equal('reason' in outcome && outcome.reason, spec[row][4])
    assert.deepEqual(
      told(verdict(trouble(row), { ...usual, published: 'sts-testing' })),
      spec[row][0],
      'what STS testing fails is judged as if nothing were published',
    )
    assert.equal(tlsFailure(row), spec[row][1] === '4 h' ? spec[row][4] : undefined)
  })
}

test('what falls back from the ratchet does so as a suspected downgrade that keeps its cause', () => {
  const outcome = verdict(trouble('starttls-not-offered'), { ...usual, published: 'ratchet', verifiedAt: Date.UTC(2026, 0, 3) })
  assert.ok(outcome.kind === 'deferred')
  assert.deepEqual([outcome.reason, outcome.retry.as], ['starttls-not-supported', 'downgrade-suspected'])
  assert.deepEqual(
    [outcome.evidence.published, outcome.evidence.verifiedAt, outcome.evidence.cause],
    ['ratchet', '2026-01-03T00:00:00.000Z', 'starttls-not-supported'],
  )
  assert.match(outcome.text, /, though verified TLS was seen there on 2026-01-03: a downgrade is suspected$/)
  for (const column of columns.filter((one) => one !== 'ratchet')) {
    const other = verdict(trouble('starttls-4yz'), { ...usual, published: column })
    assert.equal(other.kind === 'deferred' && other.retry.as, undefined, column)
  }
})

test('a rule can be more patient with a ratchet or an enforced domain, never less', () => {
  const last = (column: Published, patience: number) => {
    const outcome = verdict(trouble('tls-broken'), { ...usual, published: column, patience })
    return outcome.kind === 'deferred' && outcome.retry.offsets?.at(-1)
  }
  assert.deepEqual([last('ratchet', minute), last('ratchet', 9 * hour)], [4 * hour, 9 * hour])
  assert.deepEqual([last('sts-enforce', minute), last('dane', 48 * hour)], [24 * hour, 48 * hour])
})

test('mail that may travel in clear waits for a domain that publishes a policy (N2), and a ratchet does not hold it', () => {
  for (const row of rows.filter((one) => tlsFailure(one) !== undefined)) {
    for (const column of ['sts-enforce', 'dane'] as const) {
      const outcome = verdict(trouble(row), { ...usual, need: 'clear', published: column })
      assert.deepEqual(outcome.kind === 'deferred' && outcome.retry, { then: 'unsuitable' }, `${row} ${column}`)
    }
    assert.deepEqual(
      verdict(trouble(row), { ...usual, need: 'clear', published: 'ratchet' }).kind,
      verdict(trouble(row), { ...usual, need: 'clear' }).kind,
    )
  }
})

test('over several hosts the strictest binding counts', () => {
  assert.equal(strictest([]), 'none')
  assert.equal(strictest([undefined, 'ratchet', 'sts-testing']), 'ratchet')
  assert.equal(strictest(['sts-enforce', 'dane', 'none']), 'dane')
})
