import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { generateKey, type KeyOptions, PacketList, PublicKey, readKey, reformatKey, revokeKey, UserIDPacket } from 'openpgp'
import { type Imported, importKey, type KeyImport, keyFor, listKeys, removeKeys } from '../../../src/methods/pgp/keys.ts'
import { sql } from '../../../src/store/db.ts'
import { database, gpgHome, noGpg, withoutGpg } from './world.ts'

const year = 365 * 86_400_000
const asked = (more: Partial<KeyImport> = {}): KeyImport => ({
  trust: 'approved',
  source: 'max.asc',
  replace: false,
  dryRun: false,
  now: Date.now() + 5000,
  ...more,
})
const newKey = (more: Partial<KeyOptions> = {}) =>
  generateKey({ userIDs: [{ name: 'Max', email: 'max@lab.example' }], type: 'ecc', ...more, format: 'object' })
const armoredKey = async (more: Parameters<typeof newKey>[0] = {}) => Buffer.from((await newKey(more)).publicKey.armor())
const gpg = withoutGpg ? noGpg : gpgHome()

function refusal(imported: Imported): string {
  assert.ok(imported.kind === 'refused', 'the key is refused')
  assert.equal(imported.held, false)
  return imported.text
}

describe('bringing in a key', () => {
  test('an armored key is used from then on, for all its addresses, and the audit says so', async () => {
    const db = await database()
    const file = await armoredKey({ userIDs: [{ name: 'Max', email: 'Max@Lab.example' }, { email: 'm.maier@other.example' }] })
    const imported = await importKey(db, file, asked({ trust: 'direct' }))
    assert.equal(imported.kind, 'imported', JSON.stringify(imported))
    const keys = await listKeys(db)
    assert.deepEqual(
      keys.map(({ address, trust, source, expiresAt }) => ({ address, trust, source, expiresAt })),
      [
        { address: 'm.maier@other.example', trust: 'direct', source: 'max.asc', expiresAt: null },
        { address: 'max@lab.example', trust: 'direct', source: 'max.asc', expiresAt: null },
      ],
    )
    assert.match(keys[0]?.fingerprint ?? '', /^[0-9A-F]{40}$/)
    const audit = await db.read<{ action: string; object: string }>(sql`SELECT action, object FROM audit ORDER BY object`)
    assert.deepEqual(audit, [
      { action: 'key.imported', object: 'm.maier@other.example' },
      { action: 'key.imported', object: 'max@lab.example' },
    ])
  })

  test('a binary key file is read too', async () => {
    const db = await database()
    const { publicKey } = await newKey()
    assert.equal((await importKey(db, Buffer.from(publicKey.write()), asked())).kind, 'imported')
  })

  test('keys that gpg makes and exports are read, whole keyrings too', { skip: withoutGpg }, async () => {
    const db = await database()
    gpg.generate('Anna <anna@lab.example>', 'future-default')
    gpg.generate('Bert <bert@lab.example>', 'default')
    for (const armor of [['--armor'], []]) {
      const imported = await importKey(db, gpg.run([...armor, '--export']).out, asked())
      assert.equal(imported.kind, 'imported', JSON.stringify(imported))
    }
    const keys = await listKeys(db)
    assert.deepEqual(
      keys.map((key) => key.address),
      ['anna@lab.example', 'bert@lab.example'],
    )
    assert.ok(keys.every(({ expiresAt }) => expiresAt !== null && Math.abs(expiresAt - Date.now() - year) < 2 * 86_400_000))
  })

  test('a dry run says what would happen and changes nothing', async () => {
    const db = await database()
    assert.equal((await importKey(db, await armoredKey(), asked({ dryRun: true }))).kind, 'imported')
    assert.deepEqual(await listKeys(db), [])
  })

  test('another key for the same address is held for approval, and used only with replace', async () => {
    const db = await database()
    await importKey(db, await armoredKey(), asked())
    const before = await keyFor(db, 'max@lab.example', 'approved')
    const changed = await armoredKey()
    const held = await importKey(db, changed, asked())
    assert.ok(held.kind === 'refused' && held.held)
    assert.match(held.text, /max@lab\.example already has key [0-9A-F]{40}.*held for approval.*--replace/)
    assert.deepEqual(await keyFor(db, 'max@lab.example', 'approved'), before)
    assert.equal((await importKey(db, changed, asked({ replace: true }))).kind, 'imported')
    assert.notEqual((await keyFor(db, 'max@lab.example', 'approved'))?.fingerprint, before?.fingerprint)
    assert.equal((await listKeys(db)).length, 1)
  })

  test('of two imports at once for one address only one wins', async () => {
    const db = await database()
    const files = await Promise.all([armoredKey(), armoredKey()])
    const results = await Promise.all(files.map((file) => importKey(db, file, asked())))
    assert.deepEqual(results.map(({ kind }) => kind).sort(), ['imported', 'refused'])
    assert.equal((await listKeys(db)).length, 1)
  })

  test('the same key again renews its trust', async () => {
    const db = await database()
    const file = await armoredKey()
    await importKey(db, file, asked())
    assert.equal((await importKey(db, file, asked({ trust: 'direct' }))).kind, 'imported')
    assert.equal((await keyFor(db, 'MAX@lab.example', 'direct'))?.trust, 'direct')
  })

  test('a key is removed by address or by fingerprint as people write it', async () => {
    const db = await database()
    await importKey(db, await armoredKey(), asked())
    await importKey(db, await armoredKey({ userIDs: [{ email: 'eva@lab.example' }] }), asked())
    const [eva] = await listKeys(db)
    assert.deepEqual(await removeKeys(db, 'nobody@lab.example'), [])
    assert.deepEqual(await removeKeys(db, eva?.fingerprint.toLowerCase().replace(/.{4}/g, '$& ') ?? ''), [eva?.fingerprint])
    assert.equal((await removeKeys(db, 'Max@Lab.example')).length, 1)
    assert.deepEqual(await listKeys(db), [])
  })
})

describe('refusing a key', () => {
  const cases: [string, () => Promise<Buffer>, RegExp][] = [
    ['a file that is no key', async () => Buffer.from('hello'), /no readable OpenPGP public key/],
    ['an empty file', async () => Buffer.alloc(0), /no (readable )?OpenPGP/],
    ['random bytes', async () => randomBytes(5000), /no (readable )?OpenPGP/],
    ['an armor that is cut off', async () => (await armoredKey()).subarray(0, 200), /no readable OpenPGP/],
    ['an armored private key', async () => Buffer.from((await newKey()).privateKey.armor()), /private key.*export the public key/],
    ['a binary private key', async () => Buffer.from((await newKey()).privateKey.write()), /private key.*export the public key/],
    ['a file above 1 MiB', async () => Buffer.alloc(1024 * 1024 + 1), /1 MiB/],
    ['several armored blocks', async () => Buffer.concat([await armoredKey(), await armoredKey()]), /several armored blocks/],
    ['an expired key', async () => armoredKey({ date: new Date(Date.now() - 2 * year), keyExpirationTime: 3600 }), /expired/],
    [
      'a revoked key',
      async () => Buffer.from((await revokeKey({ key: (await newKey()).privateKey, format: 'object' })).publicKey.armor()),
      /is revoked/,
    ],
    ['a key that can only sign', async () => armoredKey({ subkeys: [{ sign: true }] }), /no part that mail can be encrypted to/],
    ['a weak RSA key', async () => armoredKey({ type: 'rsa', rsaBits: 1024, config: { minRSABits: 1023 } }), /too weak|cannot be used/],
    ['a key with a name only', async () => armoredKey({ userIDs: [{ name: 'Max Maier' }] }), /no valid user id with a mail address/],
    [
      'a key with 60 user ids',
      async () => armoredKey({ userIDs: Array.from({ length: 60 }, (_, i) => ({ email: `a${i}@lab.example` })) }),
      /60 user ids.*export-minimal/,
    ],
    ['a key with a huge modulus', async () => hugeKey(), /16384 bits/],
    ['a flooded key', async () => flooded(300), /30\d signatures.*export-minimal/],
    ['two keys for one address', async () => Buffer.concat([await binaryKey(), await binaryKey()]), /two keys for max@lab\.example/],
  ]
  for (const [name, file, words] of cases) {
    test(`${name} is refused with a reason, and nothing is stored`, async () => {
      const db = await database()
      assert.match(refusal(await importKey(db, await file(), asked())), words)
      assert.deepEqual(await listKeys(db), [])
    })
  }

  test('a user id that somebody planted without a signature brings no address', async () => {
    const db = await database()
    const { publicKey } = await newKey()
    const packets = new PacketList()
    packets.push(...publicKey.toPacketList(), UserIDPacket.fromObject({ email: 'boss@bank.example' }))
    const imported = await importKey(db, Buffer.from(new PublicKey(packets as never).write()), asked())
    assert.equal(imported.kind, 'imported', JSON.stringify(imported))
    assert.deepEqual(
      (await listKeys(db)).map((key) => key.address),
      ['max@lab.example'],
    )
  })

  test("a user id that lists several addresses, or another key's user id, brings none", async () => {
    const db = await database()
    const { privateKey } = await newKey({ userIDs: [{ name: 'a@x.example, b', email: 'c@x.example' }] })
    const { publicKey } = await reformatKey({ privateKey, userIDs: [{ name: 'a@x.example, b', email: 'c@x.example' }], format: 'object' })
    assert.match(refusal(await importKey(db, Buffer.from(publicKey.write()), asked())), /no valid user id/)
    const boss = (await newKey({ userIDs: [{ email: 'boss@bank.example' }] })).publicKey
    const packets = new PacketList()
    packets.push(...(await newKey()).publicKey.toPacketList(), ...boss.toPacketList().slice(1, 3))
    await importKey(db, Buffer.from(new PublicKey(packets as never).write()), asked())
    assert.deepEqual(
      (await listKeys(db)).map((key) => key.address),
      ['max@lab.example'],
    )
  })

  test('a flooded key is refused in well under a second', async () => {
    const db = await database()
    const file = await flooded(3000)
    const started = performance.now()
    refusal(await importKey(db, file, asked()))
    assert.ok(performance.now() - started < 15000, `${performance.now() - started} ms`)
  })
})

const binaryKey = async () => Buffer.from((await newKey()).publicKey.write())

/** The key's own certification many times over: what a keyserver spammer does with others'. */
async function flooded(times: number): Promise<Buffer> {
  const key = await readKey({ armoredKey: (await newKey()).publicKey.armor() })
  const user = key.users[0]
  const one = user?.selfCertifications[0]
  assert.ok(user !== undefined && one !== undefined)
  user.selfCertifications = Array.from({ length: times }, () => one)
  return Buffer.from(key.write())
}

/** A version 4 RSA key of 16384 bits (RFC 9580 §5.5.2), never generated: made of random bits. */
function hugeKey(): Buffer {
  const modulus = randomBytes(2048)
  modulus[0] = 0xff
  const body = Buffer.concat([Buffer.from([4, 0x60, 0, 0, 0, 1, 16384 >> 8, 16384 & 0xff]), modulus, Buffer.from([0, 17, 1, 0, 1])])
  const userId = Buffer.from('Max <max@lab.example>')
  return Buffer.concat([Buffer.from([0x99, body.length >> 8, body.length & 0xff]), body, Buffer.from([0xb4, userId.length]), userId])
}
