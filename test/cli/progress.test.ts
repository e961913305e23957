import assert from 'node:assert/strict'
import { test } from 'node:test'
import { progressLine, startProgress } from '../../src/cli/progress.ts'

test('a line of progress tells count, rate and the time left', () => {
  assert.equal(
    progressLine('decisions', 25_000, 100_000, 2500),
    `[${'#'.repeat(6)}${' '.repeat(18)}] 25,000 of 100,000 decisions, 10,000/s, 8 s left`,
  )
  assert.equal(progressLine('decisions', 0, 0, 0), `[${'#'.repeat(24)}] 0 of 0 decisions`)
})

test('progress is drawn ten times a second at most, taken away at the end, and not at all where nobody watches', () => {
  const written: string[] = []
  let now = 0
  const stream = (isTTY: boolean) => ({ isTTY, write: (text: string) => written.push(text) })
  const seen = startProgress('decisions', stream(true), () => now)
  for (now = 1; now <= 250; now++) seen.show(now, 250)
  seen.end()
  assert.equal(written.length, 4)
  assert.equal(written.at(-1), '\r\u001b[K')
  const unseen = startProgress('decisions', stream(false), () => now)
  unseen.show(1, 2)
  unseen.end()
  assert.equal(written.length, 4)
})
