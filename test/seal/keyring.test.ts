/** The keyring: the same keys after a restart, old epochs gone for good, and no start on bad or open key files. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { decodeIdentity, header, newFileKey, sealer, x25519Identity } from '../../src/seal/age.ts'
import { KeyFileBroken, type Keyring, openKeyring } from '../../src/seal/keyring.ts'

const hour = 3_600_000

describe('the keyring', () => {
  let folder: string
  let now: number
  let keyring: Keyring
  beforeEach(async () => {
    folder = join(mkdtempSync(join(tmpdir(), 'letterlock-keys-')), 'keys')
    now = 1_790_000_000_000
    keyring = await reopen()
  })
  afterEach(() => rmSync(join(folder, '..'), { recursive: true }))
  const reopen = () => openKeyring(folder, () => now)
  const file = (epoch: string) => join(folder, `epoch-${epoch}.key`)
  const aad = Buffer.from('binding')

  it('finds the same keys when opened again', async () => {
    const fileKey = newFileKey()
    const { epoch, wrap } = keyring.wrap(fileKey)
    const [mac, signature, salt] = [keyring.mac('queue', 'x'), keyring.sign(aad), keyring.sealSalt(Buffer.from('salt'), aad)]
    keyring.close()
    const again = await reopen()
    assert.equal(again.currentEpoch(), epoch)
    assert.deepEqual(again.unwrap(epoch, wrap), fileKey)
    assert.deepEqual(again.mac('queue', 'x'), mac)
    assert.ok(again.verify(aad, signature))
    assert.deepEqual(again.openSalt(salt, aad), Buffer.from('salt'))
  })

  it('differs from every other keyring', async () => {
    const other = await openKeyring(join(folder, '..', 'other'), () => now)
    const { epoch, wrap } = keyring.wrap(newFileKey())
    assert.equal(other.unwrap(epoch, wrap), undefined)
    assert.notDeepEqual(other.mac('queue', 'x'), keyring.mac('queue', 'x'))
    assert.equal(other.verify(aad, keyring.sign(aad)), false)
    assert.equal(other.openSalt(keyring.sealSalt(Buffer.from('salt'), aad), aad), undefined)
  })

  it('is readable by its owner only, and its files hold nothing but keys', () => {
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    const names = readdirSync(folder)
    assert.deepEqual(names.map((name) => name.replace(/\d{13}-[0-9a-f]{8}/, '…')).sort(), [
      'epoch-….key',
      'mac.key',
      'salt.key',
      'sign.key',
    ])
    for (const name of names) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
    assert.match(readFileSync(join(folder, 'mac.key'), 'latin1'), /^LETTERLOCK-MAC-KEY-1[0-9A-Z]{58}\n$/)
  })

  it('begins a new epoch and still opens the old ones', async () => {
    const fileKey = newFileKey()
    const old = keyring.wrap(fileKey)
    now += hour
    const epoch = await keyring.rotate()
    assert.deepEqual([keyring.currentEpoch(), keyring.epochs()], [epoch, [old.epoch, epoch]])
    assert.equal(keyring.wrap(fileKey).epoch, epoch)
    assert.deepEqual(keyring.unwrap(old.epoch, old.wrap), fileKey)
    assert.equal(keyring.unwrap(epoch, old.wrap), undefined)
  })

  it('forgets a destroyed epoch for good', async () => {
    const old = keyring.wrap(newFileKey())
    const secret = readFileSync(file(old.epoch))
    const stillOpen = openSync(file(old.epoch), 'r')
    await keyring.rotate()
    await keyring.destroy(old.epoch)
    await keyring.destroy(old.epoch)
    assert.equal(keyring.unwrap(old.epoch, old.wrap), undefined)
    assert.equal((await reopen()).unwrap(old.epoch, old.wrap), undefined)
    assert.deepEqual(keyring.epochs(), [keyring.currentEpoch()])
    const left = Buffer.alloc(secret.length)
    readSync(stillOpen, left)
    assert.deepEqual(left, Buffer.alloc(secret.length), 'the bytes were overwritten, not only unlinked')
  })

  it('does not destroy the current epoch', async () => {
    await assert.rejects(keyring.destroy(keyring.currentEpoch()), /current/)
    assert.ok(existsSync(file(keyring.currentEpoch())))
  })

  it('goes on with the last epoch within its hour, and begins another after it or when the clock went back', async () => {
    const first = keyring.currentEpoch()
    now += hour - 1
    assert.equal((await reopen()).currentEpoch(), first)
    now += 1
    const second = (await reopen()).currentEpoch()
    assert.notEqual(second, first)
    now -= 24 * hour
    assert.ok(![first, second].includes((await reopen()).currentEpoch()))
  })

  it('opens what another process wrapped with an epoch it began later', async () => {
    now += 2 * hour
    const other = await reopen()
    const fileKey = newFileKey()
    const { epoch, wrap } = other.wrap(fileKey)
    assert.notEqual(epoch, keyring.currentEpoch())
    assert.deepEqual(keyring.unwrap(epoch, wrap), fileKey)
    assert.ok(keyring.epochs().includes(epoch))
  })

  it('is the same for processes that make it at the same time', async () => {
    const fresh = join(folder, '..', 'fresh')
    const rings = await Promise.all([1, 2, 3, 4, 5].map(() => openKeyring(fresh, () => now)))
    const macs = new Set(rings.map((ring) => ring.mac('queue', 'x').toString('hex')))
    assert.equal(macs.size, 1)
    const [first, ...others] = rings
    const { epoch, wrap } = first?.wrap(Buffer.alloc(16, 9)) ?? { epoch: '', wrap: aad }
    for (const other of others) assert.deepEqual(other.unwrap(epoch, wrap), Buffer.alloc(16, 9))
    assert.deepEqual(
      readdirSync(fresh).filter((name) => name.startsWith('.')),
      [],
    )
  })

  it('never opens a file outside its folder for an epoch named in the database', () => {
    for (const epoch of ['../../etc/passwd', '', 'x', `${keyring.currentEpoch()}/`, '__proto__'])
      assert.equal(keyring.unwrap(epoch, Buffer.alloc(64)), undefined)
  })

  it('gives each purpose and each list of parts its own MAC', () => {
    const macs = [
      keyring.mac('queue', 'ab', 'c'),
      keyring.mac('queue', 'a', 'bc'),
      keyring.mac('queue', 'abc'),
      keyring.mac('queue', 'ab', 'c', ''),
      keyring.mac('queuea', 'b', 'c'),
      keyring.mac('code', 'ab', 'c'),
      keyring.mac('queue'),
    ]
    assert.equal(new Set(macs.map((mac) => mac.toString('hex'))).size, macs.length)
    assert.deepEqual(keyring.mac('queue', 'ü'), keyring.mac('queue', Buffer.from('ü')))
    assert.equal(keyring.mac('queue').length, 32)
  })

  it('verifies only what it signed', () => {
    const signature = keyring.sign(aad)
    assert.equal(signature.length, 64)
    assert.ok(keyring.verify(aad, signature))
    assert.equal(keyring.verify(Buffer.from('bindinG'), signature), false)
    assert.equal(keyring.verify(aad, Buffer.alloc(64)), false)
    assert.equal(keyring.verify(aad, signature.subarray(1)), false)
    assert.equal(keyring.verify(aad, Buffer.alloc(0)), false)
  })

  it('opens a salt only with its binding', () => {
    const sealed = keyring.sealSalt(Buffer.alloc(32, 5), aad)
    assert.deepEqual(keyring.openSalt(sealed, aad), Buffer.alloc(32, 5))
    assert.equal(keyring.openSalt(sealed, Buffer.from('another')), undefined)
  })

  it('does nothing more once closed', () => {
    const { epoch, wrap } = keyring.wrap(newFileKey())
    keyring.close()
    const uses = [
      () => keyring.wrap(newFileKey()),
      () => keyring.unwrap(epoch, wrap),
      () => keyring.mac('x'),
      () => keyring.sign(aad),
      () => keyring.sealSalt(aad, aad),
      () => keyring.openSalt(wrap, aad),
    ]
    for (const use of uses) assert.throws(use, /closed/)
  })

  const damages: [what: string, damage: (path: string) => void, says: RegExp][] = [
    ['damaged', (path) => writeFileSync(path, readFileSync(path, 'latin1').replace(/.\n$/, '\n')), /is damaged.*Restore it from a backup/],
    ['empty', (path) => writeFileSync(path, ''), /is damaged/],
    ['binary', (path) => writeFileSync(path, Buffer.alloc(64, 255)), /is damaged/],
    ['readable by others', (path) => chmodSync(path, 0o640), /open to other users.*mode 640.*chmod 600/],
    [
      'a folder',
      (path) => {
        rmSync(path)
        mkdirSync(path, 0o700)
      },
      /is no plain file/,
    ],
    [
      'a symbolic link',
      (path) => {
        rmSync(path)
        symlinkSync('/dev/null', path)
      },
      /cannot be read \(ELOOP\)/,
    ],
  ]
  for (const [what, damage, says] of damages) {
    it(`says which key file is ${what}, keeps it, and does not start`, async () => {
      for (const path of [join(folder, 'mac.key'), join(folder, 'sign.key'), file(keyring.currentEpoch())]) {
        const before = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
        const mode = statSync(path).mode
        damage(path)
        await assert.rejects(
          reopen(),
          (error: Error) => error instanceof KeyFileBroken && error.message.includes(path) && says.test(error.message),
        )
        rmSync(path, { recursive: true })
        writeFileSync(path, before, { mode })
      }
      await reopen()
    })
  }

  it('does not tell the key in the text about a damaged file', async () => {
    const secret = readFileSync(join(folder, 'salt.key'), 'latin1').trim()
    writeFileSync(join(folder, 'salt.key'), `${secret}x`)
    await assert.rejects(reopen(), (error: Error) => !error.message.includes(secret.slice(20, 40)))
  })

  it('refuses a folder that others may enter', async () => {
    chmodSync(folder, 0o755)
    await assert.rejects(reopen(), /folder of keys .* open to other users.*chmod 700/)
  })

  it('finishes a destruction that a crash cut short', async () => {
    const epoch = keyring.currentEpoch()
    const doomed = `${file(epoch)}.destroying`
    writeFileSync(doomed, 'AGE-SECRET-KEY-1…', { mode: 0o600 })
    await reopen()
    assert.equal(existsSync(doomed), false)
  })

  it('keeps an epoch key in a file that the age command can use', (t) => {
    if (spawnSync('age', ['--version']).error) {
      if (process.env.CI === 'true') assert.fail('the age command is not installed')
      return t.skip('the age command is not installed (Debian: apt install age)')
    }
    const path = file(keyring.currentEpoch())
    const fileKey = newFileKey()
    const sealing = sealer(fileKey)
    const { publicKey } = x25519Identity(decodeIdentity(readFileSync(path, 'latin1').trim()) ?? Buffer.alloc(32))
    const sealed = Buffer.concat([header(fileKey, publicKey), ...sealing.push(Buffer.from('hello')), ...sealing.end()])
    assert.equal(execFileSync('age', ['-d', '-i', path], { input: sealed }).toString(), 'hello')
  })
})
