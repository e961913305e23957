/** A domain with MTA-STS enforce whose TLS fails: no notice can arrive, its sender is told after an hour, and chooses. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listLetters } from '../../src/delivery/trace.ts'
import { waitingOriginal } from '../../src/spool/withdraw.ts'
import { sql } from '../../src/store/db.ts'
import { createBrowser } from '../web/portal/world.ts'
import { eventually, startWorld, type World } from './world.ts'

const hour = 3_600_000
let world: World
let offset = 0
const clock = () => Date.now() + offset

before(async () => {
  // The ordinary schedule of the product: only the clock is moved.
  const timings = { 'retry.schedule': [5, 10, 20, 40, 60].map((minutes) => minutes * 60_000), 'limits.handOversPerHour': 2 }
  world = await startWorld(
    { 'bank.example': { certificate: 'self-signed' }, 'tiny.example': { manner: { keywords: ['SIZE 100'] } } },
    timings,
    clock,
  )
  await world.applyPolicy('version: 1\nrules: []\ndefault:\n  deliver: [escrow]\n')
  await world.db.write(sql`INSERT INTO sts_policy (domain, id, mode, mx, max_age, fetched_at, expires_at, used_at)
    VALUES ('bank.example', 'one', 'enforce', '["mx.bank.example"]', 604800, ${clock()}, ${clock() + 7 * 24 * hour}, ${clock()})`)
})
after(() => world?.close())

const letters = async (to: string) => (await listLetters(world.db)).filter((letter) => letter.to === to)
const letterOf = async (to: string) => (await letters(to))[0] ?? assert.fail('no letter')
const noticeOf = async (letter: string) => waitingOriginal(world.db, 'notice', letter, clock())
const textOf = (mail: { content: Buffer }) => mail.content.toString('latin1').replace(/=\r\n/g, '')
const secretIn = (mail: { content: Buffer }, path: 'm' | 's') =>
  new RegExp(`http://localhost:\\d+/${path}/([0-9a-z]{32})`).exec(textOf(mail))?.[1] ?? assert.fail(`no link in: ${textOf(mail)}`)
const browse = () => createBrowser(`http://localhost:${world.settings['portal.listen'].port}`)
const actions = async (object: string) =>
  (await world.db.read<{ action: string }>(sql`SELECT action FROM audit WHERE object = ${object} ORDER BY at, id`)).map(
    ({ action }) => action,
  )

/** A letter whose notice has waited for more than an hour: its id, and the mail that told its sender. */
async function waitingLetter(to: string, text: string) {
  await world.send({ from: 'Anna <a@org.example>', to, subject: 'Kanarienvogel', text })
  const { id } = await eventually('the letter', async () => (await letters(to))[0])
  const attempted = async (times: number) =>
    eventually(`attempt ${times} at the notice`, async () => {
      const [row] = await world.db.read<{ attempts: number; claimed_until: number }>(sql`
        SELECT recipient.attempts, recipient.claimed_until FROM recipient JOIN message ON message.id = recipient.message
        WHERE message.kind = 'notice' AND message.about = ${id}`)
      return row && row.attempts >= times && row.claimed_until === 0 ? row : undefined
    })
  await attempted(1)
  assert.equal(world.own.mails.filter((mail) => textOf(mail).includes(to)).length, 0, 'nobody is told before an hour has passed')
  offset += 2 * hour
  await world.send({ from: 'a@org.example', to: 'b@org.example', text: 'wakes the worker' })
  const told = await world.arrival(world.own, (mail) => /^Action: delayed/m.test(textOf(mail)) && textOf(mail).includes(to))
  await attempted(2)
  return { id, told }
}

/** From the link in the mail to the page with the choices. */
async function choose(told: { content: Buffer }) {
  const browser = browse()
  const secret = secretIn(told, 's')
  const landing = await browser.get(`/s/${secret}`)
  assert.equal(landing.status, 200)
  assert.doesNotMatch(landing.text, /Kanarienvogel/)
  const choices = await browser.submit(landing, `/s/${secret}`)
  assert.match(choices.path, /^\/status\/[\w-]+$/)
  return { browser, choices, secret }
}

test('the sender is told after an hour, with the choices; going on waiting changes nothing', async () => {
  const { id, told } = await waitingLetter('eve@bank.example', 'one')
  assert.match(textOf(told), /sealed here, but the notice with its link could not be delivered yet/)
  const { browser, choices } = await choose(told)
  assert.match(choices.text, /Go on waiting/)
  assert.match(choices.text, /Hand the link over another way/)
  assert.match(choices.text, /Cancel the letter/)
  const before = await noticeOf(id)
  const done = await browser.submit(choices, /wait$/)
  assert.match(done.text, /The letter stays sealed/)
  assert.deepEqual([(await letterOf('eve@bank.example')).state, await noticeOf(id)], ['letter-waiting', before])
  assert.equal((await browser.get(choices.path)).status, 403, 'the session is over')
  assert.deepEqual(world.partners['bank.example']?.mails, [], 'nothing went over the broken channel')
})

test('cancelled: letter and notice are gone at once, and its link says so', async () => {
  const { id, told } = await waitingLetter('ida@bank.example', 'two')
  const { browser, choices, secret } = await choose(told)
  const asked = await browser.get(`${choices.path}/cancel`)
  const unticked = await browser.submit(asked, /cancel$/)
  assert.equal(unticked.status, 422)
  assert.equal((await letterOf('ida@bank.example')).state, 'letter-waiting', 'a robot that presses the button destroys nothing')
  const done = await browser.submit(asked, /cancel$/, { sure: 'yes' })
  assert.match(done.text, /You took the letter back/)
  assert.equal((await letterOf('ida@bank.example')).state, 'letter-recalled')
  assert.equal(await noticeOf(id), undefined)
  assert.deepEqual(await world.db.read(sql`SELECT letter FROM letter_header WHERE letter = ${id}`), [])
  const contents = sql`SELECT message FROM content WHERE message IN (SELECT message FROM letter WHERE id = ${id})`
  assert.deepEqual(await world.db.read(contents), [], 'the payload is gone')
  assert.ok((await actions(id)).includes('letter.recalled'))
  assert.equal((await browse().get(`/s/${secret}`)).status, 410)
  const again = await browser.post(`${choices.path}/hand-over`, { sure: 'yes' })
  assert.match(again.headers.get('location') ?? '', /problem=stale/)
})

test('handed over: the sender is mailed link and words, and with both the reader opens the letter without a code', async () => {
  const { id, told } = await waitingLetter('max@bank.example', 'the values are fine')
  const { browser, choices } = await choose(told)
  const asked = await browser.get(`${choices.path}/hand-over`)
  const done = await browser.submit(asked, /hand-over$/, { sure: 'yes' })
  assert.match(done.text, /You were mailed a link and four words/)
  assert.equal(await noticeOf(id), undefined, 'the notice was taken back')
  const mail = await world.arrival(world.own, (one) => /four words/.test(textOf(one)))
  assert.equal(mail.recipients[0]?.address, 'a@org.example')
  const words = /^([a-z-]+ [a-z-]+ [a-z-]+ [a-z-]+)\r$/m.exec(textOf(mail))?.[1] ?? assert.fail('no words')
  const secret = secretIn(mail, 'm')
  const { state, proof } = await letterOf('max@bank.example')
  assert.deepEqual([state, proof], ['letter-notified', 'passphrase'])

  const reader = browse()
  const landing = await reader.get(`/m/${secret}`)
  assert.match(landing.text, /four words/)
  const phrasePage = await reader.submit(landing, `/m/${secret}`)
  const wrong = await reader.submit(phrasePage, phrasePage.path, { code: 'river copper seven lamp' })
  assert.match(wrong.text, /not the words of this letter. You have 4 more tries/)
  const letter = await reader.submit(wrong, phrasePage.path, { code: `${words.toUpperCase().replaceAll(' ', ', ')}` })
  assert.match(letter.text, /Kanarienvogel/)
  assert.match(letter.text, /the values are fine/)
  assert.equal((await letterOf('max@bank.example')).state, 'letter-read')
  assert.deepEqual(world.partners['bank.example']?.mails, [], 'no code was mailed')
  assert.match((await browser.get(choices.path)).text, /The letter was read/)
  assert.ok((await actions(id)).includes('letter.handed-over'))
})

test('who asks for link and words again and again is told that it is enough for this hour, and is mailed no more', async () => {
  const { told } = await waitingLetter('liz@bank.example', 'four')
  const { browser, choices } = await choose(told)
  const press = async () => browser.submit(await browser.get(`${choices.path}/hand-over`), /hand-over$/, { sure: 'yes' })
  for (let times = 1; times <= 2; times++) assert.match((await press()).text, /You were mailed a link and four words/)
  const mails = async () =>
    (
      await world.db.read(sql`SELECT message.id FROM message JOIN letter ON letter.id = message.about
      WHERE message.kind = 'sender-mail' AND letter.address = 'liz@bank.example'`)
    ).length
  const before = await mails()
  const refused = await press()
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '3600'])
  assert.match(
    refused.text,
    /Nothing was done: you were mailed link and words several times within the last hour\. The newest of them still work/,
  )
  assert.equal(await mails(), before)
})

test('a notice that its host takes in no size destroys the letter, and the sender is told so plainly', async () => {
  await world.send({ from: 'a@org.example', to: 'tim@tiny.example', subject: 'x', text: 'three' })
  const told = await world.arrival(world.own, (mail) => /^Action: failed/m.test(textOf(mail)))
  assert.match(
    textOf(told),
    /so the letter was destroyed: mx\.tiny\.example takes at most 100 octets, the message has \d+\. Nothing further/,
  )
  assert.match(textOf(told), /^Status: 5\.3\.4\r$/m)
  assert.equal((await letterOf('tim@tiny.example')).state, 'bounced')
})
