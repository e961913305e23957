import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { agree, newKeyPair, privateKeyOf, publicHalf, x25519Identity } from '../../src/seal/x25519.ts'

test('a fresh pair agrees with another, and is not the one before', () => {
  const [one, other] = [newKeyPair(), newKeyPair()]
  assert.deepEqual(agree(one.privateKey, other.publicKey), agree(other.privateKey, one.publicKey))
  assert.notDeepEqual(one.publicKey, other.publicKey)
})

test('a secret has one public half, however its key is made', () => {
  const secret = Buffer.alloc(32, 5)
  assert.deepEqual(x25519Identity(secret).publicKey, publicHalf(privateKeyOf(secret)))
})

// Pairs made by generateKeyPairSync stop the whole program for ever after some ten thousands, sooner where memory is collected often.
test('fresh pairs can be made without end', () => {
  const module = new URL('../../src/seal/x25519.ts', import.meta.url).href
  const program = `import { newKeyPair } from ${JSON.stringify(module)}
    for (let n = 0; n < 60000; n++) newKeyPair()
    console.log('made')`
  const { stdout } = spawnSync(process.execPath, ['--max-semi-space-size=1', '--import', 'tsx', '--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  assert.equal(stdout, 'made\n')
})
