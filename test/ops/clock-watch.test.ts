/** What the gateway thinks of the time it is told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watchClock } from '../../src/ops/clock-watch.ts'

const hour = 3_600_000
const day = 24 * hour

/** A clock that can be set, a steady one beside it, and what was told. */
function world(lastKnown?: number) {
  const time = { wall: 1_000 * day, steady: 0 }
  const told: string[] = []
  const log = { error: (_: unknown, text: string) => void told.push(text), info: (text: string) => void told.push(text) }
  const watch = watchClock({ clock: () => time.wall, steady: () => time.steady, lastKnown, log: log as never })
  const pass = (milliseconds: number) => {
    time.wall += milliseconds
    time.steady += milliseconds
    return watch.believed()
  }
  return { time, told, pass, believed: watch.believed }
}

test('a clock that goes its way is believed, and so are small corrections', () => {
  const { time, told, pass } = world()
  for (let hours = 0; hours < 1000; hours++) {
    time.wall += 30 * 60_000 * (hours % 2 === 0 ? 1 : -1)
    assert.equal(pass(hour), true)
  }
  assert.deepEqual(told, [])
})

test('a clock that jumps 400 days ahead is not believed, with one alarm, and is again at once when it comes back', () => {
  const { time, told, pass, believed } = world()
  assert.equal(pass(hour), true)
  time.wall += 400 * day
  assert.equal(believed(), false)
  assert.equal(pass(5 * hour), false)
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /the clock has jumped ahead/)
  time.wall -= 400 * day
  assert.equal(believed(), true)
  assert.equal(told.length, 2)
})

test('a clock that stays ahead is believed after a day', () => {
  const { time, pass } = world()
  time.wall += 400 * day
  assert.equal(pass(hour), false)
  assert.equal(pass(22 * hour), false)
  assert.equal(pass(3 * hour), true)
  assert.equal(pass(hour), true)
})

test('a clock that is set back a day is believed: nothing is ended too early by it; and when it comes back, within a day it is again', () => {
  const { time, believed, pass } = world()
  time.wall -= day
  assert.equal(believed(), true)
  time.wall += day
  assert.equal(believed(), false, 'like any jump ahead')
  assert.equal(pass(25 * hour), true)
})

test('at the start, what was last recorded tells of a jump; an hour off is nothing, and a new installation knows of none', () => {
  const now = 1_000 * day
  assert.equal(world(now - hour).believed(), true)
  assert.equal(world(now + day).believed(), true)
  assert.equal(world().believed(), true)
  const { time, believed } = world(now - 400 * day)
  assert.equal(believed(), false)
  time.wall -= 400 * day
  assert.equal(believed(), true)
})
