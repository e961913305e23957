import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { saltBinding } from '../../../src/methods/escrow/binding.ts'
import { openLetter, readLetter } from '../../../src/methods/escrow/letter.ts'
import { offerToSender } from '../../../src/methods/escrow/offer.ts'
import { decodeSecret, lookupOf, newSecret } from '../../../src/methods/escrow/secret.ts'
import type { Settings } from '../../../src/ops/settings.ts'
import { decodeIdentity, openHeader } from '../../../src/seal/age.ts'
import { claimGroups, openClaimed } from '../../../src/spool/claim.ts'
import { waitingOriginal } from '../../../src/spool/withdraw.ts'
import { sql } from '../../../src/store/db.ts'
import { day, hour, letterFor, type Mail, minute, openWorld, pressContinue, secretIn, type World } from './world.ts'

const sender = 'a.weber@rheinland-klinik.example'
const canaries = ['canary-content-7f3a', 'canary-attachment-91bc', 'Canary-Betreff', 'befund.pdf']
const routes = { 'delivery.routes': { 'rheinland-klinik.example': { host: '127.0.0.1', port: 25, tls: 'none' } } } as const

async function withWorld(work: (world: World) => Promise<void>, overrides: Partial<Settings> = {}): Promise<void> {
  const world = await openWorld({ ...routes, ...overrides })
  try {
    await work(world)
  } finally {
    await world.close()
  }
}

const offer = async (world: World, letter: string, mailbox = sender) => {
  const notice = await waitingOriginal(world.parts.db, 'notice', letter, world.now())
  const opened = await openClaimed(world.spoolParts, notice?.message ?? '')
  assert.ok(opened.kind === 'content')
  return offerToSender(world.parts, { letter, notice: opened.open, mailbox })
}

/** A letter whose notice waits, and the secret of the link that its sender is mailed. */
async function waitingLetter(world: World, address = 'max.maier@lab.example') {
  const message = await world.accept(letterFor(address), address)
  await world.seal()
  const [row] = await world.parts.db.read<{ id: string }>(sql`SELECT id FROM letter WHERE message = ${message}`)
  const id = row?.id ?? assert.fail('no letter')
  const offered = (await offer(world, id)) ?? assert.fail('no offer')
  await world.parts.db.write(...offered.statements)
  return { id, message, secret: /\/s\/([0-9a-z]{32})$/.exec(offered.link)?.[1] ?? assert.fail(offered.link) }
}

async function press(world: World, secret: string): Promise<string> {
  const begun = await world.vault.sender.begin(secret)
  assert.ok(begun.kind === 'session', begun.kind)
  return begun.cookie
}

async function handedOver(world: World) {
  const letter = await waitingLetter(world)
  const cookie = await press(world, letter.secret)
  assert.equal(await world.vault.sender.handOver(cookie), 'done')
  const [mail] = await world.carry()
  return { ...letter, cookie, mail: mail ?? assert.fail('no mail'), link: secretIn(mail), words: wordsIn(mail) }
}

const wordsIn = (mail: Mail | undefined) =>
  /^([a-z-]+ [a-z-]+ [a-z-]+ [a-z-]+)\r$/m.exec(mail?.raw.toString() ?? '')?.[1] ?? assert.fail('no words')
const stateOf = async (world: World, id: string) =>
  (await world.parts.db.read<{ state: string; proof: string }>(sql`SELECT state, proof FROM letter WHERE id = ${id}`))[0]
const bytesOf = (secret: string) => decodeSecret(secret) ?? Buffer.alloc(0)

test('the sender’s link shows how the letter stands and no content, and it is no reader’s link', () =>
  withWorld(async (world) => {
    const { secret } = await waitingLetter(world)
    const cookie = await press(world, secret)
    const seen = JSON.stringify([await world.vault.sender.find(secret), await world.vault.sender.standing(cookie)])
    assert.match(seen, /"state":"waiting"/)
    assert.match(seen, /"mayHandOver":true/)
    for (const hidden of [...canaries, 'max.maier']) assert.ok(!seen.includes(hidden), hidden)
    assert.equal((await world.vault.find(secret)).kind, 'unknown')
    assert.equal((await world.vault.begin(secret, '192.0.2.1')).kind, 'unknown')
    assert.equal(await world.vault.session(cookie), undefined)
    assert.equal(await world.vault.read(cookie), undefined)
  }))

test('a reader’s link and a reader’s session give none of the sender’s rights', () =>
  withWorld(async (world) => {
    const { id } = await waitingLetter(world)
    const [notice] = (await world.carry()).filter(({ kind }) => kind === 'notice')
    const link = secretIn(notice)
    assert.equal((await world.vault.sender.find(link)).kind, 'unknown')
    const cookie = await pressContinue(world, link)
    assert.equal(await world.vault.sender.standing(cookie), undefined)
    assert.deepEqual([await world.vault.sender.cancel(cookie), await world.vault.sender.handOver(cookie)], ['lost', 'lost'])
    assert.equal((await stateOf(world, id))?.state, 'notified')
  }))

test('disk, database and server keys do not open the letter by the sender’s header', () =>
  withWorld(async (world) => {
    const { id, secret } = await waitingLetter(world)
    await world.carry()
    await press(world, secret)
    await world.hourPasses()
    await world.parts.db.scrub()
    for (const text of [...canaries, secret, secret.toUpperCase(), bytesOf(secret).toString('latin1')])
      assert.deepEqual(await world.grep(text), [], text)
    const found = await readLetter(world.parts, lookupOf(bytesOf(secret), 'sender'), 'sender')
    assert.ok(found.kind === 'letter')
    const { binding, header } = found.letter
    const keys: Buffer[] = []
    for (const name of await readdir(join(world.folder, 'keys'))) {
      const file = await readFile(join(world.folder, 'keys', name), 'utf8')
      const identity = decodeIdentity(file.trim().split('\n').at(-1) ?? '')
      keys.push(...(identity ? [identity] : []), createHash('sha256').update(file).digest())
    }
    const salt = world.parts.keyring.openSalt(header.saltWrap, saltBinding(binding, 'sender')) ?? assert.fail('the server opens the salt')
    for (const key of [...keys, salt]) assert.equal(openHeader(header.header, key), undefined)
    assert.equal(openLetter(world.parts.keyring, found.letter, bytesOf(newSecret())), undefined)
    assert.equal(world.parts.keyring.openSalt(header.saltWrap, saltBinding(binding)), undefined, 'the salt is no reader’s')
    assert.ok(openLetter(world.parts.keyring, found.letter, bytesOf(secret)), `only the link opens it (${id})`)
  }))

test('a header passed off as one of the other kind is refused', () =>
  withWorld(async (world) => {
    const { id, secret } = await waitingLetter(world)
    await world.parts.db.write(
      sql`DELETE FROM letter_header WHERE letter = ${id} AND kind = 'link'`,
      sql`UPDATE letter_header SET kind = 'link', lookup = ${lookupOf(bytesOf(secret))} WHERE letter = ${id}`,
    )
    assert.equal((await world.vault.find(secret)).kind, 'unknown')
    const alarms = await world.parts.db.read(sql`SELECT id FROM audit WHERE action = 'letter.altered'`)
    assert.equal(alarms.length, 1)
  }))

test('cancelled: both links say so, nothing opens the letter, notice and payload are gone', () =>
  withWorld(async (world) => {
    const { id, message, secret } = await waitingLetter(world)
    const cookie = await press(world, secret)
    assert.equal(await world.vault.sender.cancel(cookie), 'done')
    assert.equal(await world.vault.sender.cancel(cookie), 'stale')
    assert.equal(await world.vault.sender.handOver(cookie), 'stale')
    assert.equal((await world.vault.sender.standing(cookie))?.kind, 'recalled')
    assert.equal((await world.vault.sender.find(secret)).kind, 'recalled')
    assert.deepEqual([await stateOf(world, id), await world.carry()], [{ state: 'recalled', proof: 'code' }, []])
    const left = await world.parts.db.read(sql`SELECT lookup FROM letter_header UNION ALL SELECT message FROM content`)
    assert.deepEqual(left, [])
    const [recipient] = await world.parts.db.read(sql`SELECT state FROM recipient WHERE message = ${message}`)
    assert.equal(recipient?.state, 'letter-recalled')
  }))

test('cancelled when it has been read: the reader’s session and link end, and the audit says it was read', () =>
  withWorld(async (world) => {
    const { id, secret, link, words } = await handedOver(world)
    const reading = await pressContinue(world, link)
    const entered = await world.vault.enterCode(reading, words, '192.0.2.1')
    assert.ok(entered.kind === 'open')
    assert.ok(await world.vault.read(entered.cookie))
    assert.equal(await world.vault.sender.cancel(await press(world, secret)), 'done')
    assert.equal(await world.vault.session(entered.cookie), undefined)
    assert.equal((await world.parts.db.read(sql`SELECT id FROM portal_session`)).length, 1, 'the sender’s own is left, to say so')
    assert.equal((await world.vault.find(link)).kind, 'recalled')
    const [told] = await world.parts.db.read<{ detail: string }>(
      sql`SELECT detail FROM audit WHERE action = 'letter.recalled' AND object = ${id}`,
    )
    assert.equal(JSON.parse(told?.detail ?? '{}').read, true)
  }))

test('handed over: link and words open the letter, each alone opens nothing, and no code is sent', () =>
  withWorld(async (world) => {
    const { mail, link, words } = await handedOver(world)
    assert.deepEqual([mail.kind, mail.to], ['sender-mail', sender])
    assert.equal(await openWith(world, link, 'river copper seven lamp'), 'wrong')
    assert.equal(await openWith(world, link, ''), 'empty')
    const found = await readLetter(world.parts, lookupOf(bytesOf(link)))
    assert.ok(found.kind === 'letter')
    assert.equal(
      openLetter(world.parts.keyring, found.letter, bytesOf(link)),
      undefined,
      'the link and all keys of the server are not enough',
    )
    const cookie = await pressContinue(world, link)
    assert.equal(await world.vault.sendCode(cookie), undefined)
    assert.deepEqual(await world.carry(), [], 'no code')
    assert.equal((await world.vault.session(cookie))?.stage, 'passphrase')
    const entered = await world.vault.enterCode(cookie, `  ${words.toUpperCase().replaceAll(' ', ',\n')}. `, '192.0.2.1')
    assert.ok(entered.kind === 'open')
    const opened = (await world.vault.read(entered.cookie)) ?? assert.fail('not open')
    assert.equal(opened.subject, 'Ihr Befund Canary-Betreff')
    assert.equal((await buffer(opened.content())).toString(), letterFor('max.maier@lab.example'))
  }))

async function openWith(world: World, link: string, words: string): Promise<string> {
  return (await world.vault.enterCode(await pressContinue(world, link), words, '192.0.2.1')).kind
}

test('after five wrong tries a session has none left, and the right words open in another', () =>
  withWorld(async (world) => {
    const { link, words } = await handedOver(world)
    const cookie = await pressContinue(world, link)
    for (let left = 4; left >= 0; left--)
      assert.deepEqual(await world.vault.enterCode(cookie, 'river copper seven lamp', '192.0.2.1'), { kind: 'wrong', triesLeft: left })
    assert.equal((await world.vault.enterCode(cookie, words, '192.0.2.1')).kind, 'no-tries')
    assert.equal(await openWith(world, link, words), 'open')
  }))

test('once handed over, the waiting notice and its link are gone; link and words are on no disk when they have left', () =>
  withWorld(async (world) => {
    const { id, secret } = await waitingLetter(world)
    const waiting = await waitingOriginal(world.parts.db, 'notice', id, world.now())
    const opened = await openClaimed(world.spoolParts, waiting?.message ?? '')
    const old = opened.kind === 'content' ? secretIn({ kind: '', about: '', to: '', raw: await buffer(opened.open()) }) : assert.fail()
    const cookie = await press(world, secret)
    assert.equal(await world.vault.sender.handOver(cookie), 'done')
    assert.equal((await world.vault.find(old)).kind, 'superseded')
    assert.equal(await waitingOriginal(world.parts.db, 'notice', id, world.now()), undefined)
    const [mail, ...others] = await world.carry()
    assert.deepEqual(others, [])
    await world.hourPasses()
    await world.parts.db.scrub()
    for (const text of [secretIn(mail), wordsIn(mail), old, secret, ...canaries]) assert.deepEqual(await world.grep(text), [], text)
    assert.deepEqual(await stateOf(world, id), { state: 'notified', proof: 'passphrase' })
  }))

test('lost link or words: the sender has new ones, and the old ones no longer work', () =>
  withWorld(async (world) => {
    const { cookie, link, words } = await handedOver(world)
    assert.equal(await world.vault.sender.handOver(cookie), 'done')
    const [mail] = await world.carry()
    assert.equal((await world.vault.find(link)).kind, 'superseded')
    assert.equal(await openWith(world, secretIn(mail), words), 'wrong')
    assert.equal(await openWith(world, secretIn(mail), wordsIn(mail)), 'open')
  }))

test('a letter is handed over five times within an hour at the most, and again when the hour is over; others are not touched', () =>
  withWorld(async (world) => {
    const { cookie, secret } = await handedOver(world)
    for (let times = 2; times <= 5; times++) assert.equal(await world.vault.sender.handOver(cookie), 'done')
    const [newest] = (await world.carry()).slice(-1)
    assert.equal(await world.vault.sender.handOver(cookie), 'limited')
    const other = await waitingLetter(world, 'ida@lab.example')
    assert.equal(await world.vault.sender.handOver(await press(world, other.secret)), 'done')
    assert.equal((await world.carry()).length, 1, 'what was refused mails nothing')
    assert.equal((await world.vault.find(secretIn(newest))).kind, 'letter', 'the newest link is good')
    world.pass(hour - 1)
    assert.equal(await world.vault.sender.handOver(await press(world, secret)), 'limited')
    world.pass(1)
    assert.equal(await world.vault.sender.handOver(await press(world, secret)), 'done')
  }))

test('while its notice is being attempted nothing is handed over; pressed twice at once, it is handed over once', () =>
  withWorld(async (world) => {
    const { id, secret } = await waitingLetter(world)
    const cookies = [await press(world, secret), await press(world, secret)] as const
    await claimGroups(world.spoolParts, 10)
    assert.equal(await world.vault.sender.handOver(cookies[0]), 'busy')
    assert.equal((await stateOf(world, id))?.state, 'waiting')
    world.pass(10 * minute)
    const pressed = await Promise.all(cookies.map((cookie) => world.vault.sender.handOver(cookie)))
    assert.equal(pressed.filter((one) => one === 'done').length, 1, pressed.join())
    assert.equal((await world.carry()).length, 1)
    const cookie = cookies[pressed.indexOf('done')] ?? ''
    const again = await Promise.all([cookie, cookie].map((one) => world.vault.sender.handOver(one)))
    assert.deepEqual(again.toSorted(), ['done', 'stale'], 'nor does one of two new links arrive dead')
    assert.equal((await world.carry()).length, 1)
  }))

test('a notice that arrived meanwhile is not taken back: the page is stale', () =>
  withWorld(async (world) => {
    const { secret } = await waitingLetter(world)
    const cookie = await press(world, secret)
    const [notice] = await world.carry()
    assert.equal(await world.vault.sender.handOver(cookie), 'stale')
    assert.equal((await world.vault.find(secretIn(notice))).kind, 'letter')
  }))

test('a notice that is lost shreds the letter, for its sender’s link too', () =>
  withWorld(async (world) => {
    const { secret } = await waitingLetter(world)
    const cookie = await press(world, secret)
    await world.carry({ fails: true })
    assert.equal((await world.vault.sender.find(secret)).kind, 'unknown')
    assert.deepEqual([await world.vault.sender.cancel(cookie), await world.vault.sender.handOver(cookie)], ['lost', 'lost'])
  }))

test('a newer mail to the sender voids the link in the older one', () =>
  withWorld(async (world) => {
    const { id, secret } = await waitingLetter(world)
    const cookie = await press(world, secret)
    const newer = (await offer(world, id)) ?? assert.fail('no offer')
    await world.parts.db.write(...newer.statements)
    assert.equal((await world.vault.sender.find(secret)).kind, 'unknown')
    assert.equal(await world.vault.sender.cancel(cookie), 'lost')
  }))

test('an expired letter says so by either link', () =>
  withWorld(async (world) => {
    const { secret } = await waitingLetter(world)
    const [notice] = await world.carry()
    const cookie = await press(world, secret)
    world.pass(31 * day)
    assert.equal(await world.vault.expire(), 1)
    assert.equal((await world.vault.find(secretIn(notice))).kind, 'expired')
    assert.equal((await world.vault.sender.find(secret)).kind, 'expired')
    assert.equal(await world.vault.sender.cancel(cookie), 'lost')
  }))

test('links go only to a mailbox of the organisation that its own route leads to, and not with senderLink: never', async () => {
  const prepared = async (world: World) => {
    await world.accept(letterFor('max.maier@lab.example'), 'max.maier@lab.example')
    await world.seal()
    const [row] = await world.parts.db.read<{ id: string }>(sql`SELECT id FROM letter`)
    return row?.id ?? assert.fail('no letter')
  }
  await withWorld(async (world) => assert.equal(await offer(world, await prepared(world), 'a.weber@gmail.example'), undefined))
  await withWorld(async (world) => assert.equal(await offer(world, await prepared(world)), undefined), { 'delivery.routes': {} })
  await withWorld(async (world) => assert.equal(await offer(world, await prepared(world)), undefined), { 'notice.senderLink': 'never' })
})

test('a sender’s session ends like a reader’s', () =>
  withWorld(async (world) => {
    const cookie = await press(world, (await waitingLetter(world)).secret)
    world.pass(hour)
    assert.equal(await world.vault.sender.standing(cookie), undefined)
  }))
