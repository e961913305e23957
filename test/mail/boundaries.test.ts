import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBoundaries } from '../../src/mail/boundaries.ts'

const line = (text: string) => Buffer.from(text, 'latin1')

test('a boundary is found with its line end, with white space after it, and not within a longer word', () => {
  const { enter, find } = createBoundaries()
  assert.equal(find(line('--a\r\n')), 'none')
  assert.equal(enter('a'), 1)
  assert.deepEqual(find(line('--a\r\n')), { level: 1, closing: false })
  assert.deepEqual(find(line('--a-- \t\r\n')), { level: 1, closing: true })
  for (const other of ['--ab\r\n', '-a\r\n', ' --a\r\n', '--a---\r\n', `--a${' '.repeat(1000)}\r\n`])
    assert.equal(find(line(other)), 'none')
})

test('an outer boundary ends what is inside it, a closing one its own multipart', () => {
  const { enter, find, leave, depth } = createBoundaries()
  for (const name of ['a', 'b', 'c']) enter(name)
  const outer = find(line('--a\r\n'))
  assert.ok(outer !== 'none')
  leave(outer)
  assert.equal(depth(), 1)
  assert.equal(find(line('--b\r\n')), 'none')
  const last = find(line('--a--\r\n'))
  assert.ok(last !== 'none')
  leave(last)
  assert.equal(depth(), 0)
  assert.equal(find(line('--a\r\n')), 'none')
})

test('of two multiparts with one boundary the inner one is meant', () => {
  const { enter, find } = createBoundaries()
  enter('b--')
  enter('b')
  enter('b')
  assert.deepEqual(find(line('--b\r\n')), { level: 3, closing: false })
  assert.deepEqual(find(line('--b--\r\n')), { level: 3, closing: true })
  assert.deepEqual(find(line('--b----\r\n')), { level: 1, closing: true })
})
