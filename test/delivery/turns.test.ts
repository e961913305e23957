import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTurns } from '../../src/delivery/turns.ts'

const soon = () => new Promise((resolve) => setImmediate(resolve))

/** Turns at destinations with this much room; who has begun, in order. */
function play(room: () => number, nameOf = (domain: string) => domain) {
  const turns = createTurns(room, nameOf)
  const begun: string[] = []
  const leaves = new Map<string, () => void>()
  const ask = (who: string, domain = 'lab.example') =>
    void turns.take(domain).then((leave) => {
      begun.push(who)
      leaves.set(who, leave)
    })
  return { ask, begun, leave: (who: string) => leaves.get(who)?.(), open: turns.open }
}

test('as many begin as the destination has room for, the others in the order of asking', async () => {
  const { ask, begun, leave } = play(() => 2)
  for (const who of ['a', 'b', 'c', 'd']) ask(who)
  await soon()
  assert.deepEqual(begun, ['a', 'b'])
  leave('b')
  await soon()
  assert.deepEqual(begun, ['a', 'b', 'c'])
})

test('a turn that is ended twice ends once', async () => {
  const { ask, begun, leave } = play(() => 1)
  for (const who of ['a', 'b', 'c']) ask(who)
  await soon()
  leave('a')
  leave('a')
  await soon()
  assert.deepEqual(begun, ['a', 'b'])
})

test('room that grew is used, and one may begin even where there is none: it finds out whether the host is up again', async () => {
  let room = 0
  const { ask, begun, leave } = play(() => room)
  for (const who of ['a', 'b', 'c', 'd']) ask(who)
  await soon()
  assert.deepEqual(begun, ['a'])
  room = 2
  leave('a')
  await soon()
  assert.deepEqual(begun, ['a', 'b', 'c'])
})

test('domains of one destination take turns with each other, those of another do not wait', async () => {
  const { ask, begun } = play(
    () => 1,
    (domain) => (domain.endsWith('.example') ? 'smarthost' : domain),
  )
  ask('a', 'lab.example')
  ask('b', 'shop.example')
  ask('c', 'lab.test')
  await soon()
  assert.deepEqual(begun, ['a', 'c'])
})

test('once opened nobody waits', async () => {
  const { ask, begun, open } = play(() => 1)
  for (const who of ['a', 'b', 'c']) ask(who)
  open()
  ask('d')
  await soon()
  assert.deepEqual(begun.sort(), ['a', 'b', 'c', 'd'])
})
