import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { gathered } from '../../src/store/gathered.ts'

test('what is asked for at once is done once, and what is asked for during a run is done by another', async () => {
  let begun = 0
  let release = () => {}
  const { ask, finish } = gathered(async () => {
    begun += 1
    await new Promise<void>((resolve) => {
      release = resolve
    })
  }, 1)
  const first = [ask(), ask()]
  await pause(5)
  assert.equal(begun, 1)
  const second = ask()
  await pause(5)
  assert.equal(begun, 1)
  release()
  await Promise.all(first)
  await pause(20)
  assert.equal(begun, 2)
  release()
  await second
  await finish()
})

test('a run waits for its time, unless it has to finish', async () => {
  let begun = 0
  const { ask, finish } = gathered(async () => {
    begun += 1
  }, 60_000)
  await ask()
  const later = ask()
  await pause(20)
  assert.equal(begun, 1)
  await finish()
  await later
  assert.equal(begun, 2)
})

test('a run that fails tells those who asked for it, and the next one is done', async () => {
  let begun = 0
  const { ask } = gathered(async () => {
    begun += 1
    if (begun === 1) throw new Error('the disk is full')
  }, 1)
  await assert.rejects(ask(), /the disk is full/)
  await ask()
  assert.equal(begun, 2)
})
