import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { takeServingLock } from '../../src/store/serving-lock.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'))
})
after(() => rm(folder, { recursive: true, force: true }))

test('one at a time holds the lock, its file is the owner’s alone, and it can be taken again when given back', async () => {
  const path = join(folder, 'serving.lock')
  const giveBack = takeServingLock(path) ?? assert.fail('the lock is free')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal(takeServingLock(path), undefined)
  giveBack()
  const again = takeServingLock(path) ?? assert.fail('the lock was given back')
  again()
})
