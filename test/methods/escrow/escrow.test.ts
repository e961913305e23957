import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { saltBinding } from '../../../src/methods/escrow/binding.ts'
import { escrow } from '../../../src/methods/escrow/escrow.ts'
import { readLetter } from '../../../src/methods/escrow/letter.ts'
import { decodeSecret, linkIdentity, lookupOf } from '../../../src/methods/escrow/secret.ts'
import { encodeIdentity } from '../../../src/seal/age.ts'
import { sql } from '../../../src/store/db.ts'
import { peer } from '../../world/peers.ts'
import { codeIn, day, letterFor, openWorld, pressContinue, sealedLetter, secretIn, type World } from './world.ts'

const run = promisify(execFile)

async function withWorld(work: (world: World) => Promise<void>, overrides = {}): Promise<void> {
  const world = await openWorld(overrides)
  try {
    await work(world)
  } finally {
    await world.close()
  }
}

const rows = (world: World, table: string) => world.parts.db.read({ text: `SELECT * FROM ${table}`, values: [] })

test('a sealed letter goes from the notice to the text: link, Continue, code, content', () =>
  withWorld(async (world) => {
    const { secret } = await sealedLetter(world)
    const found = await world.vault.find(secret.toUpperCase())
    assert.equal(found.kind, 'letter')
    const cookie = await pressContinue(world, secret)
    assert.equal((await world.vault.session(cookie))?.stage, 'code')
    const [code] = await world.carry()
    const entered = await world.vault.enterCode(cookie, codeIn(code), '192.0.2.1')
    assert.equal(entered.kind, 'open')
    const opened = entered.kind === 'open' ? await world.vault.read(entered.cookie) : undefined
    assert.equal(opened?.subject, 'Ihr Befund Canary-Betreff')
    assert.deepEqual(opened?.attachments, [{ name: 'befund.pdf', size: 460 }])
    const content = opened && (await buffer(opened.content()))
    assert.equal(content?.toString(), letterFor('max.maier@lab.example'))
    assert.equal(opened?.size, content?.length)
    assert.equal(await world.vault.session(cookie), undefined, 'the cookie from before the code is void')
  }))

test('letter, notice and the recipient’s new state are one transaction with the settlement', () =>
  withWorld(async (world) => {
    const address = 'max.maier@lab.example'
    const id = await world.accept(letterFor(address), address)
    await world.parts.db.write(sql`CREATE TRIGGER no_letters BEFORE INSERT ON letter_header BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
    await assert.rejects(world.seal(), /disk full/)
    assert.deepEqual([await rows(world, 'letter'), (await rows(world, 'message')).length], [[], 1], 'nothing of it is there')
    const [recipient] = await world.parts.db.read(sql`SELECT state FROM recipient WHERE message = ${id}`)
    assert.equal(recipient?.state, 'waiting')
  }))

test('a message for three hundred recipients leaves turns to others while its letters are sealed', () =>
  withWorld(async (world) => {
    const addresses = Array.from({ length: 300 }, (_, index) => `r${index}@lab.example`)
    await world.accept(letterFor('r0@lab.example'), ...addresses)
    let turns = 0
    const counting = setInterval(() => turns++, 1)
    const sealed = await world.seal()
    clearInterval(counting)
    assert.equal(sealed.size, 300)
    // Sealed in one go they would leave a handful.
    assert.ok(turns > 50, `${turns} turns`)
  }))

test('one message for two recipients shares one payload; each reads and expires alone, the payload goes with the last', () =>
  withWorld(async (world) => {
    const both = ['max.maier@lab.example', 'eva.klein@lab.example']
    const id = await world.accept(letterFor(...both), ...both)
    await world.seal({ expires: 2 * day })
    const notices = await world.carry()
    assert.equal(notices.length, 2)
    assert.equal((await world.parts.db.read(sql`SELECT message FROM content WHERE message = ${id}`)).length, 1)
    const [max = '', eva = ''] = both.map((to) => secretIn(notices.find((mail) => mail.to === to)))
    assert.notEqual(max, eva)

    await world.parts.db.write(
      sql`UPDATE letter SET ended_at = 1, state = 'expired' WHERE address = ${both[0] ?? ''}`,
      sql`DELETE FROM letter_header WHERE lookup = ${lookupOf(decodeSecret(max) ?? Buffer.alloc(0))}`,
    )
    await world.vault.expire()
    assert.equal((await world.parts.db.read(sql`SELECT message FROM content WHERE message = ${id}`)).length, 1, 'Eva still needs it')
    assert.equal((await world.vault.find(eva)).kind, 'letter')
    world.pass(2 * day)
    assert.equal((await world.vault.find(eva)).kind, 'expired', 'by the clock, before anybody has cleaned up')
    assert.equal(await world.vault.expire(), 1)
    assert.deepEqual(await rows(world, 'letter_header'), [])
    assert.deepEqual(await world.parts.db.read(sql`SELECT message FROM content WHERE message = ${id}`), [])
    assert.equal((await world.vault.find(eva)).kind, 'expired')
    world.pass(7 * day)
    assert.equal((await world.vault.find(eva)).kind, 'unknown', 'the tombstone stands for seven days')
  }))

test('a large letter leaves no blob file behind when it expires', () =>
  withWorld(async (world) => {
    const address = 'max.maier@lab.example'
    await world.accept(Buffer.concat([Buffer.from(letterFor(address)), Buffer.alloc(300_000, 'x')]), address)
    await world.seal()
    await world.carry()
    const blobs = async () => {
      let count = 0
      for await (const _ of world.spoolParts.blobs.list()) count += 1
      return count
    }
    assert.equal(await blobs(), 1)
    world.pass(31 * day)
    await world.vault.expire()
    assert.equal(await blobs(), 0)
  }))

test('header and payload together are a file that the age command opens with the recipient’s key alone', peer('age'), () =>
  withWorld(async (world) => {
    const { secret, message } = await sealedLetter(world)
    const bytes = decodeSecret(secret) ?? Buffer.alloc(0)
    const found = await readLetter(world.parts, lookupOf(bytes))
    assert.ok(found.kind === 'letter')
    const { binding, header } = found.letter
    const salt = world.parts.keyring.openSalt(header.saltWrap, saltBinding(binding)) ?? Buffer.alloc(0)
    const [content] = await world.parts.db.read<{ inline_payload: Buffer }>(
      sql`SELECT inline_payload FROM content WHERE message = ${message}`,
    )
    const folder = await mkdtemp(join(tmpdir(), 'letterlock-age-'))
    try {
      await writeFile(join(folder, 'key'), encodeIdentity(linkIdentity(bytes, salt)))
      await writeFile(join(folder, 'letter.age'), Buffer.concat([header.header, content?.inline_payload ?? Buffer.alloc(0)]))
      const { stdout } = await run('age', ['-d', '-i', join(folder, 'key'), join(folder, 'letter.age')])
      assert.equal(stdout, letterFor('max.maier@lab.example'))
      assert.equal(header.header.length, 168)
    } finally {
      await rm(folder, { recursive: true })
    }
  }),
)

const clear = { method: 'tls', reason: 'starttls-not-supported', text: 'no TLS' }
const noKey = { method: 'pgp', reason: 'no-key', text: 'no key' }
/** Each way to ask for a second factor: options, settings, what came before, and where a release begins again. */
const demands = [
  ['by its rule', { proof: 'second-factor' }, {}, [noKey, clear], 0],
  ['by the settings', {}, { 'escrow.proof': 'second-factor' }, [], 0],
  ['by the rule for a path in clear', { 'on-clear-path': 'second-factor' }, {}, [noKey, clear], 1],
  ['by the settings for a path in clear', {}, { 'escrow.onClearPath': 'second-factor' }, [clear], 0],
  [
    'by the settings for a path whose TLS is broken',
    {},
    { 'escrow.onClearPath': 'second-factor' },
    [{ ...clear, reason: 'validation-failure' }],
    0,
  ],
] as const

for (const [how, options, settings, earlier, backTo] of demands)
  test(`a second factor that is asked for ${how} is not replaced by less: the message is held`, () =>
    withWorld(async (world) => {
      await world.accept(letterFor('max@lab.example'), 'max@lab.example')
      const answer = (await world.seal(options, earlier)).get('max@lab.example')
      assert.deepEqual([answer?.outcome.kind, answer?.hold], ['deferred', { backTo }])
      assert.match(answer?.outcome.text ?? '', /second factors are not available in this version/)
      assert.deepEqual(await rows(world, 'letter'), [])
    }, settings))

test('what the rule says of a path in clear counts before the settings', () =>
  withWorld(
    async (world) => {
      await world.accept(letterFor('max@lab.example'), 'max@lab.example')
      const answer = (await world.seal({ 'on-clear-path': 'code' }, [clear])).get('max@lab.example')
      assert.deepEqual([answer?.outcome.kind, answer?.proof], ['delivered', 'code'])
    },
    { 'escrow.onClearPath': 'second-factor' },
  ))

test('after a suspected downgrade a mailed code proves nothing, so no letter is made', () =>
  withWorld(async (world) => {
    for (const reason of ['downgrade-suspected', 'tlsa-invalid', 'sts-policy-invalid']) {
      await world.accept(letterFor('max@lab.example'), 'max@lab.example')
      const answer = (await world.seal({}, [{ method: 'tls', reason, text: 'TLS vanished' }])).get('max@lab.example')
      assert.ok(answer?.outcome.kind === 'deferred', reason)
      assert.deepEqual([answer.outcome.reason, answer.hold], ['downgrade-suspected', { backTo: 0 }])
      assert.match(answer.outcome.text, /not available in this version/)
    }
    assert.deepEqual(await rows(world, 'letter'), [])
  }))

test('after a suspected downgrade the settings may ask to hold the message for a person', () =>
  withWorld(
    async (world) => {
      await world.accept(letterFor('max@lab.example'), 'max@lab.example')
      const earlier = [
        { method: 'pgp', reason: 'no-key', text: 'no key' },
        { method: 'tls', reason: 'downgrade-suspected', text: 'TLS vanished' },
      ]
      const answer = (await world.seal({}, earlier)).get('max@lab.example')
      assert.deepEqual([answer?.outcome.kind, answer?.hold], ['deferred', { backTo: 1 }])
      assert.deepEqual(await rows(world, 'letter'), [])
    },
    { 'escrow.onDowngrade': 'hold' },
  ))

test('the label says why it is a letter, and less darkly once the notice went over TLS', () =>
  withWorld(async (world) => {
    await world.accept(letterFor('max@lab.example'), 'max@lab.example')
    await world.seal({}, [
      { method: 'tls', reason: 'starttls-not-supported', text: 'no TLS' },
      { method: 'pgp', reason: 'no-key', text: 'no key' },
    ])
    const [notice] = await world.carry({ assurance: 'none' })
    const secret = secretIn(notice)
    const label = async () => {
      const found = await world.vault.find(secret)
      return found.kind === 'letter' ? found.outside.label : found.kind
    }
    assert.equal(await label(), 'clear-path')
    await world.parts.db.write(sql`UPDATE letter SET notice_assurance = 'encrypted'`)
    assert.equal(await label(), 'unproven-tls')
  }))

test('proof link opens after Continue only when the notice went over a verified channel; else a code is asked for', () =>
  withWorld(async (world) => {
    for (const [assurance, stage] of [
      ['verified', 'open'],
      ['encrypted', 'code'],
      ['none', 'code'],
    ] as const) {
      await world.accept(letterFor('max@lab.example'), 'max@lab.example')
      await world.seal({ proof: 'link' })
      const [notice] = await world.carry({ assurance })
      const cookie = await pressContinue(world, secretIn(notice))
      assert.equal((await world.vault.session(cookie))?.stage, stage, assurance)
      world.pass(day)
    }
  }))

test('a notice that nobody takes destroys the letter', () =>
  withWorld(async (world) => {
    await world.accept(letterFor('max@lab.example'), 'max@lab.example')
    await world.seal()
    await world.carry({ fails: true })
    assert.deepEqual(await rows(world, 'letter_header'), [])
    const [letter] = await world.parts.db.read(
      sql`SELECT letter.state, recipient.state AS recipient, reason FROM letter JOIN recipient ON recipient.id = letter.recipient`,
    )
    assert.deepEqual({ ...letter }, { state: 'bounced', recipient: 'bounced', reason: 'notice-undeliverable' })
    await world.vault.expire()
    assert.deepEqual(await rows(world, 'content').then((all) => all.length), 0, 'and its payload')
  }))

test('states follow: waiting, notified, read; in letter, recipient and audit', () =>
  withWorld(async (world) => {
    const state = async () => {
      const [row] = await world.parts.db.read(
        sql`SELECT letter.state, recipient.state AS recipient FROM letter JOIN recipient ON recipient.id = letter.recipient`,
      )
      return [row?.state, row?.recipient]
    }
    await world.accept(letterFor('max@lab.example'), 'max@lab.example')
    await world.seal()
    assert.deepEqual(await state(), ['waiting', 'letter-waiting'])
    const [notice] = await world.carry()
    assert.deepEqual(await state(), ['notified', 'letter-notified'])
    const cookie = await pressContinue(world, secretIn(notice))
    const entered = await world.vault.enterCode(cookie, codeIn((await world.carry())[0]), '192.0.2.1')
    assert.ok(entered.kind === 'open')
    assert.deepEqual(await state(), ['notified', 'letter-notified'], 'nothing was shown yet')
    await world.vault.read(entered.cookie)
    await world.vault.read(entered.cookie)
    assert.deepEqual(await state(), ['read', 'letter-read'])
    const audited = await world.parts.db.read(sql`SELECT action FROM audit WHERE action = 'letter.read'`)
    assert.equal(audited.length, 1, 'once')
  }))

test('options are checked: expires between an hour and a year, known proofs and languages, nothing unknown', () => {
  const ok = (value: unknown) => escrow.options.safeParse(value)
  assert.deepEqual(ok({}).data, {})
  assert.deepEqual(ok({ proof: 'code', expires: '14d', subject: 'original', languages: ['de', 'en'] }).data, {
    proof: 'code',
    expires: 14 * day,
    subject: 'original',
    languages: ['de', 'en'],
  })
  for (const bad of [
    { expires: '30m' },
    { expires: '366d' },
    { proof: 'none' },
    { languages: ['xx'] },
    { languages: [] },
    { expire: '14d' },
  ])
    assert.equal(ok(bad).success, false, JSON.stringify(bad))
})

test('a message whose stored content was altered does not become a letter, and is told from one that cannot be read now', () =>
  withWorld(async (world) => {
    const address = 'max.maier@lab.example'
    await world.accept(`${letterFor(address)}${'x'.repeat(70)}\r\n`.padEnd(300_000, 'y'), address)
    const [{ blob }] = (await rows(world, 'content')) as [{ blob: string }]
    await appendFile(join(world.folder, 'blobs', blob.slice(0, 2), blob), '\0')
    const [answer] = (await world.seal()).values()
    assert.equal(answer?.outcome.kind === 'deferred' && answer.outcome.reason, 'content-damaged')
    assert.deepEqual(await rows(world, 'letter'), [])
  }))
