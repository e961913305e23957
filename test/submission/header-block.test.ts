/** Finding the end of the header in pieces of any size. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHeaderBlock } from '../../src/submission/header-block.ts'

/** Add the text in pieces of `size` octets; the first answer that is not "more". */
function gather(text: string, size: number, limit = 100) {
  const block = createHeaderBlock(limit)
  for (let at = 0; at < text.length; at += size) {
    const found = block.add(Buffer.from(text.slice(at, at + size)))
    if (found.kind !== 'more') return found
  }
  return { kind: 'more' as const, all: block.all().toString() }
}

test('the empty line is found wherever the pieces are cut, and nothing is lost', () => {
  for (const size of [1, 2, 3, 5, 100]) {
    const found = gather('A: b\r\nC: d\r\n\r\nbody', size)
    assert.ok(found.kind === 'whole')
    assert.equal(found.header.toString(), 'A: b\r\nC: d\r\n')
    assert.ok('\r\n\r\nbody'.slice(2).startsWith(found.rest.toString()))
  }
})

test('a message that begins with an empty line has no header', () => {
  const found = gather('\r\nbody', 1)
  assert.ok(found.kind === 'whole')
  assert.equal(found.header.length, 0)
})

test('without an empty line everything is header', () => {
  assert.deepEqual(gather('A: b\r\n', 2), { kind: 'more', all: 'A: b\r\n' })
})

test('a header beyond the limit is given up, in one piece or in many', () => {
  const text = `A: ${'x'.repeat(200)}\r\n\r\n`
  assert.equal(gather(text, 1000).kind, 'too-large')
  assert.equal(gather(text, 1).kind, 'too-large')
  assert.equal(gather(`A: ${'x'.repeat(95)}\r\n\r\n${'y'.repeat(500)}`, 1000).kind, 'whole')
})
