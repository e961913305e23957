/** 8-bit mail to a server without 8BITMIME, through real sockets: it arrives in 7 bits with the same content, or it falls back. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import PostalMime from 'postal-mime'
import { SealBroken } from '../../src/seal/payload.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
})
after(() => world?.close())

const partnerOf = async (domain: string, ...keywords: string[]) =>
  world.partner(domain, { tls: await world.authority.issue([`mx.${domain}`]), keywords })
const envelope = { body: '8bit', smtpUtf8: false } as const

const text = 'Grüße aus Köln\r\n.\r\n..zwei Punkte \r\n'
const picture = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x00, 0xff])
const mail = Buffer.concat([
  Buffer.from('From: Ann <a@org.example>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="==b"\r\n'),
  Buffer.from(`Content-Transfer-Encoding: 8bit\r\n\r\n--==b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n--==b\r\n`),
  Buffer.from('Content-Type: image/png; name=p.png\r\nContent-Transfer-Encoding: binary\r\n\r\n'),
  picture,
  Buffer.from('\r\n--==b--\r\n'),
])

test('the server gets the same content in 7 bits, over verified TLS, and the record says so', async () => {
  const partner = await partnerOf('seven.example', 'PIPELINING', 'SIZE 100000')
  const { first } = await world.ship('seven.example', verified, { body: mail, envelope, whole: mail })
  assert.deepEqual([first.kind, first.kind === 'delivered' && first.assurance], ['delivered', 'verified'], first.text)
  assert.equal(first.evidence.reencoded, true)
  const [got] = partner.mails
  assert.ok(got)
  assert.equal(got.tls?.protocol, 'TLSv1.3')
  assert.ok(got.content.every((octet) => octet < 0x80))
  assert.equal(got.parameters, `SIZE=${got.content.length}`)
  const read = await PostalMime.parse(got.content)
  assert.equal(read.text?.trimEnd().replace(/\r?\n/g, '\r\n'), text.trimEnd())
  assert.deepEqual(Buffer.from(read.attachments[0]?.content as ArrayBuffer), picture)
})

test('a server with 8BITMIME gets it byte for byte, and so does one without when it is 7-bit after all', async () => {
  const modern = await partnerOf('eight.example', '8BITMIME')
  const { first } = await world.ship('eight.example', verified, { body: mail, envelope })
  assert.deepEqual(modern.mails[0]?.content, mail)
  assert.equal(modern.mails[0]?.parameters, 'BODY=8BITMIME')
  const old = await partnerOf('seven-already.example')
  const plain = await world.ship('seven-already.example', verified, { envelope })
  assert.equal(old.mails[0]?.content.toString(), 'Subject: x\r\n\r\nhello\r\n')
  assert.deepEqual([first.evidence.reencoded, plain.first.evidence.reencoded], [undefined, undefined])
})

test('what cannot be re-encoded falls back before a word of it is said, and the record says why', async () => {
  const partner = await partnerOf('hands-off.example')
  for (const [head, why] of [
    ['DKIM-Signature: v=1; d=org.example; b=x\r\n', 'it is signed'],
    ['Content-Type: application/pkcs7-mime\r\n', 'it is signed or encrypted'],
    ['Subject: Grüße\r\n', 'its header has 8-bit octets'],
  ] as const) {
    const { first } = await world.ship('hands-off.example', verified, { body: `${head}\r\nGrüße\r\n`, envelope })
    assert.equal(first.kind === 'unsuitable' && first.reason, 'eightbit-unsupported')
    assert.equal(first.text, `mx.hands-off.example does not take 8-bit content (8BITMIME), and it cannot be re-encoded: ${why}`)
  }
  assert.equal(partner.mails.length, 0)
})

test('a rendering that is larger than the server takes falls back', async () => {
  const partner = await partnerOf('small.example', 'SIZE 1000')
  const body = `Subject: x\r\n\r\n${'ü'.repeat(400)}\r\n`
  const { first } = await world.ship('small.example', verified, { body, envelope })
  assert.equal(first.kind === 'unsuitable' && first.reason, 'message-too-large')
  assert.equal(partner.mails.length, 0)
})

test('content that cannot be read is our trouble, not a reason to fall back', async () => {
  const partner = await partnerOf('broken.example')
  const failing = (error: Error) => () =>
    Readable.from(
      (function* () {
        yield Buffer.from('Subject: x\r\n\r\nü')
        throw error
      })(),
    )
  const reasons = []
  for (const error of [new SealBroken('altered'), new Error('no such file')]) {
    const { first } = await world.ship('broken.example', verified, { envelope, open: failing(error) })
    reasons.push([first.kind, 'reason' in first && first.reason])
  }
  assert.deepEqual(reasons, [
    ['failed', 'content-damaged'],
    ['deferred', 'local-fault'],
  ])
  assert.equal(partner.mails.length, 0)
})
