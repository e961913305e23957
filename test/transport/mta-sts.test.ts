import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { namesMx, readStsPolicy, readStsRecord } from '../../src/transport/mta-sts.ts'

describe('MTA-STS: the TXT record', () => {
  for (const [texts, expected] of [
    [['v=STSv1; id=20160831085700Z;'], '20160831085700Z'],
    [['v=STSv1;id=1'], '1'],
    [['v=spf1 -all', 'v=STSv1; id=abc; ext=1'], 'abc'],
    [[], 'none'],
    [['v=STSv10; id=1'], 'none'],
    [[' v=STSv1; id=1'], 'none'],
    [['v=STSv1; id=1', 'v=STSv1; id=2'], 'invalid'],
    [['v=STSv1;'], 'invalid'],
    [['v=STSv1; id=has-dash'], 'invalid'],
    [[`v=STSv1; id=${'a'.repeat(33)}`], 'invalid'],
  ] as const)
    test(`${JSON.stringify(texts)} is ${expected}`, () => {
      const record = readStsRecord(texts)
      assert.equal(record.kind === 'record' ? record.id : record.kind, expected)
    })
})

describe('MTA-STS: the policy', () => {
  const lines = (...more: string[]) => [
    'version: STSv1',
    'mode: enforce',
    'mx: mail.example.com',
    'mx: *.example.net',
    'max_age: 604800',
    ...more,
  ]

  test('the example of RFC 8461 §3.2 is read, with CRLF or LF', () => {
    for (const end of ['\r\n', '\n'])
      assert.deepEqual(readStsPolicy(lines().join(end)), {
        kind: 'policy',
        policy: { mode: 'enforce', maxAge: 604800, mx: ['mail.example.com', '*.example.net'] },
      })
  })

  test('unknown keys are ignored, and the first of a repeated key counts', () => {
    const read = readStsPolicy(lines('mode: none', 'future: yes', 'max_age: 1').join('\n'))
    assert.ok(read.kind === 'policy' && read.policy.mode === 'enforce' && read.policy.maxAge === 604800)
  })

  test('mode none needs no mx', () => {
    assert.equal(readStsPolicy('version: STSv1\nmode: none\nmax_age: 86400\n').kind, 'policy')
  })

  for (const [what, text] of [
    ['an empty file', ''],
    ['an HTML page', '<html><body>version: STSv1</body></html>'],
    ['another version', lines().join('\n').replace('STSv1', 'STSv2')],
    ['an unknown mode', lines().join('\n').replace('enforce', 'force')],
    [
      'no max_age',
      lines()
        .join('\n')
        .replace(/max_age.*/, ''),
    ],
    ['a max_age over a year', lines().join('\n').replace('604800', '31557601')],
    ['a negative max_age', lines().join('\n').replace('604800', '-1')],
    [
      'no mx',
      lines()
        .join('\n')
        .replace(/mx:.*\n/g, ''),
    ],
    ['an mx that is no host name', lines('mx: mail.*.example.com').join('\n')],
  ] as const)
    test(`${what} is invalid, with the reason in words`, () => {
      const read = readStsPolicy(text)
      assert.ok(read.kind === 'invalid' && read.text.length > 20)
    })

  test('whatever a host serves, reading it ends in an answer', () => {
    fc.assert(fc.property(fc.string({ maxLength: 2000 }), (text) => ['policy', 'invalid'].includes(readStsPolicy(text).kind)))
  })
})

describe('MTA-STS: whether the policy names the host', () => {
  for (const [pattern, host, named] of [
    ['mail.example.com', 'mail.example.com', true],
    ['mail.example.com', 'MAIL.example.com.', true],
    ['mail.example.com', 'x.mail.example.com', false],
    ['*.example.com', 'mail.example.com', true],
    ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', 'example.com', false],
    ['*.com', 'com', false],
  ] as const)
    test(`${pattern} ${named ? 'names' : 'does not name'} ${host}`, () => assert.equal(namesMx({ mx: [pattern] }, host), named))
})
