import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTurnstile } from '../../src/ops/turnstile.ts'

test('a turnstile lets so many through at once, so many wait, and turns the rest away', async () => {
  const turnstile = createTurnstile({ atOnce: 2, waiting: 1 })
  const open: (() => void)[] = []
  let running = 0
  let highest = 0
  const work = () => {
    running += 1
    highest = Math.max(highest, running)
    return new Promise<string>((done) =>
      open.push(() => {
        running -= 1
        done('done')
      }),
    )
  }
  const all = [turnstile(work), turnstile(work), turnstile(work), turnstile(work)]
  assert.equal(await all[3], undefined)
  while (open.length > 0 || running > 0) {
    open.shift()?.()
    await new Promise(setImmediate)
  }
  assert.deepEqual(await Promise.all(all), ['done', 'done', 'done', undefined])
  assert.equal(highest, 2)
  const fails = turnstile(() => Promise.reject(new Error('no')))
  await assert.rejects(fails)
  const later = turnstile(work)
  open.shift()?.()
  assert.equal(await later, 'done')
})
