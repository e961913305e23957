/** Our age files against the published vectors and against two other age programs. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { inflateSync } from 'node:zlib'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import * as vectorModule from 'cctv-age'
import {
  decodeIdentity,
  decodeRecipient,
  encodeIdentity,
  encodeRecipient,
  header,
  headerLength,
  newFileKey,
  opener,
  openHeader,
  sealer,
  unwrapFileKey,
  wrapFileKey,
  wrapperFor,
  x25519Identity,
} from '../../src/seal/age.ts'

type Opened = { readonly clear: Buffer; readonly fileKey?: Buffer; readonly error?: unknown }

/** Open header ‖ payload as our program does; `clear` is what was given out, even when it failed afterwards. */
function openFile(file: Buffer, secret: Buffer): Opened {
  const clear: Buffer[] = []
  const fileKey = openHeader(file.subarray(0, headerLength), secret)
  if (!fileKey) return { clear: Buffer.alloc(0), error: 'the header does not open' }
  try {
    const opening = opener(fileKey)
    for (const piece of opening.push(file.subarray(headerLength))) clear.push(piece)
    for (const piece of opening.end()) clear.push(piece)
    return { clear: Buffer.concat(clear), fileKey }
  } catch (error) {
    return { clear: Buffer.concat(clear), fileKey, error }
  }
}

function sealFile(clear: Buffer, publicKey: Buffer): Buffer {
  const fileKey = newFileKey()
  const sealing = sealer(fileKey)
  return Buffer.concat([header(fileKey, publicKey), ...sealing.push(clear), ...sealing.end()])
}

const vectors: Readonly<Record<string, Uint8Array>> = { ...vectorModule }
const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072]

describe('age: the published vectors', () => {
  type Vector = { readonly facts: ReadonlyMap<string, string>; readonly file: Buffer }
  const read = (bytes: Uint8Array): Vector => {
    const text = Buffer.from(bytes)
    const end = text.indexOf('\n\n')
    const lines = text.subarray(0, end).toString().split('\n')
    const facts = new Map(lines.map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]))
    const file = text.subarray(end + 2)
    return { facts, file: facts.get('compressed') === 'zlib' ? inflateSync(file) : file }
  }
  // Not ours: ASCII armour, passphrases, post-quantum keys. And files with several stanzas, which we neither write nor read: those that
  // should open. (Those that should not open are refused by us too, whatever they are made of.)
  const otherFormats = /^(armor|scrypt|hybrid)/
  const severalStanzas = [
    'stanza_empty_body',
    'stanza_empty_last_line',
    'stanza_valid_characters',
    'x25519_grease',
    'x25519_multiple_recipients',
  ]
  const names = Object.keys(vectors).filter((name) => !otherFormats.test(name))
  const ours = names.filter((name) => !severalStanzas.includes(name))

  for (const name of ours) {
    it(name, () => {
      const { facts, file } = read(vectors[name] ?? new Uint8Array())
      const secret = decodeIdentity(facts.get('identity') ?? '') ?? Buffer.alloc(32, 1) // "empty" has none
      const { clear, fileKey, error } = openFile(file, secret)
      assert.equal(error === undefined, facts.get('expect') === 'success', `${facts.get('expect')}, but ${String(error)}`)
      const hash = createHash('sha256').update(clear).digest('hex')
      if (facts.has('payload')) assert.equal(hash, facts.get('payload'))
      else assert.equal(clear.length, 0)
      if (facts.get('expect') === 'success') assert.equal(fileKey?.toString('hex'), facts.get('file key'))
    })
  }

  it('include every payload vector, and only these are left out', () => {
    assert.equal(
      ours.filter((name) => name.startsWith('stream_')).length,
      Object.keys(vectors).filter((name) => name.startsWith('stream_')).length,
    )
    assert.ok(ours.length >= 60, `${ours.length} vectors`)
    const opens = (name: string) => read(vectors[name] ?? new Uint8Array()).facts.get('expect') === 'success'
    assert.deepEqual(
      severalStanzas.filter((name) => !opens(name)),
      [],
    )
  })
})

describe('age: keys as text', () => {
  it('agree with the other library', async () => {
    for (let i = 0; i < 20; i++) {
      const { secret, publicKey } = x25519Identity(randomBytes(32))
      const identity = encodeIdentity(secret)
      assert.equal(await identityToRecipient(identity), encodeRecipient(publicKey))
      assert.deepEqual([decodeIdentity(identity), decodeRecipient(encodeRecipient(publicKey))], [secret, publicKey])
    }
  })

  it('are refused when one character is wrong, the case is mixed, or the key is another sort', () => {
    const identity = encodeIdentity(randomBytes(32))
    const recipient = encodeRecipient(x25519Identity(randomBytes(32)).publicKey)
    for (let at = 0; at < identity.length; at++) {
      const other = identity[at] === 'Q' ? 'P' : 'Q'
      assert.equal(decodeIdentity(identity.slice(0, at) + other + identity.slice(at + 1)), undefined)
    }
    for (const text of ['', 'age1', recipient.slice(0, -1), `${recipient}q`, recipient.replace('age1', 'Age1'), identity]) {
      assert.equal(decodeRecipient(text), undefined, text)
    }
    assert.equal(decodeIdentity(recipient), undefined)
  })
})

describe('age: headers and wraps', () => {
  const { secret, publicKey } = x25519Identity(randomBytes(32))
  const other = x25519Identity(randomBytes(32))
  const fileKey = newFileKey()

  it('open with the key they were made for, and no other', () => {
    assert.deepEqual(openHeader(header(fileKey, publicKey), secret), fileKey)
    assert.deepEqual(unwrapFileKey(wrapFileKey(fileKey, publicKey), secret), fileKey)
    assert.equal(openHeader(header(fileKey, publicKey), other.secret), undefined)
    assert.equal(unwrapFileKey(wrapFileKey(fileKey, publicKey), other.secret), undefined)
  })

  it('have 168 and 64 bytes, different each time', () => {
    assert.equal(header(fileKey, publicKey).length, 168)
    assert.equal(wrapFileKey(fileKey, publicKey).length, 64)
    assert.notDeepEqual(header(fileKey, publicKey), header(fileKey, publicKey))
  })

  it('made for one holder again and again, at once or after a pause, have a share of their own each', async () => {
    const wrapper = wrapperFor(publicKey)
    const wraps: Buffer[] = []
    for (const pause of [0, 20, 0, 20, 0]) {
      await setTimeout(pause)
      wraps.push(wrapper.wrap(fileKey))
    }
    wrapper.close()
    for (const wrap of wraps) assert.deepEqual(unwrapFileKey(wrap, secret), fileKey)
    assert.equal(new Set(wraps.map((wrap) => wrap.toString('hex', 0, 32))).size, wraps.length)
  })

  it('open no more when any byte was changed, cut or added', () => {
    const whole = header(fileKey, publicKey)
    const wrap = wrapFileKey(fileKey, publicKey)
    for (let at = 0; at < whole.length; at++)
      for (const changed of flipped(whole, at)) assert.equal(openHeader(changed, secret), undefined, `byte ${at}`)
    for (let at = 0; at < wrap.length; at++)
      for (const changed of flipped(wrap, at)) assert.equal(unwrapFileKey(changed, secret), undefined, `byte ${at}`)
    for (const odd of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.from('\n')]), Buffer.alloc(0)])
      assert.equal(openHeader(odd, secret), undefined)
    for (const odd of [wrap.subarray(1), Buffer.concat([wrap, wrap]), Buffer.alloc(64), Buffer.alloc(0)])
      assert.equal(unwrapFileKey(odd, secret), undefined)
  })

  it('are never made for a key that keeps nothing secret', () => {
    assert.throws(() => wrapFileKey(fileKey, Buffer.alloc(32)), /low order/)
  })
})

/** X25519 ignores the top bit of a point (RFC 7748 §5), but not age: the point's bytes are part of the key derivation. */
function flipped(bytes: Buffer, at: number): Buffer[] {
  return [0x01, 0x02, 0x80].map((bit) => {
    const changed = Buffer.from(bytes)
    changed.writeUInt8(changed.readUInt8(at) ^ bit, at)
    return changed
  })
}

describe('age: the library age-encryption', () => {
  const { secret, publicKey } = x25519Identity(randomBytes(32))
  for (const size of sizes) {
    const clear = randomBytes(size)
    it(`opens what we sealed, ${size} bytes`, async () => {
      const decrypter = new Decrypter()
      decrypter.addIdentity(encodeIdentity(secret))
      assert.ok(clear.equals(await decrypter.decrypt(sealFile(clear, publicKey))))
    })
    it(`seals what we open, ${size} bytes`, async () => {
      const encrypter = new Encrypter()
      encrypter.addRecipient(encodeRecipient(publicKey))
      const opened = openFile(Buffer.from(await encrypter.encrypt(clear)), secret)
      assert.equal(opened.error, undefined)
      assert.ok(opened.clear.equals(clear))
    })
  }
})

const absent = spawnSync('age', ['--version']).error !== undefined
const skip = absent && process.env.CI !== 'true' ? 'the age command is not installed (Debian: apt install age)' : false

describe('age: the command', { skip }, () => {
  const { secret, publicKey } = x25519Identity(randomBytes(32))
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'letterlock-age-'))
    writeFileSync(join(folder, 'identity'), `${encodeIdentity(secret)}\n`, { mode: 0o600 })
  })
  after(() => rmSync(folder, { recursive: true }))
  const age = (input: Buffer, ...options: string[]) =>
    execFileSync('age', options, { input, maxBuffer: 1 << 24, stdio: ['pipe', 'pipe', 'pipe'] })

  for (const size of sizes) {
    const clear = randomBytes(size)
    it(`opens what we sealed, ${size} bytes`, () => {
      assert.ok(age(sealFile(clear, publicKey), '-d', '-i', join(folder, 'identity')).equals(clear))
    })
    it(`seals what we open, ${size} bytes`, () => {
      const opened = openFile(age(clear, '-r', encodeRecipient(publicKey)), secret)
      assert.equal(opened.error, undefined)
      assert.ok(opened.clear.equals(clear))
    })
  }

  it('refuses what we refuse: a payload that was cut', () => {
    const cut = sealFile(randomBytes(70_000), publicKey).subarray(0, -1)
    assert.throws(() => age(cut, '-d', '-i', join(folder, 'identity')), /failed|corrupt|unexpected/)
  })

  it('opens one payload with the header of either of two recipients', () => {
    const [clear, fileKey] = [randomBytes(100_000), newFileKey()]
    const sealing = sealer(fileKey)
    const payload = Buffer.concat([...sealing.push(clear), ...sealing.end()])
    const other = x25519Identity(randomBytes(32))
    assert.ok(age(Buffer.concat([header(fileKey, publicKey), payload]), '-d', '-i', join(folder, 'identity')).equals(clear))
    assert.ok(openFile(Buffer.concat([header(fileKey, other.publicKey), payload]), other.secret).clear.equals(clear))
  })
})
