/** Dot-stuffing: undone on the other side it gives back the content, whatever it is and however it is cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
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
    for (const size of [1, 2, 100]) assert.ok((await failing(cut(Buffer.from(text), size))) instanceof BareLineEnd, JSON.stringify(text))
  }
  assert.equal(await failing([Buffer.from('a\r'), Buffer.from('\n')]), undefined)
})

test('a flood of dots costs little more than plain text', async () => {
  const dots = Buffer.from('..\r\n'.repeat(2_000_000))
  const plain = Buffer.alloc(dots.length, `${'x'.repeat(98)}\r\n`)
  const time = async (bytes: Buffer) => {
    const started = process.hrtime.bigint()
    await stuff(cut(bytes, 65_536))
    return Number(process.hrtime.bigint() - started) / 1e6
  }
  await time(plain)
  const [fast, slow] = [await time(plain), await time(dots)]
  assert.ok(slow < fast * 2 + 200, `${slow} ms against ${fast} ms`)
})
