import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { createReader } from '../../../../src/web/portal/reading/reader.ts'
import { canary, htmlMail, mail, scriptsEverywhere } from './hostile.ts'

const reports: string[] = []
let now = 1_000_000
const reader = createReader({ clock: () => now, report: (because) => reports.push(because), limits: { time: 5000, memory: 128 } })
after(() => reader.close())

let next = 0
const opened = (bytes: Buffer) => () => Readable.from([bytes.subarray(0, 10), bytes.subarray(10)])
const letter = async (bytes: Buffer) => {
  next += 1
  const content = await reader.letter(`session ${next}`, opened(bytes))
  assert.notEqual(content, 'unreadable')
  return content as Exclude<typeof content, 'unreadable'>
}

test('a plain mail is its text, its people and its date', async () => {
  const content = await letter(
    mail(['Date: Fri, 21 Nov 2025 14:02:00 +0100', 'Cc: Team: a@x.example, B <b@x.example>;', '', 'Hello', 'you', '']),
  )
  assert.equal(content.html, null)
  assert.equal(content.text, 'Hello\nyou')
  assert.deepEqual(content.to, [{ name: 'Max Maier', address: 'max@praxis.example' }])
  assert.deepEqual(
    content.cc.map(({ address }) => address),
    ['a@x.example', 'b@x.example'],
  )
  assert.equal(content.date, Date.parse('2025-11-21T13:02:00Z'))
})

test('scripts in body, text part, subject, file name and type are text or gone', async () => {
  const content = await letter(scriptsEverywhere)
  assert.doesNotMatch(content.html ?? '', /<script|<[^>]*\son\w+=|javascript:|<svg|<form/i)
  assert.match(content.html ?? '', /The harmless end/)
  assert.equal(content.withheld, true)
  const [file] = content.files
  assert.equal(file?.type, 'application/octet-stream')
  assert.doesNotMatch(file?.name ?? '', /[<>"/]/)
  // The page escapes text; here it is still what the sender wrote.
  assert.match(content.text, new RegExp(`Plain <script>fetch\\('${canary}'\\)`))
})

test('a picture inside the mail is inlined by its first bytes, and no longer listed as a file', async () => {
  const png = Buffer.from('89504e470d0a1a0a0000', 'hex').toString('base64')
  const content = await letter(
    mail([
      'Content-Type: multipart/related; boundary=r',
      ...['', '--r', 'Content-Type: text/html', '', '<p>x<img src="cid:one@x"><img src="cid:two@x"></p>'],
      ...[
        '--r',
        'Content-Type: text/html',
        'Content-ID: <one@x>',
        'Content-Disposition: inline; filename=a.png',
        'Content-Transfer-Encoding: base64',
        '',
        png,
      ],
      ...[
        '--r',
        'Content-Type: image/png',
        'Content-ID: <two@x>',
        'Content-Transfer-Encoding: base64',
        '',
        Buffer.from('<svg onload=alert(1)>').toString('base64'),
      ],
      ...['--r--', ''],
    ]),
  )
  assert.doesNotMatch(content.html ?? '', /svg|onload/)
  assert.equal(content.files.length, 1)
})

test('HTML without a text part has a plain view', async () => {
  assert.equal((await letter(htmlMail('<p>One</p><p>Two</p>'))).text, 'One\n\nTwo')
})

test('HTML that shows nothing leaves the text', async () => {
  const content = await letter(htmlMail('<html><head><title>t</title></head><body><div></div></body></html>'))
  assert.equal(content.html, null)
})

test('HTML beyond the limit is shown as text, cut and said so', async () => {
  const content = await letter(htmlMail(`<p>start</p>${'<p>word</p>'.repeat(150_000)}`))
  assert.equal(content.html, null)
  assert.equal(content.shortened, true)
  assert.match(content.text, /^start\n\nword/)
})

test('a forwarded mail stays a file', async () => {
  const content = await letter(
    mail([
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'see below',
      '--b',
      'Content-Type: message/rfc822',
      '',
      'Subject: inner',
      '',
      'inner text',
      '--b--',
      '',
    ]),
  )
  assert.equal(content.text, 'see below')
  assert.deepEqual(
    content.files.map(({ name, type }) => [name, type]),
    [['1.eml', 'message/rfc822']],
  )
})

test('a stream that breaks is an answer, not an exception', async () => {
  const broken = new Readable({ read: () => broken.destroy(new Error('seal broken')) })
  assert.equal(await reader.letter('broken', () => broken), 'unreadable')
})

test('a mail is read once for a session, and again when it was forgotten or idle for half an hour', async () => {
  let read = 0
  const bytes = mail(['', 'x'])
  const counting = () => {
    read += 1
    return Readable.from([bytes])
  }
  await Promise.all([reader.letter('kept', counting), reader.letter('kept', counting)])
  await reader.letter('kept', counting)
  assert.equal(read, 1)
  reader.forget('kept')
  await reader.letter('kept', counting)
  assert.equal(read, 2)
  now += 31 * 60_000
  await reader.letter('kept', counting)
  assert.equal(read, 3)
})

test('a mail that takes too long ends its worker, and the next mail is read', async () => {
  const hasty = createReader({ clock: () => now, report: (because) => reports.push(because), limits: { time: 40, memory: 128 } })
  const slow = htmlMail(`${'<table><tr><td style="color:red">'.repeat(20_000)}x`)
  assert.equal(await hasty.letter('slow', opened(slow)), 'unreadable')
  assert.equal(reports.at(-1), 'too much time')
  await hasty.close()
})

test('a mail that takes too much memory ends its worker, and the next mail is read', async () => {
  const patient = createReader({ clock: () => now, report: (because) => reports.push(because), limits: { time: 60_000, memory: 16 } })
  const bomb = mail(['a:\r\n'.repeat(200_000), '', 'x'])
  assert.equal(await patient.letter('bomb', opened(bomb)), 'unreadable')
  assert.equal(reports.at(-1), 'too much memory')
  const content = await patient.letter('next', opened(mail(['', 'still here'])))
  assert.ok(content !== 'unreadable' && content.text === 'still here')
  await patient.close()
})

test('a mail of too many parts is not even handed to a worker', async () => {
  const many = mail(['Content-Type: multipart/mixed; boundary=b', '', '--b\r\n\r\n\r\n'.repeat(2000)])
  assert.equal(await reader.letter('many', opened(many)), 'unreadable')
  assert.equal(reports.at(-1), 'too many parts')
})

test('a file is listed with its true size, whatever it weighs, and a picture too large to be inlined stays a file', async () => {
  const line = `${'QUFB'.repeat(19)}\r\n`
  const content = await letter(
    mail([
      ...['Content-Type: multipart/related; boundary=b', '', '--b', 'Content-Type: text/html', '', '<p>x<img src="cid:big@x"></p>'],
      ...[
        '--b',
        'Content-Type: image/png',
        'Content-ID: <big@x>',
        'Content-Transfer-Encoding: base64',
        '',
        `iVBORw0KGgoA\r\n${line.repeat(80_000)}`,
      ],
      ...['--b', 'Content-Type: application/zip; name=big.zip', 'Content-Transfer-Encoding: base64', '', line.repeat(100_000), '--b--', ''],
    ]),
  )
  assert.doesNotMatch(content.html ?? '', /<img/)
  assert.deepEqual(
    content.files.map(({ number, size }) => [number, size]),
    [
      [1, 9 + 57 * 80_000],
      [2, 57 * 100_000],
    ],
  )
})

test('many mails at once are all answered', async () => {
  const contents = await Promise.all(Array.from({ length: 20 }, (_, i) => letter(mail(['', `mail ${i}`]))))
  assert.deepEqual(
    contents.map(({ text }) => text),
    Array.from({ length: 20 }, (_, i) => `mail ${i}`),
  )
})
