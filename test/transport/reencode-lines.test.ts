/** Lines and pieces of lines: the same whatever the borders of the chunks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BareLineEnd } from '../../src/transport/dot-stuffing.ts'
import { lineReader, longestPiece, type Piece } from '../../src/transport/reencode-lines.ts'

function piecesOf(content: Buffer, borders: readonly number[]): readonly Piece[] {
  const reader = lineReader()
  const cuts = [0, ...borders.map((border) => border % (content.length + 1)).sort((a, b) => a - b), content.length]
  const found = cuts.slice(1).flatMap((cut, i) => reader.push(content.subarray(cuts[i], cut)))
  return [...found, ...reader.end()].map((piece) => ({ ...piece, text: Buffer.from(piece.text) }))
}

const lengths = fc.oneof(
  fc.constantFrom(0, 1, longestPiece - 1, longestPiece, longestPiece + 1, 2 * longestPiece, 2 * longestPiece + 1),
  fc.nat(6000),
)

test('borders of chunks change nothing, and the pieces joined are the content', () => {
  fc.assert(
    fc.property(fc.array(lengths, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 6 }), fc.boolean(), (sizes, borders, ended) => {
      const content = Buffer.from(sizes.map((size) => 'x'.repeat(size)).join('\r\n') + (ended ? '\r\n' : ''))
      const pieces = piecesOf(content, borders)
      assert.deepEqual(pieces, piecesOf(content, []))
      assert.equal(pieces.map((piece) => piece.text.toString() + (piece.ended ? '\r\n' : '')).join(''), content.toString())
      for (const [i, piece] of pieces.entries()) assert.equal(piece.first, pieces[i - 1]?.ended ?? true)
      for (const [i, { text, ended: whole }] of pieces.entries())
        assert.ok(text.length <= longestPiece + (i === pieces.length - 1 ? 1 : 0) && (whole || text.length > 0))
    }),
    { numRuns: 500 },
  )
  for (const near of [-2, -1, 0, 1, 2]) {
    const content = Buffer.from(`${'x'.repeat(longestPiece)}\r\ny\r\n`)
    assert.deepEqual(piecesOf(content, [longestPiece + near]), piecesOf(content, []))
  }
})

test('a bare CR or LF anywhere is refused', () => {
  for (const bare of ['\n', 'x\n', '\rx', 'x\r', '\r\r\n', '\r\n\n', `${'x'.repeat(longestPiece)}\rx`, `${'x'.repeat(longestPiece)}\n`])
    for (let border = 0; border <= Math.min(bare.length, 5); border++)
      assert.throws(() => piecesOf(Buffer.from(bare), [border]), BareLineEnd, JSON.stringify(bare.slice(-5)))
})
