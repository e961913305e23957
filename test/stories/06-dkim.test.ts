import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { generateKey } from 'openpgp'
import { publicRecord } from '../../src/mail/dkim.ts'
import { importKey } from '../../src/methods/pgp/keys.ts'
import { sql } from '../../src/store/db.ts'
import { dkimpy, verifyDkim } from '../world/dkim.ts'
import { runProgram } from '../world/program.ts'
import { startWorld, type World } from './world.ts'

let world: World
let signingWorld: World
/** What the admin publishes: the lines that the command printed. */
const records: { [name: string]: string } = {}
before(async () => {
  world = await startWorld({ 'lab.example': {}, 'town.example': { certificate: 'none' } })
  const old = { manner: { keywords: ['SIZE 10000000'] } }
  signingWorld = await startWorld({ 'lab.example': {}, 'old.example': old }, { 'dkim.signUnsigned': true })
})
after(() => Promise.all([world.close(), signingWorld.close()]))

/** Run a command beside the running gateway. */
async function letterlock(at: World, ...args: string[]): Promise<string> {
  const { data, database } = at.settings
  const ran = await runProgram(args, { env: { LETTERLOCK_DATA: data, LETTERLOCK_DATABASE: database } })
  assert.equal(ran.code, 0, ran.err)
  return ran.out
}

/** Read a zone line as a DNS server would. */
function publish(line: string): void {
  const [, name = '', strings = ''] = /^(\S+)\. IN TXT (.*)$/.exec(line.trim()) ?? assert.fail(`no zone line: ${line}`)
  records[name] = [...strings.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join('')
}

const mail = (to: string, more: object = {}) => ({
  from: 'Anna <a@org.example>',
  to,
  subject: 'Results',
  text: 'All is well.\r\n',
  ...more,
})
const both = [
  ['org.example', 'rsa-sha256', true],
  ['org.example', 'ed25519-sha256', true],
]
const verdicts = (content: Buffer) => verifyDkim(content, records).map(({ domain, algorithm, valid }) => [domain, algorithm, valid])

test('without a key our mail goes unsigned', async () => {
  await world.settled(await world.send(mail('first@town.example')))
  const notice = await world.arrival(world.partners['town.example'] ?? assert.fail())
  assert.doesNotMatch(notice.content.toString(), /^DKIM-Signature/im)
})

test('keys are made beside the running gateway, audited, and printed as records; nothing changes with --dry-run', async () => {
  assert.match(await letterlock(world, 'keys', 'dkim', 'create', 'org.example', '--dry-run'), /would make/)
  assert.deepEqual(JSON.parse(await letterlock(world, 'keys', 'dkim', 'list', '--json')), { keys: [] })
  for (const algorithm of ['rsa', 'ed25519'])
    publish(await letterlock(world, 'keys', 'dkim', 'create', 'org.example', '--algorithm', algorithm, '--selector', `${algorithm}-1`))
  const { keys } = JSON.parse(await letterlock(world, 'keys', 'dkim', 'list', '--json'))
  assert.deepEqual(
    keys.map(({ selector, signs }: { selector: string; signs: boolean }) => [selector, signs]),
    [
      ['rsa-1', true],
      ['ed25519-1', true],
    ],
  )
  assert.deepEqual(Object.keys(records), ['rsa-1._domainkey.org.example', 'ed25519-1._domainkey.org.example'])
  const entries = await world.db.read<{ object: string; detail: string }>(
    sql`SELECT object, detail FROM audit WHERE action = 'dkim.created'`,
  )
  assert.deepEqual(entries.map(({ object }) => object).sort(), Object.keys(records).sort())
  if (world.db.engine.name === 'sqlite') assert.ok(!readFileSync(join(world.settings.data, 'letterlock.db')).includes('PRIVATE KEY'))
})

test('a notice arrives with two good signatures of the organisation', dkimpy, async () => {
  await world.settled(await world.send(mail('second@town.example')))
  const notice = await world.arrival(
    world.partners['town.example'] ?? assert.fail(),
    ({ recipients }) => recipients[0]?.address === 'second@town.example',
  )
  assert.match(notice.content.toString(), /\/m\/[0-9a-z]{32}/)
  assert.deepEqual(verdicts(notice.content), both)
  assert.match(notice.parameters, /SIZE=/)
  const announced = Number(/SIZE=(\d+)/.exec(notice.parameters)?.[1])
  assert.equal(announced, notice.content.length)
})

test('so does a report to the sender', dkimpy, async () => {
  await world.settled(await world.send(mail('nora@nowhere.example')))
  const report = await world.arrival(world.own, ({ content }) => content.includes('nora@nowhere.example'))
  assert.deepEqual(verdicts(report.content), both)
})

test('and a PGP mail, whose own signature no longer fits', dkimpy, async () => {
  const { publicKey } = await generateKey({ userIDs: [{ email: 'pia@town.example' }], format: 'armored' })
  const how = { trust: 'approved', source: 'test', replace: false, dryRun: false, now: Date.now() } as const
  assert.equal((await importKey(world.db, Buffer.from(publicKey), how)).kind, 'imported')
  await world.settled(await world.send(mail('pia@town.example', { dkim: upstream().options })))
  const encrypted = await world.arrival(
    world.partners['town.example'] ?? assert.fail(),
    ({ recipients }) => recipients[0]?.address === 'pia@town.example',
  )
  assert.match(encrypted.content.toString(), /BEGIN PGP MESSAGE/)
  assert.deepEqual(verdicts(encrypted.content), both)
})

/** A mail server before us that signs. */
function upstream(domain = 'org.example') {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  records[`upstream._domainkey.${domain}`] = publicRecord({ algorithm: 'rsa', privateKey })
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  return { options: { domainName: domain, keySelector: 'upstream', privateKey: pem } }
}

test('a signature made upstream is still good after the tls route, and stays the only one', dkimpy, async () => {
  const partner = world.partners['lab.example'] ?? assert.fail()
  await world.settled(
    await world.send(mail('vera@lab.example', { bcc: 'bob@lab.example', text: 'Grüße\r\n.dot\r\n\r\n', dkim: upstream().options })),
  )
  const arrived = await world.arrival(partner)
  assert.ok(arrived.tls)
  assert.deepEqual(verdicts(arrived.content), [['org.example', 'rsa-sha256', true]])
})

test('mail of others is not signed unless the settings say so', async () => {
  const partner = world.partners['lab.example'] ?? assert.fail()
  await world.settled(await world.send(mail('plain@lab.example')))
  const arrived = await world.arrival(partner, ({ recipients }) => recipients[0]?.address === 'plain@lab.example')
  assert.doesNotMatch(arrived.content.toString(), /^DKIM-Signature/im)
})

test('with dkim.signUnsigned mail without an aligned signature gets ours, and what has one keeps only that', dkimpy, async () => {
  const partner = signingWorld.partners['lab.example'] ?? assert.fail()
  publish(await letterlock(signingWorld, 'keys', 'dkim', 'create', 'org.example', '--algorithm', 'ed25519', '--selector', 'own'))
  const arrival = async (to: string, more: object = {}) => {
    await signingWorld.settled(await signingWorld.send(mail(to, more)))
    return signingWorld.arrival(partner, ({ recipients }) => recipients[0]?.address === to)
  }
  const ours = ['org.example', 'ed25519-sha256', true]
  assert.deepEqual(verdicts((await arrival('a@lab.example')).content), [ours])
  const large = await arrival('b@lab.example', { attachments: [{ filename: 'large.bin', content: Buffer.alloc(3_000_000, 'abc \r\n') }] })
  assert.deepEqual(verdicts(large.content), [ours])
  assert.deepEqual(verdicts((await arrival('c@lab.example', { dkim: upstream('org.example').options })).content), [
    ['org.example', 'rsa-sha256', true],
  ])
  const foreign = verdicts((await arrival('d@lab.example', { dkim: upstream('sender.example').options })).content)
  assert.deepEqual(foreign, [ours, ['sender.example', 'rsa-sha256', true]])
})

test(
  '8-bit mail that we sign for its author reaches a server without 8BITMIME in 7 bits, with a signature that fits them',
  dkimpy,
  async () => {
    const partner = signingWorld.partners['old.example'] ?? assert.fail()
    const envelope = { from: 'a@org.example', to: 'e@old.example', use8BitMime: true }
    const raw = `From: a@org.example\r\nTo: e@old.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n`
    const { recipients } = await signingWorld.settled(await signingWorld.send({ envelope, raw }))
    assert.deepEqual([recipients[0]?.state, recipients[0]?.method], ['delivered', 'tls'], recipients[0]?.lastReply ?? '')
    const arrived = await signingWorld.arrival(partner)
    assert.ok(arrived.content.every((octet) => octet < 0x80))
    assert.deepEqual(verdicts(arrived.content), [['org.example', 'ed25519-sha256', true]])
    assert.equal(Number(/SIZE=(\d+)/.exec(arrived.parameters)?.[1]), arrived.content.length)
  },
)

test('a new key waits until the older one is removed', dkimpy, async () => {
  publish(await letterlock(world, 'keys', 'dkim', 'create', 'org.example', '--algorithm', 'ed25519', '--selector', 'ed25519-2'))
  const signers = async (to: string) => {
    await world.settled(await world.send(mail(to)))
    const notice = await world.arrival(world.partners['town.example'] ?? assert.fail(), ({ recipients }) => recipients[0]?.address === to)
    return verifyDkim(notice.content, records).map(({ selector, valid }) => [selector, valid])
  }
  const rsa = ['rsa-1', true]
  assert.deepEqual(await signers('third@town.example'), [rsa, ['ed25519-1', true]])
  assert.match(
    await letterlock(world, 'keys', 'dkim', 'remove', 'org.example', 'ed25519-1'),
    /^removed ed25519-1\._domainkey\.org\.example/,
  )
  assert.deepEqual(await signers('fourth@town.example'), [rsa, ['ed25519-2', true]])
})
