import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { contentType } from '../../../src/mail/content-type.ts'
import { fields, parseHeader, splitHeader } from '../../../src/mail/header.ts'
import { layers } from '../../../src/methods/pgp/mime.ts'

const of = (text: string) => {
  const made = layers(parseHeader(Buffer.from(text.replaceAll('\n', '\r\n'))))
  assert.ok(made !== undefined)
  return { ...made, inside: made.inner.toString(), outside: made.before.toString() }
}

test('a message without Content-Type is plain ASCII text inside (RFC 2045 §5.2)', () => {
  const { inside } = of('From: a@org.example\n')
  assert.match(inside, /\r\nContent-Type: text\/plain; charset=us-ascii; hp="cipher";\r\n protected-headers="v1"\r\n\r\n$/)
})

test('the mark of RFC 9788 is added to the Content-Type as it stands, once', () => {
  assert.match(
    of('Content-Type: text/plain;\n charset=utf-8\n').inside,
    /Content-Type: text\/plain;\r\n charset=utf-8;\r\n hp="cipher"; protected-headers="v1"\r\n/,
  )
  assert.match(of('Content-Type: text/plain; charset=utf-8;\n').inside, /charset=utf-8;\r\n hp="cipher"/)
  assert.match(of('content-type: text/plain; hp="clear"\n').inside, /content-type: text\/plain; hp="clear"\r\n\r\n$/)
  assert.match(of('Content-Type: nonsense\n').inside, /Content-Type: nonsense\r\n\r\n$/)
})

test('the Content fields stand last and in order, next to their body', () => {
  const { inside } = of('Content-Type: text/plain\nSubject: x\nContent-Transfer-Encoding: base64\nContent-Language: de\n')
  assert.match(
    inside,
    /Content-Type: text\/plain;\r\n hp="cipher"; protected-headers="v1"\r\nContent-Transfer-Encoding: base64\r\nContent-Language: de\r\n\r\n$/,
  )
})

test('a message without subject gets none outside', () => {
  assert.doesNotMatch(of('From: a@org.example\n').outside, /^Subject:/im)
})

test('every boundary is another one, and no field that is not listed gets out', () => {
  const text =
    'From: a@org.example\nX-Mailer: Secret 1.0\nComments: secret\nKeywords: secret\nUser-Agent: secret\nThread-Topic: secret\nOrganization: secret\n'
  assert.doesNotMatch(of(text).outside, /secret/i)
  assert.notEqual(of(text).outside, of(text).outside)
})

test('HP-Outer of the message itself is not believed', () => {
  assert.deepEqual(fields(parseHeader(Buffer.from(of('From: a@org.example\nHP-Outer: Subject: lie\n').inside)), 'HP-Outer'), [
    'From: a@org.example',
  ])
})

test('whatever the header, the inside holds one Content-Type and ends in an empty line, and Bcc is nowhere', () => {
  const name = fc.constantFrom('From', 'To', 'Bcc', 'bcc', 'Subject', 'Content-Type', 'Content-Disposition', 'X-A', 'Resent-Bcc', 'List-Id')
  const value = fc.constantFrom('x', '', 'a;', 'text/plain', 'text/plain; a=b', 'hidden@x.example', 'multipart/mixed;\r\n boundary=x')
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), fc.constantFrom('\r\n', '\n', ''), (list, end) => {
      const block = Buffer.from(list.map(([key, text]) => `${key}: ${text}`).join('\r\n') + end)
      const types = list.filter(([key]) => key === 'Content-Type').length
      const made = layers(parseHeader(block))
      assert.equal(made === undefined, types > 1)
      if (made === undefined) return
      const inner = splitHeader(made.inner)
      assert.equal(inner.bodyStart, made.inner.length)
      assert.equal(fields(parseHeader(inner.header), 'Content-Type').length, 1)
      const outer = parseHeader(splitHeader(made.before).header)
      assert.equal(contentType(outer).type, 'multipart/encrypted')
      assert.doesNotMatch(inner.header.toString() + made.before.toString(), /^(?:resent-)?bcc:/im)
    }),
  )
})
