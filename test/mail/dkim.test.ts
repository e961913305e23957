/** DKIM signatures: the sample of RFC 8463 read with our forms, ours read by dkimpy, and what a signature does not let through. */
import assert from 'node:assert/strict'
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { describe, test } from 'node:test'
import {
  alignedDomains,
  authorDomain,
  carriesAlignedSignature,
  type DkimSigner,
  publicRecord,
  recordName,
  signatureField,
  signedBytes,
  zoneLine,
} from '../../src/mail/dkim.ts'
import { relaxedBodyHash } from '../../src/mail/dkim-canon.ts'
import { parseHeader, splitHeader } from '../../src/mail/header.ts'
import { dkimpy, verifyDkim } from '../world/dkim.ts'

const rsa: DkimSigner = {
  domain: 'org.example',
  selector: 'one',
  algorithm: 'rsa',
  privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}
const ed25519: DkimSigner = {
  domain: 'org.example',
  selector: 'two',
  algorithm: 'ed25519',
  privateKey: generateKeyPairSync('ed25519').privateKey,
}
const records = Object.fromEntries([rsa, ed25519].map((signer) => [recordName(signer), publicRecord(signer)]))

function bodyHash(body: Buffer): Buffer {
  const hash = relaxedBodyHash()
  hash.update(body)
  return hash.digest()
}

function signed(message: string, signers: readonly DkimSigner[] = [rsa, ed25519]): Buffer {
  const content = Buffer.from(message)
  const { header, bodyStart } = splitHeader(content)
  const fields = signers.map((signer) =>
    signatureField(signer, parseHeader(header), bodyHash(content.subarray(bodyStart)), 1_790_000_000_000),
  )
  return Buffer.concat([...fields, content])
}

const mail = [
  'From: =?utf-8?Q?J=C3=B6rg?= <letters@org.example>',
  'To: Max <max@town.example>,',
  '\tEva <eva@town.example>',
  'Subject:   a   message',
  'Date: Sun, 22 Nov 2026 12:00:00 +0000',
  'Message-ID: <1@org.example>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'Hello  there, \t ',
  '.dot',
  '',
  '',
].join('\r\n')

describe('the sample message of RFC 8463, Appendix A', () => {
  const [edSignature, rsaSignature] = [
    [
      'DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;',
      ' d=football.example.com; i=@football.example.com;',
      ' q=dns/txt; s=brisbane; t=1528637909; h=from : to :',
      ' subject : date : message-id : from : subject : date;',
      ' bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;',
      ' b=',
    ],
    [
      'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;',
      ' d=football.example.com; i=@football.example.com;',
      ' q=dns/txt; s=test; t=1528637909; h=from : to : subject :',
      ' date : message-id : from : subject : date;',
      ' bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;',
      ' b=',
    ],
  ].map((lines) => Buffer.from(lines.join('\r\n')))
  const names = ['from', 'to', 'subject', 'date', 'message-id', 'from', 'subject', 'date']
  const content = Buffer.from(
    [
      'From: Joe SixPack <joe@football.example.com>',
      'To: Suzie Q <suzie@shopping.example.net>',
      'Subject: Is dinner ready?',
      'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)',
      'Message-ID: <20030712040037.46341.5F8J@football.example.com>',
      '',
      'Hi.',
      '',
      'We lost the game.  Are you hungry yet?',
      '',
      'Joe.',
      '',
    ].join('\r\n'),
  )
  const { header, bodyStart } = splitHeader(content)
  const spki = (p: string) => createPublicKey({ key: Buffer.from(p, 'base64'), format: 'der', type: 'spki' })

  test('has the body hash that it states', () => {
    assert.equal(bodyHash(content.subarray(bodyStart)).toString('base64'), '2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=')
  })

  test('has a good Ed25519 signature over our form of its header', () => {
    const key = spki(`MCowBQYDK2VwAyEA${'11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='}`)
    const signature = Buffer.from('/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==', 'base64')
    const bytes = signedBytes(parseHeader(header), names, edSignature ?? assert.fail())
    assert.ok(verify(null, createHash('sha256').update(bytes).digest(), key, signature))
  })

  test('has a good RSA signature over our form of its header', () => {
    const key = spki(
      'MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB',
    )
    const signature = Buffer.from(
      'F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=',
      'base64',
    )
    assert.ok(verify('sha256', signedBytes(parseHeader(header), names, rsaSignature ?? assert.fail()), key, signature))
  })
})

describe('our signatures', () => {
  test('are both accepted by dkimpy', dkimpy, () => {
    assert.deepEqual(verifyDkim(signed(mail), records), [
      { domain: 'org.example', selector: 'one', algorithm: 'rsa-sha256', valid: true, error: '' },
      { domain: 'org.example', selector: 'two', algorithm: 'ed25519-sha256', valid: true, error: '' },
    ])
  })

  test('hold when fields are folded otherwise and white space changes on the way', dkimpy, () => {
    const relayed = signed(mail)
      .toString()
      .replace('a   message', 'a\r\n message')
      .replace('there, \t ', 'there,')
      .replace('Hello  ', 'Hello ')
    assert.deepEqual(
      verifyDkim(Buffer.from(`Received: from a by b; now\r\n${relayed}\r\n\r\n`), records).map(({ valid }) => valid),
      [true, true],
    )
  })

  for (const [what, from, to] of [
    ['the body changes', '.dot', '.dots'],
    ['something is put after the body', '.dot\r\n', '.dot\r\nmore\r\n'],
    ['a second From is put on top', 'DKIM-Signature', 'From: boss@org.example\r\nDKIM-Signature'],
    ['a second Subject is put on top', 'DKIM-Signature', 'Subject: other\r\nDKIM-Signature'],
    ['a Reply-To that was not there is added', 'DKIM-Signature', 'Reply-To: other@evil.example\r\nDKIM-Signature'],
    ['another Content-Type is put on top', 'DKIM-Signature', 'Content-Type: text/html\r\nDKIM-Signature'],
    ['the recipient changes', 'max@town', 'tom@town'],
  ] as const)
    test(`break when ${what}`, dkimpy, () => {
      const altered = signed(mail).toString().replace(from, to)
      assert.notEqual(altered, signed(mail).toString())
      assert.deepEqual(
        verifyDkim(Buffer.from(altered), records).map(({ valid }) => valid),
        [false, false],
      )
    })

  test('are good over an empty body, over repeated fields and over eight-bit headers', dkimpy, () => {
    for (const message of [
      'From: a@org.example\r\n\r\n',
      'From: a@org.example\r\nList-Id: one\r\nList-Id: two\r\nTo: a@x.example\r\nTo: b@x.example\r\n\r\nx\r\n',
      'From: Jörg <jörg@org.example>\r\nSubject: Grüße\r\n\r\nGrüße\r\n',
    ])
      assert.deepEqual(
        verifyDkim(signed(message), records).map(({ valid, error }) => [valid, error]),
        [
          [true, ''],
          [true, ''],
        ],
        message,
      )
  })

  test('have no l= and no x=, and lines of at most 78 characters', () => {
    for (const signer of [rsa, ed25519]) {
      const field = signatureField(signer, parseHeader(Buffer.from(mail)), bodyHash(Buffer.alloc(0)), 0).toString()
      assert.doesNotMatch(field, /[\s;][lx]=/)
      assert.ok(field.endsWith('\r\n'))
      for (const line of field.split('\r\n')) assert.ok(line.length <= 78, line)
    }
  })
})

describe('the domain that signs', () => {
  test('is that of the one From; of none where there are two authors or two fields', () => {
    const author = (text: string) => authorDomain(parseHeader(Buffer.from(text)))
    assert.equal(author('From: "x@evil.example" <a@Mail.Org.example>\r\n'), 'mail.org.example')
    assert.equal(author('From: a@org.example, b@org.example\r\n'), 'org.example')
    assert.equal(author('From: a@org.example, b@other.example\r\n'), undefined)
    assert.equal(author('From: a@org.example\r\nfrom: a@org.example\r\n'), undefined)
    assert.equal(author('To: a@org.example\r\n'), undefined)
  })

  test('may stand above that of From as far as the organisation reaches', () => {
    assert.deepEqual(alignedDomains('a.mail.org.example'), ['a.mail.org.example', 'mail.org.example', 'org.example'])
    assert.deepEqual(alignedDomains('clinic.co.uk'), ['clinic.co.uk'])
    assert.deepEqual(alignedDomains('mine.github.io'), ['mine.github.io'])
  })

  test('is found in signatures that are there, folded or not', () => {
    const carries = (signature: string) =>
      carriesAlignedSignature(parseHeader(Buffer.from(`DKIM-Signature: ${signature}\r\n`)), 'mail.org.example')
    assert.equal(carries('v=1; a=rsa-sha256; d=ORG.example; b=x'), true)
    assert.equal(carries('v=1;\r\n\td = news.org.example\r\n ;b=x'), true)
    assert.equal(carries('v=1; d=evilorg.example; b=x'), false)
    assert.equal(carries('v=1; bd=org.example; b=d=org.example'), false)
  })
})

test('a record is split into strings that DNS can hold, and reads as before when joined', () => {
  const line = zoneLine(recordName(rsa), publicRecord(rsa))
  assert.match(line, /^one\._domainkey\.org\.example\. IN TXT "/)
  const strings = [...line.matchAll(/"([^"]*)"/g)].map(([, text = '']) => text)
  assert.ok(strings.length > 1 && strings.every((text) => text.length <= 255))
  assert.equal(strings.join(''), publicRecord(rsa))
})
