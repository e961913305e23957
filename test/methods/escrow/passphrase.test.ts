import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { mixPhrase, newPhrase, readPhrase } from '../../../src/methods/escrow/passphrase.ts'
import { packageRoot } from '../../../src/ops/package-root.ts'

const list = readFileSync(join(packageRoot, 'public', 'words', 'eff-large.txt'), 'utf8')
  .trim()
  .split('\n')

test('a passphrase is four words of the list of 7,776', () => {
  assert.equal(new Set(list).size, 7776)
  const phrases = Array.from({ length: 200 }, newPhrase)
  for (const phrase of phrases) {
    const words = phrase.split(' ')
    assert.equal(words.length, 4)
    for (const word of words) assert.ok(list.includes(word), word)
  }
  assert.equal(new Set(phrases).size, 200)
})

test('every word of the list is read as it stands there, whatever comes between', () => {
  for (let at = 0; at + 4 <= list.length; at += 4) {
    const four = list.slice(at, at + 4)
    const plain = readPhrase(four.join(' '))
    assert.ok(plain !== undefined, four.join(' '))
    assert.equal(readPhrase(` ${four.join(',  ').toUpperCase()}.\r\n`), plain)
  }
})

test('what cannot be four words is no try', () => {
  for (const input of ['', '   ', 'river', '48291306', 'one two', 'x'.repeat(5000)]) assert.equal(readPhrase(input), undefined, input)
})

test('the key is of Argon2id with 64 MiB and three passes, and another one with another salt or word', async () => {
  const salt = Buffer.alloc(16, 7)
  const key = await mixPhrase('river copper seven lamp', salt)
  // By another implementation (Python's cryptography, over OpenSSL): Argon2id(salt, length=32, iterations=3, lanes=1, memory_cost=65536).
  assert.equal(key?.toString('hex'), '5ef08752bc38110959cca1f6c03718ca54a0189adfbb183ffe0422494f61f7ad')
  assert.deepEqual(await mixPhrase('River, copper – seven lamp!', salt), key)
  assert.notDeepEqual(await mixPhrase('river copper seven lamps', salt), key)
  assert.notDeepEqual(await mixPhrase('river copper seven lamp', Buffer.alloc(16, 8)), key)
})
