import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClosers } from '../../src/ops/closers.ts'

test('everything is closed in reverse order, once, though one of it throws and one never ends', async () => {
  const [order, told]: [string[], string[]] = [[], []]
  const closers = createClosers({ error: (fields, text) => void told.push(`${JSON.stringify(fields)} ${text}`) }, 50)
  closers.add('database', () => void order.push('database'))
  closers.add('hangs', () => new Promise(() => order.push('hangs')))
  closers.add('throws', () => {
    order.push('throws')
    throw new Error('no')
  })
  closers.add('rejects', async () => {
    order.push('rejects')
    throw new Error('no')
  })
  await closers.close()
  await closers.close()
  assert.deepEqual(order, ['rejects', 'throws', 'hangs', 'database'])
  assert.deepEqual(
    told.map((line) => /"what":"(\w+)"/.exec(line)?.[1]),
    ['rejects', 'throws', 'hangs'],
  )
})
