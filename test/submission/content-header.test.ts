/** The header that a message travels with, against any header a client may write. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseHeader } from '../../src/mail/header.ts'
import { judgeHeader } from '../../src/submission/content-header.ts'

const trace = { id: '01', hostname: 'mail.lab.example', helo: 'client.lab.example', address: '192.0.2.1', protocol: 'ESMTPS', now: 0 }
const rules = { mostReceived: 30, refuseFrom: undefined }
const judge = (text: string, helo = trace.helo, address = trace.address) =>
  judgeHeader(Buffer.from(text), { ...trace, helo, address }, rules)

/** The edited header as text; fails when the header is refused. */
function edited(text: string, helo?: string, address?: string): string {
  const judged = judge(text, helo, address)
  assert.ok(judged.kind === 'accepted', JSON.stringify(judged))
  return judged.header.toString()
}

test('any header is refused, or keeps every field it may keep, byte for byte and in order, below our own', () => {
  const name = fc.constantFrom(
    'To',
    'X-Any',
    'bcc',
    'Bcc',
    'X-Letterlock-A',
    'x-letterlock-b',
    'Date',
    'Message-ID',
    'X-Bcc',
    'From',
    'Received',
    '',
  )
  const value = fc.string({ unit: fc.constantFrom('a', ' ', '<x@y>', ':', '\r\n ', '\r\n\t', 'é', ',', '"', '('), maxLength: 8 })
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (list) => {
      const text = list.map(([one, of]) => `${one}:${of}x\r\n`).join('')
      const judged = judge(text)
      if (judged.kind === 'refused') return
      const kept = list.filter(([one]) => !/^(?:bcc|x-letterlock-.*)$/i.test(one)).map(([one, of]) => `${one}:${of}x\r\n`)
      const out = judged.header.toString()
      assert.ok(out.endsWith(kept.join('')))
      const ours = parseHeader(Buffer.from(out.slice(0, out.length - kept.join('').length))).map((one) => one.name)
      assert.equal(ours[0], 'Received')
      assert.deepEqual(
        ours.slice(1).filter((one) => !['Date', 'Message-ID'].includes(one)),
        [],
      )
      assert.match(judged.messageId, /^<[^<>\s]+>$/)
    }),
  )
})

test('the trace names the client by name and address, us, the protocol and the time', () => {
  const [received] = parseHeader(Buffer.from(edited('From: a@lab.example\r\n')))
  assert.equal(
    received?.value,
    'from client.lab.example ([192.0.2.1]) by mail.lab.example with ESMTPS id 01; Thu, 01 Jan 1970 00:00:00 +0000',
  )
  assert.match(edited('', 'not a name!', '2001:db8::1'), /^Received: from \[IPv6:2001:db8::1\] \(\[IPv6:2001:db8::1\]\) by/)
})

test('a Message-ID without brackets is still the one the message is known by', () => {
  const judged = judge('Message-ID: abc@lab.example\r\n')
  assert.equal(judged.kind === 'accepted' && judged.messageId, '<abc@lab.example>')
})

test('who is named in To, Cc or their Resent- kin is not a Bcc recipient', () => {
  const judged = judge('To: A <A@x.example>, group: b@x.example;\r\nCc: c@x.example\r\nResent-Cc: d@x.example\r\nBcc: e@x.example\r\n')
  assert.deepEqual(judged.kind === 'accepted' && [...judged.named], ['a@x.example', 'b@x.example', 'c@x.example', 'd@x.example'])
})
