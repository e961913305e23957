/** The attacker table of the specification: each attacker is given exactly what the row says. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { saltBinding } from '../../../src/methods/escrow/binding.ts'
import { openLetter, readLetter } from '../../../src/methods/escrow/letter.ts'
import { decodeSecret, lookupOf, newSecret } from '../../../src/methods/escrow/secret.ts'
import { createVault } from '../../../src/methods/escrow/vault.ts'
import { decodeIdentity, openHeader, sealer } from '../../../src/seal/age.ts'
import { type Statement, sql } from '../../../src/store/db.ts'
import { openSqlite } from '../../../src/store/sqlite.ts'
import { codeIn, minute, openWorld, pressContinue, sealedLetter, type World } from './world.ts'

const canaries = ['canary-content-7f3a', 'canary-attachment-91bc', 'Canary-Betreff', 'befund.pdf']

async function withWorld(work: (world: World) => Promise<void>): Promise<void> {
  const world = await openWorld()
  try {
    await work(world)
  } finally {
    await world.close()
  }
}

const bytesOf = (secret: string) => decodeSecret(secret) ?? Buffer.alloc(0)

async function letterOf(world: World, secret: string) {
  const found = await readLetter(world.parts, lookupOf(bytesOf(secret)))
  assert.ok(found.kind === 'letter')
  return found.letter
}

async function openWithCode(world: World, secret: string) {
  const cookie = await pressContinue(world, secret)
  const [mail] = (await world.carry()).filter(({ kind }) => kind === 'code')
  return world.vault.enterCode(cookie, codeIn(mail), '192.0.2.1')
}

test('disk, database and server keys: no canary, no link, no key that opens a settled letter', () =>
  withWorld(async (world) => {
    const { secret } = await sealedLetter(world)
    await world.hourPasses()
    await world.parts.db.scrub()
    for (const text of [...canaries, secret, secret.toUpperCase(), bytesOf(secret).toString('latin1')]) {
      assert.deepEqual(await world.grep(text), [], text)
    }
    assert.ok((await world.grep('Dr Anna Weber')).length > 0, 'the search itself works: names of senders are in clear')
    // The thief's own copy: every file, opened with every key that lies there.
    const db = openSqlite(join(world.folder, 'letterlock.db'))
    try {
      const keys: Buffer[] = []
      for (const name of await readdir(join(world.folder, 'keys'))) {
        const file = await readFile(join(world.folder, 'keys', name), 'utf8')
        const identity = decodeIdentity(file.trim().split('\n').at(-1) ?? '')
        keys.push(...(identity ? [identity] : []), createHash('sha256').update(file).digest())
      }
      assert.ok(keys.length >= 4, 'mac, salt, sign and epoch keys were tried')
      const [wrapped] = await db.read<{ held: number }>(
        sql`SELECT COUNT(*) AS held FROM message WHERE wrap IS NOT NULL OR epoch IS NOT NULL`,
      )
      assert.equal(wrapped?.held, 0, 'nothing is wrapped by an epoch key any more')
      const [header] = await db.read<{ header: Buffer; salt_wrap: Buffer }>(sql`SELECT header, salt_wrap FROM letter_header`)
      const { binding } = await letterOf(world, secret)
      const salt = world.parts.keyring.openSalt(header?.salt_wrap ?? Buffer.alloc(0), saltBinding(binding))
      assert.ok(salt, 'the server keys do open the salt')
      for (const key of [...keys, salt]) assert.equal(openHeader(header?.header ?? Buffer.alloc(0), key), undefined)
      assert.equal(openLetter(world.parts.keyring, await letterOf(world, secret), bytesOf(newSecret())), undefined, 'a guessed link')
      assert.ok(openLetter(world.parts.keyring, await letterOf(world, secret), bytesOf(secret)), 'only the link opens it')
    } finally {
      await db.close()
    }
  }))

test('while readers are inside, their sessions give the thief of the folder nothing either', () =>
  withWorld(async (world) => {
    const { secret } = await sealedLetter(world)
    await pressContinue(world, secret)
    const entered = await openWithCode(world, secret)
    assert.ok(entered.kind === 'open')
    assert.ok(await world.vault.read(entered.cookie))
    await world.parts.db.scrub()
    const letter = await letterOf(world, secret)
    const fileKey = openLetter(world.parts.keyring, letter, bytesOf(secret)) ?? Buffer.alloc(0)
    for (const text of [
      ...canaries,
      secret,
      fileKey.toString('base64'),
      fileKey.toString('hex'),
      entered.cookie,
      entered.cookie.split('.')[1] ?? '',
    ]) {
      assert.deepEqual(await world.grep(text), [], text)
    }
  }))

test('the link alone: who wrote, when, to which masked address; no content, no subject, no address', () =>
  withWorld(async (world) => {
    const { secret } = await sealedLetter(world)
    const seen: unknown[] = [await world.vault.find(secret)]
    const cookie = await pressContinue(world, secret)
    seen.push(
      await world.vault.session(cookie),
      await world.vault.sendCode(cookie),
      await world.vault.enterCode(cookie, '00000000', '203.0.113.9'),
    )
    assert.equal(await world.vault.read(cookie), undefined)
    const text = JSON.stringify(seen)
    for (const hidden of [...canaries, 'max.maier']) assert.ok(!text.includes(hidden), hidden)
    assert.ok(text.includes('Dr Anna Weber') && text.includes('m•••@lab.example'))
  }))

test('database write: every altered or moved row is refused with an alarm, before anything is shown', async () => {
  const changes: [string, (world: World, letter: string, other: string) => Statement[]][] = [
    ['mailbox', (_, letter) => [sql`UPDATE letter SET address = 'thief@evil.example' WHERE id = ${letter}`]],
    ['proof', (_, letter) => [sql`UPDATE letter SET proof = 'link' WHERE id = ${letter}`]],
    ['expiry', (_, letter) => [sql`UPDATE letter SET expires_at = expires_at + 1 WHERE id = ${letter}`]],
    ['sender’s name', (_, letter) => [sql`UPDATE letter SET sender_name = 'Your bank' WHERE id = ${letter}`]],
    ['sender’s address', (_, letter) => [sql`UPDATE letter SET sender_address = 'x@evil.example' WHERE id = ${letter}`]],
    ['label', (_, letter) => [sql`UPDATE letter SET label = 'by-rule-' WHERE id = ${letter}`]],
    ['reference', (_, letter) => [sql`UPDATE letter SET reference = 'AAAA-AAAA' WHERE id = ${letter}`]],
    [
      'message',
      (_, letter, other) => [sql`UPDATE letter SET message = (SELECT message FROM letter WHERE id = ${other}) WHERE id = ${letter}`],
    ],
    ['salt', (_, letter) => [sql`UPDATE letter_header SET salt_wrap = ${Buffer.alloc(60)} WHERE letter = ${letter}`]],
    [
      'header',
      (_, letter, other) => [
        sql`UPDATE letter_header SET header = (SELECT header FROM letter_header WHERE letter = ${other}) WHERE letter = ${letter}`,
      ],
    ],
    [
      'subject',
      (_, letter, other) => [
        sql`UPDATE letter_header SET meta = (SELECT meta FROM letter_header WHERE letter = ${other}) WHERE letter = ${letter}`,
      ],
    ],
    ['signature', (_, letter) => [sql`UPDATE letter_header SET signature = ${Buffer.alloc(64, 1)} WHERE letter = ${letter}`]],
    ['short signature', (_, letter) => [sql`UPDATE letter_header SET signature = ${Buffer.from('x')} WHERE letter = ${letter}`]],
    [
      'recorded payload',
      (_, letter) => [
        sql`UPDATE content SET payload_sha256 = ${'0'.repeat(64)} WHERE message = (SELECT message FROM letter WHERE id = ${letter})`,
      ],
    ],
    ['state of an ended letter', (_, letter) => [sql`UPDATE letter SET state = 'bounced' WHERE id = ${letter}`]],
    ['payload taken away', (_, letter) => [sql`DELETE FROM content WHERE message = (SELECT message FROM letter WHERE id = ${letter})`]],
  ]
  for (const [what, change] of changes) {
    await withWorld(async (world) => {
      const { secret, letter } = await sealedLetter(world)
      const other = await sealedLetter(world, 'eva.klein@lab.example')
      const cookie = await pressContinue(world, secret)
      await world.parts.db.write(...change(world, letter, other.letter))
      assert.deepEqual(await world.vault.find(secret), { kind: 'unknown' }, what)
      assert.deepEqual(await world.vault.begin(secret, '192.0.2.1'), { kind: 'unknown' }, what)
      assert.equal(await world.vault.session(cookie), undefined, what)
      assert.equal((await world.vault.enterCode(cookie, '12345678', '192.0.2.1')).kind, 'lost', what)
      const alarms = await world.parts.db.read(sql`SELECT object FROM audit WHERE action = 'letter.altered'`)
      assert.deepEqual(
        alarms.map(({ object }) => object),
        [letter],
        `${what}: one alarm`,
      )
      assert.equal((await world.vault.find(other.secret)).kind, 'letter', 'the other letter is as it was')
    })
  }
})

test('a payload swapped on the disk is refused, also when the swapper knew the file key', async () => {
  for (const knowsKey of [false, true]) {
    await withWorld(async (world) => {
      const { secret, message, letter } = await sealedLetter(world)
      const fileKey = knowsKey ? openLetter(world.parts.keyring, await letterOf(world, secret), bytesOf(secret)) : Buffer.alloc(16, 7)
      const seal = sealer(fileKey ?? Buffer.alloc(16))
      const swapped = Buffer.concat([...seal.push(Buffer.from('Subject: pay here\r\n\r\nto this account\r\n')), ...seal.end()])
      await world.parts.db.write(sql`UPDATE content SET inline_payload = ${swapped} WHERE message = ${message}`)
      assert.equal((await openWithCode(world, secret)).kind, 'lost')
      assert.equal((await world.parts.db.read(sql`SELECT id FROM audit WHERE action = 'letter.altered' AND object = ${letter}`)).length, 1)
    })
  }
})

test('a whole letter planted with an attacker’s own keys is unknown', () =>
  withWorld(async (world) => {
    const evil = await openWorld()
    try {
      const { secret } = await sealedLetter(evil, 'max.maier@lab.example')
      for (const table of ['message', 'content', 'letter', 'letter_header']) {
        for (const row of await evil.parts.db.read({ text: `SELECT * FROM ${table}`, values: [] })) {
          const names = Object.keys(row)
          const text = `INSERT OR IGNORE INTO ${table} (${names.join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})`
          await world.parts.db.write({ text, values: Object.values(row) as Statement['values'] })
        }
      }
      assert.equal((await evil.vault.find(secret)).kind, 'letter')
      assert.deepEqual(await world.vault.find(secret), { kind: 'unknown' })
    } finally {
      await evil.close()
    }
  }))

test('a planted code, a code of another letter, a moved session and a planted tombstone open or show nothing', () =>
  withWorld(async (world) => {
    const mine = await sealedLetter(world, 'thief@lab.example')
    const target = await sealedLetter(world, 'max.maier@lab.example')
    await pressContinue(world, mine.secret)
    const code = codeIn((await world.carry())[0])
    world.pass(minute)
    const cookie = await pressContinue(world, target.secret)
    await world.carry()
    // The thief reads the own code mail and writes its row over to the letter whose link was stolen.
    await world.parts.db.write(
      sql`UPDATE code SET letter = ${target.letter}, address = 'max.maier@lab.example' WHERE letter = ${mine.letter}`,
    )
    assert.equal((await world.vault.enterCode(cookie, code, '203.0.113.9')).kind, 'wrong')
    await world.parts.db.write(sql`UPDATE portal_session SET letter = ${mine.letter}`)
    assert.equal(await world.vault.session(cookie), undefined)
    const gone = newSecret()
    const shown = JSON.stringify({ kind: 'expired', outside: { senderName: 'Your bank: call +1 900' } })
    await world.parts.db.write(sql`INSERT INTO letter_tombstone (lookup, letter, shown, ends_at, signature)
      VALUES (${lookupOf(bytesOf(gone))}, ${mine.letter}, ${shown}, ${world.now() + 1e9}, ${Buffer.alloc(64)})`)
    assert.deepEqual(await world.vault.find(gone), { kind: 'unknown' })
  }))

test('link and mailbox open that letter: that is what proof code promises, also after a restart', () =>
  withWorld(async (world) => {
    const { secret } = await sealedLetter(world)
    const cookie = await pressContinue(world, secret)
    const [mail] = await world.carry()
    const restarted = createVault(world.parts)
    assert.equal((await restarted.enterCode(cookie, codeIn(mail), '192.0.2.1')).kind, 'open')
  }))

test('after expiry nothing of the letter is left on the disk, for whoever still has link, mailbox and keys', () =>
  withWorld(async (world) => {
    const { secret } = await sealedLetter(world)
    const before = await letterOf(world, secret)
    world.pass(31 * 24 * 60 * minute)
    await world.vault.expire()
    const [header] = [before.header.header.subarray(70, 100)]
    for (const file of await readdir(world.folder, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue
      assert.ok(!(await readFile(join(file.parentPath, file.name))).includes(header ?? ''), `${file.name} still holds the header`)
    }
    assert.deepEqual(await world.vault.begin(secret, '192.0.2.1').then(({ kind }) => kind), 'expired')
  }))
