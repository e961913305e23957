import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { splitHeader } from '../../../src/mail/header.ts'
import { bodyOf, startOf } from '../../../src/methods/pgp/body.ts'

const cut = (content: Buffer, size: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(content.length / size) }, (_, i) => content.subarray(i * size, (i + 1) * size)),
    { objectMode: false },
  )

async function whole(content: Buffer, size: number): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of bodyOf(cut(content, size))) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}

test('the body begins after the first empty line, wherever the stream was cut', async () => {
  for (const text of ['A: b\r\n\r\nbody\r\n\r\nmore', '\r\nbody', 'A: b\r\n\r\n', 'A: b\r\n', 'A: b\r\n c\r\n\r\n\r\n\r\n', '']) {
    const content = Buffer.from(text)
    const body = content.subarray(splitHeader(content).bodyStart).toString()
    for (let size = 1; size <= content.length + 1; size++) assert.equal(await whole(content, size), body, JSON.stringify({ text, size }))
  }
})

test('whatever the bytes, header and body are the content', async () => {
  const piece = fc.constantFrom('\r\n', '\n', '\r', 'A: b', ' ', 'x', '\0')
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 20 }), fc.integer({ min: 1, max: 9 }), async (pieces, size) => {
      const content = Buffer.from(pieces.join(''))
      assert.equal(await whole(content, size), content.subarray(splitHeader(content).bodyStart).toString('latin1'))
    }),
  )
})

test('a start is read without the rest, and its stream is closed', async () => {
  const source = cut(Buffer.concat([Buffer.from('A: b\r\n\r\n'), Buffer.alloc(100_000, 'x')]), 1000)
  const start = await startOf(bodyOf(source), 1500)
  assert.equal(start.length, 1500)
  assert.equal(source.destroyed, true)
})
