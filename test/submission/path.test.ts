/** Arguments of MAIL and RCPT, beyond what the dialogues show. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readMail, readRcpt } from '../../src/submission/path.ts'

const rcpt = (argument: string) => readRcpt(argument, { smtpUtf8: false, postmaster: 'postmaster@lab.example' })

test('parameters are read in any case and order', () => {
  const read = readMail('from:<a@lab.example>  size=10 Ret=full ENVID=x body=8bitmime smtputf8')
  assert.deepEqual(read, { kind: 'read', value: { reversePath: 'a@lab.example', size: 10, smtpUtf8: true, ret: 'FULL', envid: 'x' } })
})

test('the null reverse-path is the empty address, and no recipient', () => {
  assert.deepEqual(readMail('FROM:<>'), { kind: 'read', value: { reversePath: '', size: undefined, smtpUtf8: false } })
  assert.equal(rcpt('TO:<>').kind, 'refused')
})

test('angle brackets, spaces and @ within quotes belong to the address', () => {
  const read = rcpt('TO:<"a> b@c"@partner.example> NOTIFY=DELAY')
  assert.deepEqual(read, { kind: 'read', value: { address: '"a> b@c"@partner.example', notify: ['DELAY'] } })
})

test('a bare postmaster means ours', () => {
  assert.deepEqual(rcpt('TO:<PostMaster>'), { kind: 'read', value: { address: 'postmaster@lab.example', notify: [] } })
})

test('any text is read or refused, and what is read holds no line break and one sender', () => {
  const piece = fc.constantFrom(
    'FROM:',
    'TO:',
    '<',
    '>',
    '@',
    'a',
    'lab.example',
    ':',
    ',',
    '"',
    '\\',
    ' ',
    'SIZE=',
    '1',
    '=',
    '+',
    '+0D',
    'RET=',
    '.',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const text = pieces.join('')
      for (const read of [readMail(`FROM:${text}`), rcpt(`TO:${text}`)]) {
        if (read.kind === 'refused') assert.ok(read.reply.code >= 500)
        else assert.doesNotMatch(JSON.stringify(read.value), /\\r|\\n/)
      }
    }),
  )
})
