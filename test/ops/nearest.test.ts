/** What somebody probably meant. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from '../../src/ops/nearest.ts'

const words = ['smtp.listen', 'smtp.maxMessageSize', 'portal.url', 'data']

for (const [typed, meant] of [
  ['smtp.listn', 'smtp.listen'],
  ['smtp.max_message_size', 'smtp.maxMessageSize'],
  ['SMTP.LISTEN', 'smtp.listen'],
  ['portal.ulr', 'portal.url'],
  ['dtaa', 'data'],
  ['something.else.entirely', undefined],
] as const)
  test(`'${typed}' is near ${meant ?? 'nothing'}`, () => assert.equal(nearest(typed, words), meant))
