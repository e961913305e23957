import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  canonicalDomain,
  domainOf,
  maskAddress,
  matchesDomain,
  needsSmtpUtf8,
  parseAddress,
  parseMailboxes,
} from '../../src/mail/address.ts'

const readable: [string, string][] = [
  ['Max.Maier@Lab.Example', 'Max.Maier@lab.example'],
  ['"max"@lab.example', 'max@lab.example'],
  ['"max maier"@lab.example', '"max maier"@lab.example'],
  ['"a\\b\\"c\\\\"@lab.example', '"ab\\"c\\\\"@lab.example'],
  ['"a@b"@lab.example', '"a@b"@lab.example'],
  ['jörg@bücher.example', 'jörg@xn--bcher-kva.example'],
  ['x@XN--BCHER-KVA.example', 'x@xn--bcher-kva.example'],
  ['x@[192.0.2.1]', 'x@[192.0.2.1]'],
  ['x@[ipv6:2001:DB8:0:0::1]', 'x@[IPv6:2001:db8::1]'],
  ['postmaster@localhost', 'postmaster@localhost'],
  ['a+b=c/d@x.example', 'a+b=c/d@x.example'],
]
for (const [text, canonical] of readable) {
  test(`the address ${text} is stored as ${canonical}`, () => assert.equal(parseAddress(text), canonical))
}

const refused = [
  '',
  '@',
  'x',
  'x@',
  '@x',
  'a b@x.example',
  'a..b@x.example',
  '.a@x.example',
  'a.@x.example',
  'a@x..example',
  'a@-x.example',
  'a@x-.example',
  'a@x.example.',
  'a@1.2.3.4',
  'a@0x7f.1',
  'a@１.２.３.４',
  'a@[1.2.3]',
  'a@[IPv6:fe80::1%eth0]',
  'a@[1.2.3.4',
  'a@x.example\r\nRCPT TO:<b@y>',
  'a\0@x.example',
  '"a\r\n"@x.example',
  '"a@x.example',
  '"a"b@x.example',
  '<a@x.example>',
  'a,b@x.example',
  'a@x,y',
  'a@x example',
  `${'a'.repeat(250)}@x.example`,
  `a@${'l'.repeat(64)}.example`,
  'a\u2028b@x.example',
  'a\ud800@x.example',
  'a@xn--\u0000',
  'a@x%41.example',
  'a@xn--a.example',
]
for (const text of refused)
  test(`${JSON.stringify(text).slice(0, 60)} is not an address`, () => assert.equal(parseAddress(text), undefined))

test('a canonical address is its own canonical form', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.emailAddress(),
        fc
          .tuple(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.domain())
          .map(([local, domain]) => `"${local.replace(/["\\]/g, '\\$&')}"@${domain}`),
      ),
      (text) => {
        const once = parseAddress(text)
        if (once !== undefined) assert.equal(parseAddress(once), once)
      },
    ),
  )
})

test('every ordinary address is read, and its domain in lower case', () => {
  fc.assert(
    fc.property(fc.emailAddress(), (text) => {
      assert.equal(domainOf(parseAddress(text) ?? ''), text.slice(text.lastIndexOf('@') + 1).toLowerCase())
    }),
  )
})

test('no text at all makes an address that holds a line break, NUL or white space outside quotes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.domain(), (local, domain) => {
      const address = parseAddress(`${local}@${domain}`)
      if (address !== undefined) assert.doesNotMatch(address.replace(/^"(?:[^"\\]|\\.)*"/, ''), /[\s\p{Cc}]/u)
      if (address !== undefined) assert.doesNotMatch(address, /[\r\n\0]/)
    }),
    { numRuns: 1000 },
  )
})

test('a mailbox list survives names with commas, comments, groups, routes and encoded words', () => {
  const list =
    'a@x.example, "Maier, Max" <max@lab.example>, =?utf-8?Q?J=C3=B6rg?= (the (other) one) <j@x.example>, Team: b@x.example, <@r.example:c@x.example>;, undisclosed-recipients:;'
  assert.deepEqual(parseMailboxes(list), [
    { name: '', address: 'a@x.example' },
    { name: 'Maier, Max', address: 'max@lab.example' },
    { name: 'Jörg', address: 'j@x.example' },
    { name: '', address: 'b@x.example' },
    { name: '', address: 'c@x.example' },
  ])
})

test('a name that looks like an address does not become the address', () => {
  assert.deepEqual(parseMailboxes('"boss@org.example" <evil@x.example>'), [{ name: 'boss@org.example', address: 'evil@x.example' }])
  assert.deepEqual(parseMailboxes('boss@org.example <evil@x.example>'), [{ name: 'boss@org.example', address: 'evil@x.example' }])
})

test('what can be read as two mailboxes is read as none', () => {
  for (const text of [
    '<a@x.example> <b@x.example>',
    '<a@x.example> b',
    'a@x.example b@x.example',
    '<<a@x.example>>',
    'a@x.example>',
    '<a@x.example',
  ]) {
    assert.deepEqual(parseMailboxes(text), [], text)
  }
})

test('mailboxes that we can write are read back, whatever their names', () => {
  const name = fc
    .string({ maxLength: 30 })
    .map((text) => text.replace(/\s+/g, ' ').trim())
    .filter((text) => !text.includes('=?') && !/[\x00-\x1f]/.test(text))
  fc.assert(
    fc.property(fc.array(fc.record({ name, address: fc.emailAddress() }), { maxLength: 5 }), (list) => {
      const line = list.map(({ name, address }) => `"${name.replace(/["\\]/g, '\\$&')}" <${address}>`).join(', ')
      assert.deepEqual(
        parseMailboxes(line),
        list.map(({ name, address }) => ({ name, address: parseAddress(address) })),
      )
    }),
  )
})

test('hostile lists are read in linear time', () => {
  const started = performance.now()
  for (const piece of ['(', '"', '<', '\\', 'a,', '=?a?q?', ':', '[', ' ', '"a', '(\\', '"\\']) parseMailboxes(piece.repeat(60_000))
  assert.ok(performance.now() - started < 50000)
})

test('a pattern matches its own domain, a starred one only what is below', () => {
  assert.equal(matchesDomain('Bank-A.example', 'bank-a.example'), true)
  assert.equal(matchesDomain('*.sparkasse.example', 'a.sparkasse.example'), true)
  assert.equal(matchesDomain('*.sparkasse.example', 'a.b.sparkasse.example'), true)
  assert.equal(matchesDomain('*.sparkasse.example', 'sparkasse.example'), false)
  assert.equal(matchesDomain('*.sparkasse.example', 'evilsparkasse.example'), false)
  assert.equal(matchesDomain('*.bücher.example', 'a.xn--bcher-kva.example'), true)
  assert.equal(matchesDomain('', ''), false)
})

test('a masked address shows one character at most of the local part', () => {
  assert.equal(maskAddress('max@lab.example'), 'm•••@lab.example')
  assert.equal(maskAddress('m@lab.example'), '•••@lab.example')
  assert.equal(maskAddress('"max maier"@lab.example'), 'm•••@lab.example')
  assert.equal(maskAddress('jörg@lab.example'), 'j•••@lab.example')
})

test('only a local part beyond ASCII needs SMTPUTF8', () => {
  assert.equal(needsSmtpUtf8('jörg@lab.example'), true)
  assert.equal(needsSmtpUtf8(parseAddress('x@bücher.example') ?? ''), false)
})

test('a domain written with a trailing dot, spaces or a port is none', () => {
  for (const text of ['x.example.', ' x.example', 'x.example:25', 'x/y', '']) assert.equal(canonicalDomain(text), undefined, text)
})
