/** Dot-stuffing: undone on the other side it gives back the content, whatever it is and however it is cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hasPlainLines, markPlainLines } from '../../src/mail/plain-lines.ts'
import { BareLineEnd, createStuffer } from '../../src/transport/dot-stuffing.ts'

const stuff = (chunks: readonly Buffer[]) => {
  const stuffer = createStuffer()
  return Buffer.concat([...chunks.map(stuffer.push), stuffer.end()])
}
const failing = (chunks: readonly Buffer[]) => {
  try {
    stuff(chunks)
  } catch (error) {
    return error
  }
  return undefined
}
const unstuff = (text: string) => text.replace(/^\./, '').replaceAll('\r\n.', '\r\n')
const pieces = fc.array(fc.constantFrom('.', '..', '\r\n', 'a', '.\r\n', '\u00ff', ' .', '\t', 'x'.repeat(50)), { maxLength: 60 })
const cut = (bytes: Buffer, size: number) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))

test('stuffed and unstuffed again, content is what it was, with CRLF at its end, and no line is a lone dot', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 40 }), async (parts, size) => {
      const text = parts.join('')
      const stuffed = (await stuff(cut(Buffer.from(text, 'latin1'), size))).toString('latin1')
      const whole = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`
      assert.equal(unstuff(stuffed), whole)
      assert.doesNotMatch(stuffed, /(^|\r\n)\.\r\n/)
    }),
  )
})

test('a bare CR or LF never passes, wherever the chunks are cut', async () => {
  for (const text of ['a\nb\r\n', 'a\rb\r\n', '\n', 'a\r', 'a\r\r\n', 'a\r\n\n.\n', '\r\n\r']) {
    for (const size of [1, 2, 100]) assert.ok(failing(cut(Buffer.from(text), size)) instanceof BareLineEnd, JSON.stringify(text))
  }
  assert.equal(failing([Buffer.from('a\r'), Buffer.from('\n')]), undefined)
})

test('a flood of dots costs no more than a few times what plain text does, however large the pieces', () => {
  const dots = Buffer.from('..\r\n'.repeat(2_000_000))
  const plain = Buffer.alloc(dots.length, `${'x'.repeat(98)}\r\n`)
  const time = (bytes: Buffer, size: number) => {
    const started = process.cpuUsage()
    stuff(cut(bytes, size))
    return process.cpuUsage(started).user / 1000
  }
  time(plain, 65_536)
  const fast = time(plain, 65_536)
  // A hang limit: work that grows with the square would take minutes.
  for (const size of [65_536, dots.length]) assert.ok(time(dots, size) < fast * 20 + 2000)
})

test('octets whose lines were judged before leave as they are, but where two pieces meet is looked at all the same', () => {
  const judged = (text: string) => markPlainLines(Buffer.from(text))
  assert.equal(stuff([judged('a\r\nb\r'), judged('\nc\r\n'), Buffer.from('.d\r\n')]).toString(), 'a\r\nb\r\nc\r\n..d\r\n')
  for (const [first, second] of [
    ['a\r', 'b\r\n'],
    ['a', '\nb\r\n'],
    ['a\r\n', '\nb\r\n'],
  ] as const)
    assert.ok(failing([judged(first), judged(second)]) instanceof BareLineEnd, JSON.stringify([first, second]))
  for (const text of ['.a\r\n', '\r\n.a\r\n'])
    assert.equal(stuff([judged('x\r\n'), judged(text).subarray(0)]).toString(), `x\r\n${text.replace('.', '..')}`)
  assert.equal(stuff([judged('x\r'), judged('\n.a\r\n')]).toString(), 'x\r\n..a\r\n')
  assert.equal(stuff([judged('x\r\n'), judged('.a\r\n')]).toString(), 'x\r\n..a\r\n')
})

test('what is made of judged octets is judged anew', () => {
  const judged = markPlainLines(Buffer.from('a\nb\r\n'))
  assert.equal(hasPlainLines(judged), true)
  for (const made of [judged.subarray(0), Buffer.from(judged), Buffer.concat([judged])]) {
    assert.equal(hasPlainLines(made), false)
    assert.ok(failing([made]) instanceof BareLineEnd)
  }
})
