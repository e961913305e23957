import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createBudget } from '../../../src/methods/pgp/budget.ts'

test('takers beyond the total wait in order until something is given back', async () => {
  const budget = createBudget(10)
  const order: string[] = []
  const take = async (name: string, amount: number) => {
    const giveBack = await budget.take(amount)
    order.push(name)
    return giveBack
  }
  const first = await take('first', 6)
  const second = take('second', 6)
  const third = take('third', 2)
  await turn()
  assert.deepEqual(order, ['first'], 'a small one does not overtake: the large one would starve')
  first()
  await Promise.all([second, third])
  assert.deepEqual(order, ['first', 'second', 'third'])
})

test('more than all there is counts as all, and giving back twice counts once', async () => {
  const budget = createBudget(10)
  const all = await budget.take(1000)
  all()
  all()
  const half = await budget.take(5)
  let more = false
  const rest = budget.take(6).then(() => {
    more = true
  })
  await turn()
  assert.equal(more, false)
  half()
  await rest
})
