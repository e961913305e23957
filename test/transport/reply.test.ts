/** Replies out of arbitrary bytes, in arbitrary pieces. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createReplyParser, type Parsed, replyText } from '../../src/transport/reply.ts'

function parseAll(chunks: readonly Buffer[]): Parsed[] {
  const parser = createReplyParser()
  const out: Parsed[] = []
  for (const chunk of chunks) {
    parser.push(chunk)
    for (let next = parser.next(); next.kind !== 'incomplete'; next = parser.next()) {
      out.push(next)
      if (next.kind === 'garbage') return out
    }
  }
  return out
}

const cutAt = (bytes: Buffer, places: readonly number[]) => {
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end))
}

const line = fc.string({ unit: fc.constantFrom(...'abc xyz.-09é'), maxLength: 60 })
const reply = fc.record(
  { code: fc.integer({ min: 200, max: 599 }), lines: fc.array(line, { minLength: 1, maxLength: 6 }) },
  { noNullPrototype: true },
)
const write = ({ code, lines }: { code: number; lines: string[] }) =>
  lines.map((text, i) => `${code}${i === lines.length - 1 ? ' ' : '-'}${text}\r\n`).join('')

test('what was written as replies is read as the same replies, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 10 }), (replies, places) => {
      const read = parseAll(cutAt(Buffer.from(replies.map(write).join('')), places))
      assert.deepEqual(
        read.map((one) => one.kind === 'reply' && { code: one.reply.code, lines: one.reply.lines }),
        replies,
      )
    }),
  )
})

test('any bytes come to an end: replies, garbage or not enough, and how they are cut does not matter', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.array(fc.nat(), { maxLength: 10 }), (bytes, places) => {
      const whole = parseAll([Buffer.from(bytes)])
      assert.deepEqual(parseAll(cutAt(Buffer.from(bytes), places)), whole)
      for (const one of whole) if (one.kind === 'reply') assert.doesNotMatch(replyText(one.reply), /[\u0000-\u0008\u000a-\u001f\u007f]/)
    }),
  )
})

test('an enhanced status counts only when its class is that of the code', () => {
  const [good, bad, none] = parseAll([Buffer.from('550 5.1.1 no\r\n450 5.1.1 no\r\n250\r\n')])
  assert.equal(good?.kind === 'reply' && good.reply.enhanced, '5.1.1')
  assert.equal(bad?.kind === 'reply' && bad.reply.enhanced, undefined)
  assert.deepEqual(none?.kind === 'reply' && none.reply, { code: 250, lines: [''], enhanced: undefined })
})

test('lines of one reply with different codes, endless lines and endless replies are garbage', () => {
  for (const text of ['250-a\r\n550 b\r\n', '2x0 a\r\n', '100 a\r\n', 'x'.repeat(5000), '250-a\r\n'.repeat(300)]) {
    assert.equal(parseAll([Buffer.from(text)]).at(-1)?.kind, 'garbage', text.slice(0, 20))
  }
})
