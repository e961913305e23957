import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { decrypt, generateKey, readMessage, readPrivateKey } from 'openpgp'
import { type Armored, createEncryptor } from '../../../src/methods/pgp/encrypt.ts'

const { publicKey, privateKey } = await generateKey({
  userIDs: [{ email: 'max@lab.example' }],
  type: 'ecc',
  date: new Date(Date.now() - 60_000),
})
const of = (text: string) => Readable.from([Buffer.from(text)], { objectMode: false })

async function opened({ text, size }: Armored): Promise<string> {
  const armoredMessage = Buffer.concat(text).toString('latin1')
  assert.equal(armoredMessage.length, size)
  const message = await readMessage({ armoredMessage })
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
  const made = await Promise.all(texts.map((text) => encryptor.encrypt(of(text), text.length, [publicKey], Date.now())))
  assert.deepEqual(await Promise.all(made.map(opened)), texts)
})

test('after a source that fails and a key that is none the next message is encrypted all the same', async () => {
  const encryptor = createEncryptor()
  async function* broken() {
    yield Buffer.from('half')
    throw new Error('the disk is gone')
  }
  await assert.rejects(encryptor.encrypt(Readable.from(broken(), { objectMode: false }), 8, [publicKey], Date.now()), /the disk is gone/)
  await assert.rejects(encryptor.encrypt(of('x'), 1, ['no key'], Date.now()), /encrypting failed/)
  assert.equal(await opened(await encryptor.encrypt(of('after all'), 9, [publicKey], Date.now())), 'after all')
})

test('a source that was destroyed before its turn is an error, not an empty message', async () => {
  const encryptor = createEncryptor()
  const source = of('x')
  source.destroy(new Error('cancelled'))
  await assert.rejects(encryptor.encrypt(source, 100_000, [publicKey], Date.now()))
})

for (const size of [100_000, 2_000_000]) {
  test(`a source that is closed half-way, after ${size} bytes, is an error, not a shorter message`, async () => {
    const encryptor = createEncryptor()
    const source = new Readable({ read() {} })
    source.push(Buffer.alloc(size))
    setTimeout(() => source.destroy(), 50)
    await assert.rejects(encryptor.encrypt(source, size, [publicKey], Date.now()))
    assert.equal(await opened(await encryptor.encrypt(of('after all'), 9, [publicKey], Date.now())), 'after all')
  })
}

test('a message in many pieces comes out whole, beside small ones', async () => {
  const encryptor = createEncryptor()
  const text = Array.from({ length: 100_000 }, (_, i) => `line ${i} of a long message\r\n`).join('')
  const source = Readable.from(text.match(/[\s\S]{1,60000}/g)?.map((piece) => Buffer.from(piece)) ?? [], { objectMode: false })
  const [large, small] = await Promise.all([
    encryptor.encrypt(source, text.length, [publicKey], Date.now()),
    encryptor.encrypt(of('small'), 5, [publicKey], Date.now()),
  ])
  assert.equal((await opened(large)).replaceAll('\r\n', '\n'), text.replaceAll('\r\n', '\n'))
  assert.equal(await opened(small), 'small')
})

test('keys are judged: one that is fit, one that has ended, one that is none', async () => {
  const encryptor = createEncryptor()
  const date = new Date(Date.now() - 10 * 60_000)
  const ended = await generateKey({ userIDs: [{ email: 'eva@lab.example' }], type: 'ecc', date, keyExpirationTime: 60 })
  const [fit, old] = await encryptor.objections([publicKey, ended.publicKey], Date.now())
  assert.equal(fit, undefined)
  assert.match(old ?? '', /cannot be used now|no part/)
  // What was read before is judged by the clock of now.
  const [, then] = await encryptor.objections([publicKey, ended.publicKey], date.getTime() + 30_000)
  assert.equal(then, undefined)
  const [beside, none] = await encryptor.objections([publicKey, 'no key'], Date.now() + 120_000)
  assert.equal(beside, undefined)
  assert.match(none ?? '', /cannot be read/)
})

test('a thread that hangs is ended after the patience, and the next message gets another', async () => {
  const encryptor = createEncryptor({ least: 3000, perMiB: 1000 })
  const endless = new Readable({ read() {} })
  endless.push('half')
  const first = encryptor.encrypt(endless, 4, [publicKey], Date.now())
  await assert.rejects(first, /took too long/)
  assert.equal(endless.destroyed, true)
  assert.equal(await opened(await encryptor.encrypt(of('after all'), 9, [publicKey], Date.now())), 'after all')
})
