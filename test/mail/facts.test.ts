import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messageFacts, subjectTags, withoutTags } from '../../src/mail/facts.ts'
import { parseHeader } from '../../src/mail/header.ts'

const factsOf = (header: string, body?: string | Buffer) =>
  messageFacts(parseHeader(Buffer.from(header.replaceAll('\n', '\r\n'))), body === undefined ? undefined : Buffer.from(body))

test('an ordinary message is named by its From, To, Cc and subject, and is nothing else', () => {
  assert.deepEqual(
    factsOf(
      'From: Anna <anna@Org.example>\nTo: max@lab.example, Max <max@lab.example>\nCc: e@x.example\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n',
      'Hi',
    ),
    {
      headerFrom: 'anna@org.example',
      to: ['max@lab.example', 'e@x.example'],
      subject: 'Grüße',
      subjectTags: [],
      autoSubmitted: false,
      dsn: false,
      encrypted: false,
      signed: false,
      calendar: false,
      rightsManaged: false,
      forwarded: false,
    },
  )
})

test('an empty header has facts too', () => {
  assert.deepEqual(factsOf('').headerFrom, '')
  assert.equal(factsOf('').encrypted, false)
})

test('two From fields are no sender at all', () => {
  assert.equal(factsOf('From: a@org.example\nFrom: b@evil.example\n').headerFrom, '')
})

const tags: [string, string[]][] = [
  ['[secure] Hello', ['secure']],
  ['Hello [SECURE]', ['secure']],
  ['  [ Encrypt ]Hello', ['encrypt']],
  ['[secure] [portal] Hello [x]', ['secure', 'portal', 'x']],
  ['Re: [secure] Hello', ['secure']],
  ['AW: Fwd: Re[2]: [secure] Hello', ['secure']],
  ['[secure]', ['secure']],
  ['Hello [secure] world', []],
  ['Hello [secure', []],
  ['Hello secure]', []],
  ['[]', []],
  ['x]]', []],
  ['[[secure]]', []],
  ['', []],
]
for (const [subject, found] of tags)
  test(`the tags of "${subject}" are ${JSON.stringify(found)}`, () => assert.deepEqual(subjectTags(subject), found))

for (const [subject, left] of [
  ['[secure] Hello', 'Hello'],
  ['Hello [SECURE]', 'Hello'],
  ['Re: Fwd[2]: [ Secure ]Hello', 'Re: Fwd[2]: Hello'],
  ['[x] [secure] Hello [y] [secure][z]', '[x] Hello [y] [z]'],
  ['[secure]', ''],
  ['  [other]  stays  ', '  [other]  stays  '],
  ['the word [secure] within', 'the word [secure] within'],
] as const)
  test(`"${subject}" without [secure] is "${left}"`, () => assert.equal(withoutTags(subject, ['secure']), left))

test('taking a tag out leaves every other tag, and a subject without it as it was', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('[a]', '[b]', ' ', 'Re: ', 'x', '[', ']')).map((parts) => parts.join('')),
      (subject) => {
        const had = subjectTags(subject)
        const left = withoutTags(subject, ['a'])
        if (!had.includes('a')) assert.equal(left, subject)
        for (const tag of had) if (tag !== 'a') assert.ok(left.toLowerCase().includes(tag), `${subject} → ${left}`)
      },
    ),
  )
})

test('a tag in an encoded subject counts', () => {
  assert.deepEqual(factsOf('Subject: =?utf-8?B?W3NlY3VyZV0gR3LDvMOfZQ==?=\n').subjectTags, ['secure'])
  assert.deepEqual(factsOf('Subject: =?utf-8?Q?=5Bgeheim=5D?=\n =?utf-8?Q?_Gr=C3=BC=C3=9Fe?=\n').subjectTags, ['geheim'])
})

test('whatever the subject, its tags are read in linear time and hold no brackets', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('[', ']', 'a', ' ', ':', 'Re:') }), (subject) =>
      subjectTags(subject).every((tag) => !/[[\]]/.test(tag)),
    ),
  )
  const started = performance.now()
  for (const piece of ['[', ']', '[]', '[a]', 'Re:', 'Re: ', '[a] ', 'a[1]:', ': ']) subjectTags(piece.repeat(50_000))
  assert.ok(performance.now() - started < 30000)
})

const automatic: [string, boolean][] = [
  ['Auto-Submitted: auto-replied', true],
  ['Auto-Submitted: auto-generated; owner-email=x', true],
  ['Auto-Submitted: AUTO-NOTIFIED', true],
  ['Auto-Submitted: no', false],
  ['Auto-Submitted:', false],
  ['Auto-Submitted: no (a person)', false],
  ['Precedence: auto_reply', true],
  ['Precedence: bulk', false],
  ['X-Autoreply: yes', true],
  ['X-Auto-Response-Suppress: All', false],
  ['Content-Type: multipart/report; report-type=disposition-notification; boundary=x', true],
]
for (const [line, is] of automatic)
  test(`${line} is ${is ? '' : 'not '}automatic mail`, () => assert.equal(factsOf(`${line}\n`).autoSubmitted, is))

test('a delivery report is one by its type, in any spelling', () => {
  assert.equal(factsOf('Content-Type: Multipart/Report; boundary="x"; Report-Type="delivery-status"\n').dsn, true)
  assert.equal(factsOf('Content-Type: multipart/report; report-type=feedback-report\n').dsn, false)
  assert.equal(factsOf('Content-Type: multipart/mixed; report-type=delivery-status\n').dsn, false)
})

const armorText = '-----BEGIN PGP MESSAGE-----\r\n\r\nwcDMA\r\n'
const enveloped = Buffer.from('308006092a864886f70d010703a0803080', 'hex').toString('base64')
const signedData = Buffer.from('308006092a864886f70d010702a0803080', 'hex').toString('base64')
const base64 = 'Content-Transfer-Encoding: base64\n'
const sealed: [string, string, string | undefined, boolean][] = [
  ['PGP/MIME by its header', 'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x\n', undefined, true],
  ['PGP/MIME with ciphertext', 'Content-Type: multipart/encrypted; boundary=x\n', `--x\r\n\r\nVersion: 1\r\n--x\r\n\r\n${armorText}`, true],
  ['a lie about PGP/MIME', 'Content-Type: multipart/encrypted; boundary=x\n', '--x\r\n\r\nclear text', false],
  ['S/MIME by its header', 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n', undefined, true],
  ['S/MIME AuthEnveloped by its header', 'Content-Type: application/x-pkcs7-mime; smime-type=authEnveloped-data\n', undefined, true],
  ['S/MIME with EnvelopedData and no smime-type', `Content-Type: application/pkcs7-mime; name=smime.p7m\n${base64}`, enveloped, true],
  ['S/MIME that only signs', `Content-Type: application/pkcs7-mime; smime-type=signed-data\n${base64}`, signedData, false],
  ['a lie about S/MIME', `Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n${base64}`, signedData, false],
  ['inline armor', 'Content-Type: text/plain\n', `\r\n${armorText}`, true],
  ['inline armor without a Content-Type', 'Subject: x\n', armorText, true],
  ['inline armor in base64', `Content-Type: text/plain\n${base64}`, Buffer.from(armorText).toString('base64'), true],
  ['inline armor below other text', 'Content-Type: text/plain\n', `See below.\r\n${armorText}`, false],
  ['armor in HTML', 'Content-Type: text/html\n', armorText, false],
  ['plain text', 'Content-Type: text/plain\n', 'Hello', false],
]
for (const [name, header, body, is] of sealed)
  test(`${name} is ${is ? '' : 'not '}encrypted already`, () => assert.equal(factsOf(header, body).encrypted, is))

test('signed mail is known as such', () => {
  assert.equal(factsOf('Content-Type: multipart/signed; micalg=sha-256; protocol="application/pgp-signature"; boundary=x\n').signed, true)
  assert.equal(factsOf('Content-Type: application/pkcs7-mime; smime-type=Signed-Data\n').signed, true)
  assert.equal(factsOf('Subject: x\n', '-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA512\r\n\r\nx').signed, true)
  assert.equal(factsOf('Subject: x\n', 'x').signed, false)
})

const multipart = 'Content-Type: multipart/alternative; boundary=b\n'
const part = (type: string) => `--b\r\nContent-Type: ${type}\r\n\r\nx\r\n--b--\r\n`
const marks: readonly (readonly [is: 'calendar' | 'rightsManaged' | 'forwarded', header: string, body: string, expected: boolean])[] = [
  ['calendar', 'Content-Type: text/calendar; method=REQUEST\n', 'BEGIN:VCALENDAR', true],
  ['calendar', multipart, part('text/calendar; method=REQUEST'), true],
  ['calendar', 'Content-Class: urn:content-classes:calendarmessage\n', 'x', true],
  ['calendar', multipart, part('text/html'), false],
  ['calendar', 'Content-Type: text/plain\n', part('text/calendar'), false],
  ['rightsManaged', 'Content-Class: rpmsg.message\n', 'x', true],
  ['rightsManaged', 'Content-Type: multipart/mixed; boundary=b\n', part('application/x-microsoft-rpmsg-message; name=message.rpmsg'), true],
  ['rightsManaged', 'Content-Type: multipart/mixed; boundary=b\n', part('application/pdf'), false],
  ['forwarded', 'Resent-From: ann@org.example\n', 'x', true],
  ['forwarded', 'Subject: Fwd: x\n', 'x', false],
]
for (const [is, header, body, expected] of marks)
  test(`${JSON.stringify(header + body)} is ${expected ? '' : 'not '}${is}`, () => assert.equal(factsOf(header, body)[is], expected))
