import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import PostalMime from 'postal-mime'
import { field, fields, parseHeader, splitHeader } from '../../../src/mail/header.ts'
import { importKey } from '../../../src/methods/pgp/keys.ts'
import { SealBroken } from '../../../src/seal/payload.ts'
import { attemptOf, database, gpgHome, labExample, noGpg, outcomeOf, pgpOver, withoutGpg } from './world.ts'

const lines = (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'))

const plain = lines(`Received: from a by b; Mon, 1 Jan 2026 00:00:00 +0000
DKIM-Signature: v=1; d=org.example; b=abc
From: Anna <anna@org.example>
To: Max <max@lab.example>
Cc: eva@lab.example
Bcc: secret@lab.example
Subject: The merger
 with Acme
Date: Mon, 01 Jan 2026 10:00:00 +0000
Message-ID: <one@org.example>
In-Reply-To: <zero@org.example>
References: <zero@org.example>
X-Project: merger
X-Letterlock-Phone: +49 1234
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße,
-- 
-dashes and From the start
.
  trailing space \n\n`)

const html = lines(`From: anna@org.example
To: max@lab.example
Subject: =?utf-8?Q?Angebot_f=C3=BCr_Sie?=
Message-ID: <two@org.example>
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe
--inner
Content-Type: text/html; charset=utf-8

<p>Hello</p>
--inner--
--outer
Content-Type: application/pdf; name="a.pdf"
Content-Disposition: attachment; filename="a.pdf"
Content-Transfer-Encoding: base64

${randomBytes(3000).toString('base64').replace(/.{76}/g, '$&\n')}
--outer--
epilogue`)

const bodyOfMessage = (content: Buffer) => content.subarray(splitHeader(content).bodyStart)
const armored = (content: Buffer) =>
  Buffer.from(/-----BEGIN PGP MESSAGE-----[\s\S]*-----END PGP MESSAGE-----\r\n/.exec(content.toString('latin1'))?.[0] ?? '', 'latin1')
const keyIds = (status: string) => [...status.matchAll(/ENC_TO ([0-9A-F]{16})/g)].map((found) => found[1])

const gpg = withoutGpg ? noGpg : gpgHome()
const db = await database()
const lab = await labExample()
if (!withoutGpg) {
  for (const [address, algorithm] of [
    ['max@lab.example', 'default'],
    ['eva@lab.example', 'future-default'],
    ['Secret@lab.example', 'future-default'],
    ['hidden@lab.example', 'future-default'],
  ] as const) {
    const file = gpg.generate(`Somebody <${address}>`, algorithm)
    const trust = address.startsWith('eva') ? 'direct' : 'approved'
    const imported = await importKey(db, file, { source: 'test', replace: false, dryRun: false, now: Date.now(), trust })
    assert.equal(imported.kind, 'imported', JSON.stringify(imported))
  }
}

describe('the pgp method with gpg at the other end', { skip: withoutGpg }, () => {
  for (const [name, message] of [
    ['plain UTF-8 text', plain],
    ['HTML with an attachment', html],
    ['a body without end', Buffer.concat([html, randomBytes(300_000)])],
    ['no body', lines('From: a@org.example\n\n')],
  ] as const) {
    test(`gpg gives back ${name} byte for byte`, async () => {
      const { shipped, method } = pgpOver(db, lab)
      const answers = await method.attempt(attemptOf(message, ['max@lab.example'], { chunk: 777 }))
      assert.equal(outcomeOf(answers, 'max@lab.example').kind, 'delivered')
      const { out } = gpg.run(['--decrypt'], armored(shipped[0]?.content ?? Buffer.alloc(0)))
      assert.deepEqual(bodyOfMessage(out), bodyOfMessage(message))
    })
  }

  test('inside stand the protected fields, their outer copies and the Content fields; Bcc, traces and our own fields do not', async () => {
    const { shipped, method } = pgpOver(db, lab)
    await method.attempt(attemptOf(plain, ['max@lab.example']))
    const { out } = gpg.run(['--decrypt'], armored(shipped[0]?.content ?? Buffer.alloc(0)))
    const inner = parseHeader(splitHeader(out).header)
    assert.equal(field(inner, 'Subject'), 'The merger with Acme')
    assert.equal(field(inner, 'From'), 'Anna <anna@org.example>')
    assert.equal(field(inner, 'X-Project'), 'merger')
    assert.equal(field(inner, 'Content-Type'), 'text/plain; charset=utf-8; hp="cipher"; protected-headers="v1"')
    assert.equal(field(inner, 'Content-Transfer-Encoding'), '8bit')
    assert.deepEqual(fields(inner, 'HP-Outer'), [
      'From: Anna <anna@org.example>',
      'To: Max <max@lab.example>',
      'Cc: eva@lab.example',
      'Subject: ...',
      'Date: Mon, 01 Jan 2026 10:00:00 +0000',
      'Message-ID: <one@org.example>',
      'In-Reply-To: <zero@org.example>',
      'References: <zero@org.example>',
    ])
    for (const name of ['Bcc', 'Received', 'DKIM-Signature', 'X-Letterlock-Phone', 'MIME-Version'])
      assert.equal(field(inner, name), undefined, name)
  })

  test('outside the subject is gone and nothing is readable but what carries the message', async () => {
    const { shipped, method } = pgpOver(db, lab)
    await method.attempt(attemptOf(plain, ['max@lab.example']))
    const content = shipped[0]?.content ?? Buffer.alloc(0)
    const outer = parseHeader(splitHeader(content).header)
    assert.deepEqual(
      outer.map(({ name }) => name),
      ['Received', 'From', 'To', 'Cc', 'Subject', 'Date', 'Message-ID', 'In-Reply-To', 'References', 'MIME-Version', 'Content-Type'],
    )
    assert.equal(field(outer, 'Subject'), '...')
    assert.doesNotMatch(content.toString('latin1'), /merger|Acme|secret@|dashes|1234/)
    assert.match(field(outer, 'Content-Type') ?? '', /^multipart\/encrypted; protocol="application\/pgp-encrypted"; boundary="[^"]+"$/)
    const parsed = await PostalMime.parse(content)
    assert.deepEqual(
      parsed.attachments.map(({ mimeType }) => mimeType),
      ['application/pgp-encrypted', 'application/octet-stream'],
    )
    assert.equal(shipped[0]?.size, content.length)
    assert.deepEqual(shipped[0]?.envelope, { body: '7bit', smtpUtf8: false })
    assert.deepEqual(shipped[0]?.need, { kind: 'notice' })
    assert.ok(
      content
        .toString('latin1')
        .split('\r\n')
        .every((line) => line.length <= 78 && !/[\r\n]/.test(line)),
    )
  })

  test('the named recipients share one encryption, each Bcc recipient gets one that names no other key', async () => {
    const { shipped, method } = pgpOver(db, lab)
    const recipients = ['max@lab.example', 'bcc:secret@lab.example', 'eva@lab.example', 'bcc:hidden@lab.example']
    const answers = await method.attempt(attemptOf(plain, recipients))
    assert.deepEqual(
      shipped.map((one) => one.recipients.map(({ id }) => id)),
      [['max@lab.example', 'eva@lab.example'], ['bcc:secret@lab.example'], ['bcc:hidden@lab.example']],
    )
    const ids = shipped.map(({ content }) => keyIds(gpg.run(['--decrypt'], armored(content)).status))
    assert.deepEqual(
      ids.map((list) => list.length),
      [2, 1, 1],
    )
    assert.equal(new Set(ids.flat()).size, 4)
    for (const { content } of shipped) assert.doesNotMatch(content.toString(), /secret@|hidden@/i)
    for (const id of recipients) assert.equal(outcomeOf(answers, id).kind, 'delivered')
  })

  test('the outcome names the key and how it travelled', async () => {
    const { method } = pgpOver(db, lab)
    const outcome = outcomeOf(await method.attempt(attemptOf(plain, ['max@lab.example'])), 'max@lab.example')
    assert.match(outcome.text, /^encrypted to key [0-9A-F]{16} and .*mx\.lab\.example/)
    assert.equal(outcome.evidence.host, 'mx.lab.example')
    assert.match(JSON.stringify(outcome.evidence), /"pgp":\{"fingerprint":"[0-9A-F]{40}","trust":"approved"\}/)
  })

  test('what the transport answers is passed on: a deferral and a refusal stay what they are', async () => {
    const { method } = pgpOver(db, lab)
    lab.partner.behave({ script: (verb) => (verb === 'RCPT' ? '450 4.2.1 try later' : undefined) })
    const deferred = outcomeOf(await method.attempt(attemptOf(plain, ['max@lab.example'])), 'max@lab.example')
    lab.partner.behave({ script: (verb) => (verb === 'RCPT' ? '550 5.1.1 nobody here' : undefined) })
    const failed = outcomeOf(await method.attempt(attemptOf(plain, ['max@lab.example'])), 'max@lab.example')
    lab.partner.behave({ hostname: 'mx.lab.example' })
    assert.equal(deferred.kind === 'deferred' && deferred.reason, 'recipient-deferred', deferred.text)
    assert.equal(failed.kind === 'failed' && failed.reason, 'recipient-refused', failed.text)
    assert.match(JSON.stringify(failed.evidence), /"fingerprint":"[0-9A-F]{40}"/)
  })

  test('one recipient without a key is unsuitable alone', async () => {
    const { shipped, method } = pgpOver(db, lab)
    const answers = await method.attempt(attemptOf(plain, ['max@lab.example', 'nobody@lab.example']))
    const outcome = outcomeOf(answers, 'nobody@lab.example')
    assert.equal(outcome.kind === 'unsuitable' && outcome.reason, 'no-key')
    assert.equal(outcome.text, 'no PGP key is known for nobody@lab.example')
    assert.equal(outcomeOf(answers, 'max@lab.example').kind, 'delivered')
    assert.equal(shipped.length, 1)
  })

  test('trust direct takes only keys whose fingerprint was compared', async () => {
    const { method } = pgpOver(db, lab)
    const answers = await method.attempt(attemptOf(plain, ['max@lab.example', 'eva@lab.example'], { trust: 'direct' }))
    assert.equal(outcomeOf(answers, 'max@lab.example').kind, 'unsuitable')
    assert.equal(outcomeOf(answers, 'eva@lab.example').kind, 'delivered')
  })

  test('a recipient is found in any case', async () => {
    const { method } = pgpOver(db, lab)
    assert.equal(outcomeOf(await method.attempt(attemptOf(plain, ['MAX@lab.example'])), 'MAX@lab.example').kind, 'delivered')
  })

  test('a key that expired since its import is not used', async () => {
    const { shipped, method } = pgpOver(db, lab, { clock: () => Date.now() + 3 * 365 * 86_400_000 })
    const outcome = outcomeOf(await method.attempt(attemptOf(plain, ['max@lab.example'])), 'max@lab.example')
    assert.equal(outcome.kind === 'unsuitable' && outcome.reason, 'key-unusable')
    assert.match(outcome.text, /expired/i)
    assert.equal(shipped.length, 0)
  })

  test('a message above the limit is unsuitable and never encrypted', async () => {
    const { shipped, method } = pgpOver(db, lab, { limit: 100 })
    const outcome = outcomeOf(await method.attempt(attemptOf(plain, ['max@lab.example'])), 'max@lab.example')
    assert.equal(outcome.kind === 'unsuitable' && outcome.reason, 'message-too-large')
    assert.equal(shipped.length, 0)
  })

  test('a message that is encrypted already is left alone, one that only says so is encrypted', async () => {
    const { shipped, method } = pgpOver(db, lab)
    const first = pgpOver(db, lab)
    await first.method.attempt(attemptOf(plain, ['max@lab.example']))
    const again = outcomeOf(await method.attempt(attemptOf(first.shipped[0]?.content ?? plain, ['max@lab.example'])), 'max@lab.example')
    assert.equal(again.kind === 'unsuitable' && again.reason, 'already-encrypted')
    assert.equal(shipped.length, 0)
    const liar = lines('From: a@org.example\nContent-Type: multipart/encrypted; boundary=x\n\n--x\n\nclear\n--x--\n')
    assert.equal(outcomeOf(await method.attempt(attemptOf(liar, ['max@lab.example'])), 'max@lab.example').kind, 'delivered')
  })

  test('a message with two Content-Type fields is not encryptable', async () => {
    const { method } = pgpOver(db, lab)
    const content = lines('From: a@org.example\nContent-Type: text/plain\nContent-Type: text/html\n\nx\n')
    const outcome = outcomeOf(await method.attempt(attemptOf(content, ['max@lab.example'])), 'max@lab.example')
    assert.equal(outcome.kind === 'unsuitable' && outcome.reason, 'not-encryptable')
  })

  test('raw UTF-8 in the fields that stay outside keeps the 8-bit and SMTPUTF8 need', async () => {
    const { shipped, method } = pgpOver(db, lab)
    await method.attempt(
      attemptOf(lines('From: Jörg <a@org.example>\nSubject: ü\n\nx\n'), ['max@lab.example'], { smtpUtf8: true, body: '8bit' }),
    )
    assert.deepEqual(shipped[0]?.envelope, { body: '8bit', smtpUtf8: true })
  })

  test('a source that breaks off delays those it was opened for, never sends less, and leaves the answers of the others', async () => {
    const { shipped, method } = pgpOver(db, lab)
    const attempt = attemptOf(plain, ['max@lab.example', 'bcc:hidden@lab.example'])
    let opened = 0
    async function* broken() {
      yield plain.subarray(0, -10)
      throw new Error('the sealed payload is damaged')
    }
    // Opened first to look at its start, then for max, then for the hidden one.
    const open = () => (opened++ < 2 ? attempt.content.open() : Readable.from(broken(), { objectMode: false }))
    const answers = await method.attempt({ ...attempt, content: { ...attempt.content, open } })
    assert.equal(shipped.length, 1)
    assert.equal(outcomeOf(answers, 'max@lab.example').kind, 'delivered')
    const waits = outcomeOf(answers, 'bcc:hidden@lab.example')
    assert.deepEqual([waits.kind, waits.kind === 'deferred' && waits.reason], ['deferred', 'local-fault'])
    assert.equal(outcomeOf(await method.attempt(attempt), 'bcc:hidden@lab.example').kind, 'delivered')
  })

  test('content whose seal breaks is called damaged, so that it is kept', async () => {
    const { shipped, method } = pgpOver(db, lab)
    const attempt = attemptOf(plain, ['max@lab.example'])
    let opened = 0
    async function* broken() {
      yield plain.subarray(0, -10)
      throw new SealBroken('the sealed payload is damaged')
    }
    const open = () => (opened++ < 1 ? attempt.content.open() : Readable.from(broken(), { objectMode: false }))
    const outcome = outcomeOf(await method.attempt({ ...attempt, content: { ...attempt.content, open } }), 'max@lab.example')
    assert.equal(outcome.kind === 'deferred' && outcome.reason, 'content-damaged')
    assert.equal(shipped.length, 0)
  })

  test('5 MB are encrypted while the event loop stays free', async () => {
    const big = Buffer.concat([plain, Buffer.alloc(5_000_000, 'A line of a long text.\r\n')])
    const { shipped, method } = pgpOver(db, lab)
    const started = performance.now()
    let [longest, last] = [0, started]
    const pulse = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    try {
      await method.attempt(attemptOf(big, ['max@lab.example'], { chunk: 65_536 }))
    } finally {
      clearInterval(pulse)
    }
    // The machine may have stood still as well: what counts is that the work was not done here.
    const took = performance.now() - started
    assert.ok(longest < Math.max(250, took / 2), `${longest} of ${took} ms without a turn`)
    assert.deepEqual(bodyOfMessage(gpg.run(['--decrypt'], armored(shipped[0]?.content ?? Buffer.alloc(0))).out), bodyOfMessage(big))
  })
})
