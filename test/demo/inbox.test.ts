/** The demo's inbox reads mail as its reader would, whatever arrives. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createMessage, encrypt, generateKey, readKey } from 'openpgp'
import { type ArrivedMail, createInbox, type Inbox } from '../../src/demo/inbox.ts'

type KeyPair = { readonly privateKey: string; readonly publicKey: string }
let pia: KeyPair
before(async () => {
  pia = await generateKey({ userIDs: [{ name: 'Pia', email: 'pia@press.example' }] })
})

const mailOf = (content: string, at = 1) => ({
  from: 'a@klinik.example',
  parameters: '',
  recipients: [{ address: 'vera@lab.example', parameters: '' }],
  content: Buffer.from(content.replaceAll('\n', '\r\n')),
  tls: null,
  at,
})

async function arrivals(inbox: Inbox, count: number): Promise<readonly ArrivedMail[]> {
  for (const end = Date.now() + 60_000; inbox.all().length < count && Date.now() < end; ) await new Promise((soon) => setTimeout(soon, 5))
  return inbox.all()
}

async function read(content: string): Promise<ArrivedMail> {
  const inbox = createInbox(pia.privateKey)
  inbox.take(mailOf(content))
  const [mail] = await arrivals(inbox, 1)
  assert.ok(mail)
  return mail
}

async function encrypted(text: string, to: KeyPair): Promise<string> {
  const armored = await encrypt({
    message: await createMessage({ text }),
    encryptionKeys: await readKey({ armoredKey: to.publicKey }),
  })
  return `Subject: ...\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b\n
--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n--b\nContent-Type: application/octet-stream\n\n${armored}\n--b--\n`
}

test('mails that arrive at once have each their own number, the newest first, however long reading takes', async () => {
  const inbox = createInbox(pia.privateKey)
  inbox.take(mailOf(await encrypted('Subject: slow\n\nslow', pia)))
  for (let at = 2; at <= 20; at++) inbox.take(mailOf(`Subject: mail ${at}\n\nhello`, at))
  const mails = await arrivals(inbox, 20)
  assert.deepEqual(
    mails.map(({ id }) => id),
    Array.from({ length: 20 }, (_, index) => 20 - index),
  )
  assert.equal(inbox.find(7)?.subject, 'mail 7')
})

test('a notice offers its link, and only a link to a letter counts', async () => {
  const link = `http://localhost:8080/m/${'k3v9x2m7q4t6w5z6n5r2p3s7d2f4h4j6'}`
  assert.equal((await read(`Subject: A letter for you\n\nGo to your letter:\n${link}\n\nYou can read it.\n`)).link, link)
  assert.equal((await read(`Subject: x\n\nsee http://localhost:8080/help\n`)).link, undefined)
})

test('a code mail offers its code, short or long', async () => {
  assert.equal(
    (await read('Subject: 4829 1306 is the code for your letter (pale brook)\n\n4829 1306\n\nThis is the code.\n')).code,
    '4829 1306',
  )
  assert.equal((await read('Subject: K7QM 2RTX 9D4F ist der Code\n\nK7QM 2RTX 9D4F\n')).code, 'K7QM 2RTX 9D4F')
  assert.equal((await read('Subject: 4829 1306 is my number\n\nCall me: 4829 1306\n')).code, undefined)
})

test('HTML alone is shown as the text in it', async () => {
  const mail = await read('Subject: x\nContent-Type: text/html\n\n<p>Hello <b>Vera</b></p><script>alert(1)</script>\n')
  assert.equal(mail.text.trim(), 'Hello Vera')
})

test('PGP mail shows what its reader sees inside: subject, text and the names of files', async () => {
  const inner =
    'Subject: Your results\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nAll is well.\n--i\nContent-Type: text/csv\nContent-Disposition: attachment; filename=results.csv\n\n1\n--i--\n'
  const mail = await read(await encrypted(inner, pia))
  assert.deepEqual(mail.inside, { subject: 'Your results', text: 'All is well.', files: ['results.csv'] })
  assert.deepEqual(mail.files, ['results.csv'])
})

test('PGP mail to somebody else and broken PGP mail are shown as closed', async () => {
  const other = await generateKey({ userIDs: [{ name: 'Other', email: 'other@press.example' }] })
  const broken = (await encrypted('x', pia)).replace(/\n[A-Za-z0-9+/]{20}/, '\n!!!!')
  for (const content of [await encrypted('x', other), broken])
    assert.match((await read(content)).inside?.text ?? '', /^The demo's key does not open it: /)
})

test('mail without subject, sender or even a header is shown all the same', async () => {
  for (const content of ['', '\n', 'no header at all', '\0\xff', 'Content-Type: multipart/mixed\n\n--\n']) {
    const mail = await read(content)
    assert.equal(mail.subject, '(no subject)')
    assert.equal(mail.from, 'a@klinik.example')
  }
})

test('of a large mail only the beginning is kept', async () => {
  assert.ok((await read(`Subject: large\n\n${'x'.repeat(1_000_000)}`)).raw.length < 70_000)
})
