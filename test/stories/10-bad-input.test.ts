import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { listLetters, listQueue } from '../../src/delivery/trace.ts'
import { startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld({ 'town.example': { certificate: 'none' }, 'lab.example': {} })
})
after(() => world?.close())

const head = (to: string, more = '') => `From: a@org.example\r\nTo: ${to}\r\nSubject: hostile\r\nMIME-Version: 1.0\r\n${more}`
const nested = (depth: number) => {
  const open = Array.from({ length: depth }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join('')
  return `${open}Content-Type: text/plain\r\n\r\ninnermost\r\n`
}
const wide = (parts: number) =>
  `Content-Type: multipart/mixed; boundary=b\r\n\r\n${Array.from({ length: parts }, (_, i) => `--b\r\nContent-Type: text/plain; name=f${i}\r\n\r\n${i}\r\n`).join('')}--b--\r\n`

for (const [what, raw] of [
  ['multiparts 3,000 deep', nested(3000)],
  ['20,000 parts', wide(20_000)],
  ['a boundary that never ends', 'Content-Type: multipart/mixed; boundary=never\r\n\r\nno part at all\r\n'],
  [
    'a boundary of 2,000 characters',
    `Content-Type: multipart/mixed; boundary="${'x'.repeat(2000)}"\r\n\r\n--${'x'.repeat(2000)}\r\n\r\nhi\r\n`,
  ],
  ['a message inside a message, 200 times', `${'Content-Type: message/rfc822\r\n\r\n'.repeat(200)}Subject: deep\r\n\r\nhi\r\n`],
  ['base64 that is none', `Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n${'!'.repeat(70)}\r\n`],
  ['an unknown charset', 'Content-Type: text/plain; charset=klingon\r\n\r\nnuqneH\r\n'],
  ['200,000 open tags', `Content-Type: text/html\r\n\r\n${'<div><b>\r\n'.repeat(100_000)}`],
  [
    '10,000 addresses in To',
    `To: ${Array.from({ length: 10_000 }, (_, i) => `x${i}@a.example`).join(',\r\n ')}\r\nContent-Type: text/plain\r\n\r\nhi\r\n`,
  ],
] as const)
  test(`${what}: accepted or refused within the limits, and the next message is served`, async () => {
    const id = await world
      .send({ envelope: { from: 'a@org.example', to: ['max@town.example'] }, raw: head('max@town.example') + raw })
      .catch((error: { responseCode?: number }) => error.responseCode)
    if (typeof id === 'string') {
      const { recipients } = await world.settled(id)
      assert.match(recipients[0]?.state ?? '', /^(letter-notified|delivered|bounced)$/)
    } else assert.ok(id !== undefined && id >= 500, `refused with ${id}`)
    const next = await world.send({ from: 'a@org.example', to: 'vera@lab.example', subject: 'ordinary', text: 'still served' })
    assert.equal((await world.settled(next)).recipients[0]?.state, 'delivered')
  })

test('a hostile letter can still be asked for, and the portal lives', async () => {
  assert.ok((await listLetters(world.db)).length > 0)
  const page = await fetch(`${world.settings['portal.url']}/m/00000000000000000000000000000000`)
  assert.equal(page.status, 404)
})

test('a client that breaks off in the middle of DATA leaves nothing behind', async () => {
  const at = world.settings['smtp.listen'][0]
  const client = createTransport({ host: at?.host, port: at?.port, tls: { rejectUnauthorized: false } })
  const { Readable } = await import('node:stream')
  const broken = Readable.from(
    (async function* () {
      yield head('vera@lab.example')
      yield '\r\nhalf a mess'
      throw new Error('the client died')
    })(),
  )
  await assert.rejects(client.sendMail({ envelope: { from: 'a@org.example', to: ['vera@lab.example'] }, raw: broken }))
  client.close()
  assert.ok(!(world.partners['lab.example']?.mails ?? []).some(({ content }) => content.includes('half a mess')))
})

test('while DNS is dead mail is taken in and waits with the reason in the queue, and goes out when DNS is back', async () => {
  world.dns.set('lab.example', { rcode: 'SERVFAIL' })
  world.dns.set('later.example', { silent: true })
  const id = await world.send({ from: 'a@org.example', to: 'vera@later.example', subject: 'patient', text: 'waits' })
  await world.settled(id, ({ recipients }) => recipients[0]?.attempts === 1)
  const waiting = (await listQueue(world.db)).find(({ message }) => message === id)
  assert.equal(waiting?.reason, 'dns-temporary')
  assert.match(waiting?.lastReply ?? '', /DNS|name server|look/i)
  world.dns.set('later.example', { records: [{ type: 'MX', data: { preference: 1, exchange: 'mx.lab.example' } }] })
  assert.equal((await world.settled(id)).recipients[0]?.state, 'delivered')
})
