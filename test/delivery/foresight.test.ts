import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { openForesight } from '../../src/delivery/foresight.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-foresight-'))
  path = join(folder, 'planning-ahead')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A run of the gateway: does it plan ahead, and was it told why not? */
function run() {
  let told = 0
  const { plan, close } = openForesight(path, () => told++)
  return { plan: plan ?? ((work) => work()), ahead: plan !== undefined, told, close }
}

test('the first run, and one after a planning that ended, plan ahead', async () => {
  const first = run()
  assert.deepEqual([first.ahead, first.told], [true, 0])
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal(await first.plan(async () => 7), 7)
  await assert.rejects(
    first.plan(() => Promise.reject(new Error('a bug'))),
    /a bug/,
  )
  first.close()
  assert.equal(run().ahead, true)
})

test('a run after one that ended while it planned ahead does not, says so, and the one after it does', async () => {
  const ended = run()
  let finish = () => {}
  const last = ended.plan(() => new Promise<void>((resolve) => (finish = resolve)))
  await ended.plan(async () => undefined) // another that ends meanwhile does not take the mark away
  const next = run()
  assert.deepEqual([next.ahead, next.told], [false, 1])
  assert.equal(run().ahead, true)
  finish()
  await last
})

test('a planning that ends after the mark was closed writes nowhere', async () => {
  const stopped = run()
  let finish = () => {}
  const last = stopped.plan(() => new Promise<void>((resolve) => (finish = resolve)))
  stopped.close()
  const before = await readFile(path)
  finish()
  await last
  assert.deepEqual(await readFile(path), before)
})
