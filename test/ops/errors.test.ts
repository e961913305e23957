/** The exit codes that scripts rely on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommandError, exitCodes, notAvailable } from '../../src/ops/errors.ts'

test('the exit codes are those of sysexits.h', () => {
  assert.deepEqual(exitCodes, { ok: 0, usage: 64, badData: 65, unavailable: 69, tryLater: 75, notAllowed: 77, settings: 78 })
})

test('a command error carries its code and its sentence', () => {
  const error = new CommandError('settings', 'smtp.listn is not a setting')
  assert.equal(error.exitCode, 78)
  assert.equal(error.message, 'smtp.listn is not a setting')
  assert.equal(notAvailable('`letterlock backup`').message, '`letterlock backup` is not available in this version')
})
