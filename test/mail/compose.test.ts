import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { compose, type Mail } from '../../src/mail/compose.ts'
import { oneLine, parseHeader, splitHeader } from '../../src/mail/header.ts'

const mail = (more: Partial<Mail> = {}): Mail => ({
  from: { name: 'Letters, Org', address: 'letters@org.example' },
  to: [{ name: '', address: 'max@lab.example' }],
  subject: 'A letter for you',
  text: 'Hello\n\n.\nBye',
  messageId: '<n1@gw.org.example>',
  date: Date.UTC(2026, 0, 2, 3, 4, 5),
  autoSubmitted: 'auto-generated',
  ...more,
})

test('what we write is what a mail program reads', async () => {
  const content = await compose(
    mail({
      subject: 'Brief für Sie',
      html: '<p>Grüße</p>',
      text: 'Grüße',
      replyTo: { name: 'Anna', address: 'anna@org.example' },
      inReplyTo: '<q@x.example>',
      references: ['<p@x.example>', '<q@x.example>'],
      fields: { Expires: 'Fri, 02 Jan 2026 03:04:05 +0000' },
      attachments: [{ filename: 'Brief ü.pdf', contentType: 'application/pdf', content: Buffer.from('%PDF') }],
    }),
  )
  const parsed = await PostalMime.parse(content)
  assert.deepEqual([parsed.from?.name, parsed.from?.address], ['Letters, Org', 'letters@org.example'])
  assert.equal(parsed.to?.[0]?.address, 'max@lab.example')
  assert.equal(parsed.replyTo?.[0]?.address, 'anna@org.example')
  assert.equal(parsed.subject, 'Brief für Sie')
  assert.equal(parsed.text?.trim(), 'Grüße')
  assert.match(parsed.html ?? '', /<p>Grüße<\/p>/)
  assert.equal(parsed.messageId, '<n1@gw.org.example>')
  assert.equal(parsed.date, '2026-01-02T03:04:05.000Z')
  assert.equal(parsed.inReplyTo, '<q@x.example>')
  assert.equal(parsed.references, '<p@x.example> <q@x.example>')
  assert.equal(parsed.attachments[0]?.filename, 'Brief ü.pdf')
  const header = new Map(parsed.headers.map(({ key, value }) => [key, value]))
  assert.equal(header.get('auto-submitted'), 'auto-generated')
  assert.equal(header.get('expires'), 'Fri, 02 Jan 2026 03:04:05 +0000')
})

test('mail that a person caused carries no Auto-Submitted', async () => {
  assert.doesNotMatch((await compose(mail({ autoSubmitted: 'no' }))).toString(), /auto-submitted/i)
})

test('every line ends in CRLF and is 7-bit and short, whatever the text', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      fc.string({ unit: 'grapheme', maxLength: 60 }).map(oneLine),
      async (text, subject) => {
        const content = await compose(mail({ text, subject }))
        const wire = content.toString('latin1')
        assert.doesNotMatch(wire, /[^\x00-\x7f]|(?<!\r)\n|\r(?!\n)/)
        assert.ok(wire.split('\r\n').every((line) => line.length <= 998))
      },
    ),
    { numRuns: 40 },
  )
})

test('no value can bring in a header field of its own', async () => {
  const evil = 'x\r\nBcc: victim@x.example'
  const attempts: Partial<Mail>[] = [
    { subject: evil },
    { from: { name: evil, address: 'a@org.example' } },
    { to: [{ name: '', address: evil }] },
    { replyTo: { name: evil, address: 'a@org.example' } },
    { messageId: evil },
    { inReplyTo: evil },
    { references: [evil] },
    { fields: { Expires: evil } },
    { fields: { [evil]: 'x' } },
    { subject: 'a\0b' },
    { subject: 'a\rb' },
  ]
  for (const more of attempts) await assert.rejects(compose(mail(more)), RangeError)
})

test('a name full of address characters stays a name', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 30 }).map((text) => oneLine(text).replace(/\s+/g, ' ').trim()),
      async (name) => {
        const { header } = splitHeader(await compose(mail({ to: [{ name, address: 'max@lab.example' }] })))
        const parsed = await PostalMime.parse(Buffer.concat([header, Buffer.from('\r\n')]))
        assert.deepEqual(
          parsed.to?.map(({ address }) => address),
          ['max@lab.example'],
          JSON.stringify(name),
        )
        assert.equal(parseHeader(header).filter((field) => /^bcc$/i.test(field.name)).length, 0)
      },
    ),
    { numRuns: 100 },
  )
})

test('neither a path nor an address in a text is ever opened', async () => {
  const content = (await compose(mail({ text: '/etc/passwd', html: '<img src="http://127.0.0.1:1/x"><img src="/etc/passwd">' }))).toString()
  assert.match(content, /\/etc\/passwd/)
  assert.doesNotMatch(content, /root:/)
})

test('a mail of texts reads as what MailComposer would have written', async () => {
  const printable = fc.string({ unit: 'grapheme', maxLength: 200 }).map((text) => `x${text.replace(/[^\P{C}\n]/gu, '')}`)
  const line = fc.string({ unit: 'grapheme', maxLength: 90 }).map((text) => `x${oneLine(text.replace(/\p{C}/gu, '')).replace(/\s+/g, ' ')}`)
  await fc.assert(
    fc.asyncProperty(printable, printable, line, line, async (text, html, subject, name) => {
      const asked = mail({
        text,
        html,
        subject,
        from: { name, address: 'letters@org.example' },
        references: ['<a@b.example>', '<c@d.example>'],
      })
      // A file makes it go the long way.
      const attachments = [{ filename: 'x', contentType: 'text/x-none', content: Buffer.from('x') }]
      const [direct, long] = await Promise.all([asked, { ...asked, attachments }].map(async (one) => PostalMime.parse(await compose(one))))
      const read = (parsed: typeof direct) => ({
        ...{ from: parsed?.from, to: parsed?.to, subject: parsed?.subject, id: parsed?.messageId, date: parsed?.date },
        ...{ references: parsed?.references, text: parsed?.text?.trimEnd(), html: parsed?.html?.trimEnd() },
      })
      assert.deepEqual(read(direct), read(long))
    }),
    { numRuns: 100 },
  )
})
