import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { decrypt, generateKey, readMessage, readPrivateKey } from 'openpgp'
import { createEncryptor } from '../../../src/methods/pgp/encrypt.ts'

const { publicKey, privateKey } = await generateKey({
  userIDs: [{ email: 'max@lab.example' }],
  type: 'ecc',
  date: new Date(Date.now() - 60_000),
})
const of = (text: string) => Readable.from([Buffer.from(text)], { objectMode: false })

async function opened(chunks: readonly Uint8Array[]): Promise<string> {
  const message = await readMessage({ binaryMessage: new Uint8Array(Buffer.concat(chunks)) })
  const { data } = await decrypt({
    message,
    decryptionKeys: await readPrivateKey({ armoredKey: privateKey }),
    date: new Date(Date.now() + 1000),
  })
  return data as string
}

test('messages asked for at once come out each as itself', async () => {
  const encryptor = createEncryptor()
  const texts = ['one', 'two', 'three']
  const made = await Promise.all(texts.map((text) => encryptor.encrypt(of(text), [publicKey], Date.now())))
  assert.deepEqual(await Promise.all(made.map(({ chunks }) => opened(chunks))), texts)
})

test('after a source that fails and a key that is none the next message is encrypted all the same', async () => {
  const encryptor = createEncryptor()
  async function* broken() {
    yield Buffer.from('half')
    throw new Error('the disk is gone')
  }
  await assert.rejects(encryptor.encrypt(Readable.from(broken(), { objectMode: false }), [publicKey], Date.now()), /the disk is gone/)
  await assert.rejects(encryptor.encrypt(of('x'), ['no key'], Date.now()), /encrypting failed/)
  const { chunks } = await encryptor.encrypt(of('after all'), [publicKey], Date.now())
  assert.equal(await opened(chunks), 'after all')
})

test('a source that was destroyed before its turn is an error, not an empty message', async () => {
  const encryptor = createEncryptor()
  const source = of('x')
  source.destroy(new Error('cancelled'))
  await assert.rejects(encryptor.encrypt(source, [publicKey], Date.now()))
})

test('a source that is closed half-way is an error, not a shorter message', async () => {
  const encryptor = createEncryptor()
  const source = new Readable({ read() {} })
  source.push(Buffer.alloc(100_000))
  setTimeout(() => source.destroy(), 50)
  await assert.rejects(encryptor.encrypt(source, [publicKey], Date.now()))
})

test('a thread that hangs is ended after the patience, and the next message gets another', async () => {
  const encryptor = createEncryptor({ least: 3000, perMiB: 1000 })
  const endless = new Readable({ read() {} })
  endless.push('half')
  const first = encryptor.encrypt(endless, [publicKey], Date.now())
  await assert.rejects(first, /took too long/)
  assert.equal(endless.destroyed, true)
  const { chunks } = await encryptor.encrypt(of('after all'), [publicKey], Date.now())
  assert.equal(await opened(chunks), 'after all')
})
