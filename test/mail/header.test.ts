import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseMailboxes } from '../../src/mail/address.ts'
import { decodeWords, field, fields, formatField, formatMailbox, oneLine, parseHeader, splitHeader } from '../../src/mail/header.ts'
import { encodeWords } from '../../src/mail/words.ts'

const block = (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'))

test('a last line of white space alone is kept, for every byte of a header is', () => {
  const block = Buffer.from('A: b\r\n\r\r\n')
  assert.deepEqual(Buffer.concat(parseHeader(block).map((one) => one.raw)), block)
  const blank = Buffer.from('\t\r\n')
  assert.deepEqual(Buffer.concat(parseHeader(blank).map((one) => one.raw)), blank)
})

test('fields are found in any case and unfolded, and no byte of them is lost', () => {
  const bytes = block('Received: one\nSubject: a long\n  subject\nRECEIVED: two\nX-Empty:\n')
  const header = parseHeader(bytes)
  assert.equal(field(header, 'subject'), 'a long  subject')
  assert.deepEqual(fields(header, 'Received'), ['one', 'two'])
  assert.equal(field(header, 'x-empty'), '')
  assert.equal(field(header, 'absent'), undefined)
  assert.deepEqual(Buffer.concat(header.map((one) => one.raw)), bytes)
})

test('whatever the bytes, the fields joined are the block again', () => {
  const line = fc.oneof(
    fc.constantFrom('Subject: x', ' folded', '\tfolded', 'no colon', ': no name', 'A : b', 'To:x@y.example'),
    fc.string({ unit: 'binary', maxLength: 40 }),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(line, fc.constantFrom('\r\n', '\n'))), (lines) => {
      const bytes = Buffer.from(lines.map(([text, end]) => text + end).join(''), 'latin1')
      const { header } = splitHeader(bytes)
      assert.deepEqual(Buffer.concat(parseHeader(header).map((one) => one.raw)), header)
    }),
  )
})

test('a content is cut at its first empty line', () => {
  const cut = (text: string) => {
    const content = Buffer.from(text)
    const { header, bodyStart } = splitHeader(content)
    return [header.toString(), content.subarray(bodyStart).toString()]
  }
  assert.deepEqual(cut('A: b\r\n\r\nbody\r\n\r\nmore'), ['A: b\r\n', 'body\r\n\r\nmore'])
  assert.deepEqual(cut('\r\nbody'), ['', 'body'])
  assert.deepEqual(cut('A: b\n\nbody'), ['A: b\n', 'body'])
  assert.deepEqual(cut('A: b\r\n'), ['A: b\r\n', ''])
  assert.deepEqual(cut(''), ['', ''])
})

test('a value with a line break or NUL is never written', () => {
  for (const value of ['a\r\nBcc: x@y.example', 'a\nb', 'a\rb', 'a\0b']) assert.throws(() => formatField('Subject', value), RangeError)
  for (const name of ['', 'A b', 'A:', 'A\r\nB', 'Ä']) assert.throws(() => formatField(name, 'x'), RangeError)
})

test('what is written is read back, folded within 78 characters where it has spaces', () => {
  const text = fc
    .array(
      fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
        .map((word) => oneLine(word).replace(/\s/g, ''))
        .filter((word) => word !== '' && !word.includes('=?')),
      { maxLength: 30 },
    )
    .map((words) => words.join(' '))
  fc.assert(
    fc.property(text, (value) => {
      const written = formatField('Subject', value)
      assert.match(written, /^[\x20-\x7e\r\n]*$/)
      assert.ok(written.split('\r\n').every((line) => line.length <= 78))
      const [one, ...others] = parseHeader(Buffer.from(written))
      assert.equal(others.length, 0)
      assert.equal(decodeWords(one?.value ?? ''), value.trim())
    }),
  )
})

test('the examples of RFC 2047 §8 are decoded as it says', () => {
  for (const [encoded, shown] of [
    ['=?ISO-8859-1?Q?a?=', 'a'],
    ['=?ISO-8859-1?Q?a?= b', 'a b'],
    ['=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=', 'ab'],
    ['=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=', 'ab'],
    ['=?ISO-8859-1?Q?a_b?=', 'a b'],
    ['=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=', 'a b'],
    ['=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>', 'Keith Moore <moore@cs.utk.edu>'],
    ['=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=', 'Keld Jørn Simonsen'],
    [
      '=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=',
      'If you can read this you understand the example.',
    ],
    ['=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=', 'Grüße'],
    ['=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=', 'Grüße'],
    ['=?unheard-of?Q?a=FC?=', 'aü'],
    ['not =? a word', 'not =? a word'],
  ] as const)
    assert.equal(decodeWords(encoded), shown)
})

test('text of any kind goes through encoded words unharmed', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cs}/u.test(text)),
      (text) => {
        const encoded = encodeWords(text)
        assert.ok(encoded.split(' ').every((word) => !word.startsWith('=?') || word.length <= 75))
        assert.equal(decodeWords(encoded), text)
      },
    ),
  )
})

test('a subject in raw UTF-8 or Latin-1 is read', () => {
  assert.equal(field(parseHeader(Buffer.from('Subject: Grüße\r\n')), 'Subject'), 'Grüße')
  assert.equal(field(parseHeader(Buffer.from('Subject: Gr\xfc\xdfe\r\n', 'latin1')), 'Subject'), 'Grüße')
})

test('a mailbox with any name is written so that the same is read', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => oneLine(text).replace(/\s+/g, ' ').trim()),
      (name) => {
        assert.deepEqual(parseMailboxes(formatMailbox({ name, address: 'a@x.example' })), [{ name, address: 'a@x.example' }])
      },
    ),
  )
})
