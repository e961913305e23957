import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { sql } from '../../src/store/db.ts'
import { groupCommit, type Ran } from '../../src/store/group-commit.ts'

test('a roll back that fails still answers everybody, and the next write rolls back first', async () => {
  const database = new Database(':memory:')
  database.exec('CREATE TABLE item (id BIGINT PRIMARY KEY)')
  let failing = new Set<string>()
  // The engine as on a disk that breaks: the statements named in `failing` throw.
  const breaking = new Proxy(database, {
    get: (target, name) => {
      if (name !== 'prepare') return Reflect.get(target, name)
      return (text: string) => {
        const statement = target.prepare(text)
        return { run: () => (failing.has(text) ? assert.fail(`${text} failed`) : statement.run()) }
      }
    },
  })
  const run = ({ text, values }: { text: string; values: readonly unknown[] }): Ran => {
    const { changes } = database.prepare(text.replaceAll(/\$\d+/g, '?')).run(...values)
    return { rows: [], touched: changes }
  }
  const { write } = groupCommit(breaking, run)
  failing = new Set(['COMMIT', 'ROLLBACK'])
  const both = await Promise.allSettled([write([sql`INSERT INTO item VALUES (${1})`]), write([sql`INSERT INTO item VALUES (${2})`])])
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  failing = new Set()
  await write([sql`INSERT INTO item VALUES (${3})`])
  assert.deepEqual(database.prepare('SELECT id FROM item').all(), [{ id: 3 }])
  database.close()
})
