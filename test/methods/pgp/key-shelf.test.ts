import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Key } from 'openpgp'
import { createKeyShelf } from '../../../src/methods/pgp/key-shelf.ts'

function counting(limits?: Parameters<typeof createKeyShelf>[1]) {
  const reads: string[] = []
  const shelf = createKeyShelf(async (armored) => {
    reads.push(armored)
    if (armored === 'bad') throw new Error('no key')
    return { name: armored } as unknown as Key
  }, limits)
  return { reads, shelf }
}

test('a key is read once, another text is another key', async () => {
  const { reads, shelf } = counting()
  const [one, again] = await Promise.all([shelf.read('a'), shelf.read('a')])
  assert.equal(one, again)
  assert.notEqual(await shelf.read('b'), one)
  assert.deepEqual(reads, ['a', 'b'])
})

test('the key that was not used longest goes when there are too many, or too large ones', async () => {
  const { reads, shelf } = counting({ keys: 2, characters: 10 })
  for (const text of ['a', 'b', 'a', 'c', 'a', 'b']) await shelf.read(text)
  assert.deepEqual(reads, ['a', 'b', 'c', 'b'])
  await shelf.read('12345678901')
  await shelf.read('a')
  assert.deepEqual(reads.slice(-2), ['12345678901', 'a'])
})

test('a text that is no key is not kept', async () => {
  const { reads, shelf } = counting()
  await assert.rejects(shelf.read('bad'))
  await assert.rejects(shelf.read('bad'))
  assert.deepEqual(reads, ['bad', 'bad'])
})
