import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listLetters, listMessages } from '../../src/delivery/trace.ts'
import { form, reader } from './reader.ts'
import { eventually, startWorld, type World } from './world.ts'

const canary = 'Kanarienvogel-4711-content'
const subjectCanary = 'Kanarienvogel-4712-subject'
let world: World
before(async () => {
  world = await startWorld({ 'town.example': { certificate: 'none' } })
})
after(() => world?.close())

const grep = (word: string): string[] =>
  (readdirSync(world.settings.data, { recursive: true, withFileTypes: true }) as { parentPath: string; name: string; isFile(): boolean }[])
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(word))

test('a letter is sealed, announced, opened with link and code, read as often as wanted, and nothing of it is on the disk', async () => {
  const id = await world.send({
    from: 'Anna Weber <a@org.example>',
    to: 'Max <max@town.example>',
    subject: subjectCanary,
    text: `${canary} as text`,
    html: `<p>${canary} as <b>HTML</b></p><script>alert(1)</script>`,
    attachments: [{ filename: 'values.csv', content: 'a,b\r\n1,2\r\n' }],
  })
  await world.settled(id)
  const partner = world.partners['town.example'] ?? assert.fail()
  const notice = await world.arrival(partner, ({ content }) => content.includes('/m/'))
  const link = /http:\/\/localhost:\d+\/m\/([0-9a-z]{32})/.exec(notice.content.toString()) ?? assert.fail('the notice has no link')
  await eventually('the notice to be settled', async () => (await listLetters(world.db)).find(({ state }) => state === 'letter-notified'))

  // With a real browser's habits: a look changes nothing, then Continue, the code from the mail, the letter.
  const { follow } = reader()
  const landing = await follow(link[0])
  assert.match(landing.text, /Anna Weber/)
  assert.doesNotMatch(landing.text, new RegExp(subjectCanary))
  assert.equal(partner.mails.length, 1)
  const go = form(landing)
  const codePage = await follow(go.action, go.fields)
  assert.doesNotMatch(codePage.url, new RegExp(link[1] ?? '-'))
  const codeMail = await world.arrival(partner, ({ content }) => /^Subject: \d{4} \d{4}/m.test(content.toString()))
  const code = /^Subject: (\d{4} \d{4})/m.exec(codeMail.content.toString())?.[1] ?? assert.fail()
  const enter = form(codePage)
  const letter = await follow(enter.action, { ...enter.fields, code })
  assert.equal(letter.status, 200)
  assert.match(letter.text, new RegExp(subjectCanary))
  assert.match(letter.text, /values\.csv/)
  await eventually('the read to be recorded', async () =>
    (await listMessages(world.db)).find(({ recipients }) => recipients[0]?.state === 'letter-read'),
  )
  assert.equal((await follow(letter.url)).status, 200)

  for (const secret of [canary, subjectCanary, link[1] ?? '', link[1]?.toUpperCase() ?? '', code, code.replace(' ', '')])
    assert.deepEqual(grep(secret), [], `found ${secret}`)
  const rows = async (text: string) => (await world.db.read({ text, values: [] })).length
  // The code's host has it before this is recorded.
  await eventually('notice and code to be gone, so that only the letter has content left', async () =>
    (await rows('SELECT message FROM content')) === 1 ? true : undefined,
  )
  assert.equal(await rows('SELECT id FROM message WHERE wrap IS NOT NULL'), 0, 'no file key is left under a key of the server')
})

test('the letter outlives a restart of the gateway and a rotation of the keys', async () => {
  const partner = world.partners['town.example'] ?? assert.fail()
  const id = await world.send({ from: 'a@org.example', to: 'ida@town.example', subject: 'Later', text: 'read me later' })
  await world.settled(id)
  const notice = await world.arrival(partner, ({ recipients }) => recipients[0]?.address === 'ida@town.example')
  await world.restart()
  const { follow } = reader()
  const landing = await follow(/http:\/\/localhost:\d+\/m\/[0-9a-z]{32}/.exec(notice.content.toString())?.[0] ?? assert.fail())
  assert.equal(landing.status, 200)
  const go = form(landing)
  const codePage = await follow(go.action, go.fields)
  const codeMail = await world.arrival(
    partner,
    ({ recipients, content }) => recipients[0]?.address === 'ida@town.example' && /^Subject: \d/m.test(content.toString()),
  )
  const enter = form(codePage)
  const letter = await follow(enter.action, {
    ...enter.fields,
    code: /^Subject: (\d{4} \d{4})/m.exec(codeMail.content.toString())?.[1] ?? '',
  })
  assert.match(letter.text, /Later/)
})

test('an unknown link is a plain page', async () => {
  const { follow } = reader()
  const page = await follow(`${world.settings['portal.url']}/m/00000000000000000000000000000000`)
  assert.equal(page.status, 404)
  assert.doesNotMatch(page.text, /Error|stack/)
})
