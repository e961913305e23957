import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId, newMessageId, newReference } from '../../src/mail/id.ts'

test('ids are 26 lower-case Crockford characters, all different, and sort by age', () => {
  const ids = Array.from({ length: 5000 }, () => newId())
  assert.ok(ids.every((id) => /^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(id)))
  assert.deepEqual([...ids].sort(), ids)
  assert.equal(new Set(ids).size, ids.length)
})

test('an id made when the clock stepped back still sorts after the one before', () => {
  const later = newId(Date.now() + 60_000)
  assert.ok(newId(Date.now() - 60_000) > later)
})

test('a reference can be read over the telephone', () => {
  for (let i = 0; i < 200; i++) assert.match(newReference(), /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
})

test('a Message-ID has brackets and our host name', () => assert.match(newMessageId('gw.org.example'), /^<[0-9a-z]{26}@gw\.org\.example>$/))
