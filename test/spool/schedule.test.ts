import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted, type Deferral, nextAttempt, type Waits } from '../../src/spool/schedule.ts'

const minute = 60_000
const ordinary: Deferral = {
  retry: { then: 'failed' },
  waits: [],
  stepAttempts: 1,
  stepSince: 0,
  acceptedAt: 0,
  now: 0,
  schedule: [5, 10, 20, 40, 60].map((minutes) => minutes * minute),
  lifetime: 5 * 24 * 60 * minute,
  jitter: 0.5,
}
/** What `count` deferrals with this retry leave behind, the first of them at `since`. */
const after = (retry: Deferral['retry'], count: number, since: number): Waits =>
  Array.from({ length: count }).reduce<Waits>((waits) => counted(waits, retry, since), [])
const again = (at: number) => ({ kind: 'again', at })

test('an ordinary deferral waits 5, 10, 20, 40, 60 minutes, then 1.5 times as long up to 4 hours', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 20].map((stepAttempts) => {
    const next = nextAttempt({ ...ordinary, stepAttempts })
    return next.kind === 'again' ? next.at / minute : 0
  })
  assert.deepEqual(waits, [5, 10, 20, 40, 60, 90, 135, 202.5, 240, 240])
})

test('jitter spreads a wait by a fifth to both sides', () => {
  assert.deepEqual(nextAttempt({ ...ordinary, jitter: 0 }), again(4 * minute))
  assert.deepEqual(nextAttempt({ ...ordinary, jitter: 0.999999 }), again(6 * minute))
})

test('an ordinary deferral gets a last attempt at the end of its life, and fails then', () => {
  const end = ordinary.lifetime
  assert.deepEqual(nextAttempt({ ...ordinary, stepAttempts: 40, now: end - minute }), again(end))
  assert.deepEqual(nextAttempt({ ...ordinary, stepAttempts: 41, now: end }), { kind: 'over', then: 'failed' })
})

test('rounds come at their offsets after the first deferral of their kind, then the plan goes on', () => {
  const retry = { offsets: [0, 1, 5, 15, 30, 60].map((minutes) => minutes * minute), then: 'unsuitable' } as const
  const since = 1000
  const at = (stepAttempts: number, now: number) =>
    nextAttempt({ ...ordinary, retry, waits: after(retry, stepAttempts, since), now: since + now })
  assert.deepEqual(at(1, 0), again(since + minute))
  assert.deepEqual(at(2, minute), again(since + 5 * minute))
  assert.deepEqual(at(5, 30 * minute), again(since + 60 * minute))
  assert.deepEqual(at(6, 60 * minute), { kind: 'over', then: 'unsuitable' })
})

test('rounds slept through are not made up for: the next one in the future is taken', () => {
  const retry = { offsets: [0, 1, 5, 15, 30, 60].map((minutes) => minutes * minute), then: 'unsuitable' } as const
  assert.deepEqual(nextAttempt({ ...ordinary, retry, waits: after(retry, 2, 0), now: 20 * minute }), again(30 * minute))
  assert.deepEqual(nextAttempt({ ...ordinary, retry, waits: after(retry, 2, 0), now: 90 * minute }), { kind: 'over', then: 'unsuitable' })
})

test('an attempt that itself took long does not repeat a round that has passed', () => {
  const retry = { offsets: [0, minute], then: 'unsuitable' } as const
  assert.deepEqual(nextAttempt({ ...ordinary, retry, waits: after(retry, 1, 0), now: 2 * minute }), { kind: 'over', then: 'unsuitable' })
})

test('a patience of its own counts from the first deferral of its kind, and is no longer than the life of the message', () => {
  for (const then of ['unsuitable', 'failed'] as const) {
    const retry = { until: 10 * minute, then }
    const at = (now: number) => nextAttempt({ ...ordinary, retry, waits: after(retry, 1, 100 * minute), now })
    assert.deepEqual(at(109 * minute), again(110 * minute))
    assert.deepEqual(at(110 * minute), { kind: 'over', then })
  }
  const retry = { until: 10 * minute, then: 'failed' } as const
  const since = ordinary.lifetime - minute
  assert.deepEqual(nextAttempt({ ...ordinary, retry, waits: after(retry, 1, since), now: since }), again(ordinary.lifetime))
})

test('other trouble before it does not spend the patience with one kind of trouble', () => {
  const soft = { offsets: [0, 1, 5, 15, 30, 60].map((minutes) => minutes * minute), then: 'unsuitable' } as const
  const before = after(ordinary.retry, 7, 0)
  const first = { ...ordinary, retry: soft, stepAttempts: 8, now: 300 * minute, waits: counted(before, soft, 300 * minute) }
  assert.deepEqual(nextAttempt(first), again(301 * minute))
  const [second, third] = [counted(first.waits, ordinary.retry, 301 * minute), 306 * minute]
  assert.deepEqual(nextAttempt({ ...first, stepAttempts: 10, now: third, waits: counted(second, soft, third) }), again(315 * minute))
})

test('while no life has an end, for the clock is not believed, no patience ends for its age either', () => {
  const jumped = { ...ordinary, lifetime: Number.POSITIVE_INFINITY, now: 400 * 24 * 60 * minute }
  const next = (retry: Deferral['retry'], rounds: number) => nextAttempt({ ...jumped, retry, waits: after(retry, rounds, 0) })
  assert.deepEqual(next({ until: 60 * minute, then: 'failed' }, 2), again(jumped.now + 5 * minute))
  const offsets = [0, 30 * minute, 60 * minute]
  assert.deepEqual(next({ offsets, then: 'unsuitable' }, 2), again(jumped.now + 5 * minute))
  // All rounds were made: that is no matter of age.
  assert.deepEqual(next({ offsets, then: 'unsuitable' }, 3), { kind: 'over', then: 'unsuitable' })
})

test('trouble that began in the future, by a clock that was ahead then, begins now', () => {
  const retry = { offsets: [0, 30 * minute, 60 * minute], then: 'unsuitable' } as const
  const waits = counted(after(retry, 1, 400 * 24 * 60 * minute), retry, 0)
  assert.deepEqual(nextAttempt({ ...ordinary, retry, waits }), again(60 * minute))
})
