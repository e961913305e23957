/** The decision table as a pure function. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sentence } from '../../src/mail/outcome.ts'
import { mostHopeful, type Row, rows, type Trouble } from '../../src/transport/trouble.ts'
import { type Circumstances, rounds, verdict } from '../../src/transport/verdict.ts'

const minute = 60_000
const usual: Circumstances = { published: 'none', need: 'forced', soft: 60 * minute, patience: undefined }
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
