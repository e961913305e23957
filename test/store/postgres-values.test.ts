import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plannedAnew, sql } from '../../src/store/db.ts'
import { prepared } from '../../src/store/postgres-values.ts'

const look = (value: string | number | null) => sql`SELECT id FROM message WHERE id = ${value}`

test('a text has one name for each kinds of parameters, for the server keeps its plan by them', () => {
  const [one, same, other] = [prepared(look('a')), prepared(look('b')), prepared(look(1))]
  assert.ok(one.name)
  assert.equal(same.name, one.name)
  assert.ok(other.name)
  assert.notEqual(other.name, one.name)
  assert.equal(prepared(look(2)).name, other.name)
})

test('what joins a table that grows has no name: it is planned each time', () => {
  assert.equal(prepared(plannedAnew(sql`UPDATE message SET epoch = NULL WHERE id = ${'a'}`)).name, undefined)
})
