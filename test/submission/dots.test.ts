/** The end of DATA and its dots, tried with every way to cut the stream. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createUnstuffer } from '../../src/submission/dots.ts'

const manyLines = 65_536

/** Feed pieces until the end; what came out, in how many pieces, and what is left of the last. */
function feedAll(pieces: readonly Buffer[], lineLimit = manyLines) {
  const machine = createUnstuffer(lineLimit)
  const clear: Buffer[] = []
  for (const [index, piece] of pieces.entries()) {
    const fed = machine.feed(piece)
    clear.push(fed.clear)
    if (fed.end)
      return { ...machine, ended: true, content: Buffer.concat(clear), rest: Buffer.concat([fed.rest, ...pieces.slice(index + 1)]) }
  }
  return { ...machine, ended: false, content: Buffer.concat(clear), rest: Buffer.alloc(0) }
}

const feedText = (text: string, lineLimit?: number) => feedAll([Buffer.from(text, 'latin1')], lineLimit)

/** Cut `whole` at the given places (taken modulo its length). */
function cut(whole: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => whole.subarray(from, at[index]))
}

/** RFC 5321 §4.5.2 the sender's way: a dot before every line that begins with one, CRLF.CRLF at the end. */
const stuffed = (content: string) => `${content.replace(/(^|\r\n)\./g, '$1..')}.\r\n`

const line = fc.string({ unit: fc.constantFrom('.', 'a', ' ', '\xe9'), maxLength: 6 })
const content = fc.array(line, { maxLength: 8 }).map((lines) => lines.map((one) => `${one}\r\n`).join(''))

test('what a sender stuffed comes out as it was, however the stream is cut, and the next command stays', () => {
  fc.assert(
    fc.property(content, fc.array(fc.nat(200), { maxLength: 12 }), (clear, places) => {
      const wire = Buffer.from(`${stuffed(clear)}QUIT\r\n`, 'latin1')
      const fed = feedAll(cut(wire, places))
      assert.equal(fed.ended, true)
      assert.equal(fed.content.toString('latin1'), clear)
      assert.equal(fed.rest.toString('latin1'), 'QUIT\r\n')
      assert.equal(fed.fault(), undefined)
      assert.equal(fed.stuffed(), /(?:^|\n)\./.test(clear))
      assert.equal(fed.eightBit(), clear.includes('\xe9'))
    }),
  )
})

test('any octets give the same content, fault and end whether they come at once or one by one', () => {
  const octets = fc.array(fc.constantFrom(0x0d, 0x0a, 0x2e, 0x61, 0x00), { maxLength: 24 })
  fc.assert(
    fc.property(octets, (bytes) => {
      const whole = feedAll([Buffer.from(bytes)])
      const single = feedAll(bytes.map((byte) => Buffer.from([byte])))
      assert.deepEqual([single.content, single.ended, single.fault()], [whole.content, whole.ended, whole.fault()])
    }),
  )
})

test('only CRLF.CRLF ends the data: random octets end exactly where the first such sequence stands', () => {
  const octets = fc.string({ unit: fc.constantFrom('\r', '\n', '.', 'a', '\0', '\r\n.', '.\r\n'), maxLength: 24 })
  fc.assert(
    fc.property(octets, (text) => {
      // The start of the data counts as the start of a line.
      const at = `\r\n${text}`.indexOf('\r\n.\r\n')
      const fed = feedText(text)
      assert.equal(fed.ended, at !== -1)
      if (at !== -1) assert.equal(fed.rest.toString('latin1'), text.slice(at + 3))
    }),
  )
})

for (const [name, ending] of Object.entries({
  'LF.LF': '\n.\n',
  'LF.CRLF': '\n.\r\n',
  'CRLF.LF': '\r\n.\n',
  'CR.CR': '\r.\r',
  'CR.CRLF': '\r.\r\n',
  'CRLF.CR': '\r\n.\rx',
  'CRLF.CRCRLF': '\r\n.\r\r\n',
  'CR NUL LF': '\r\0\n.\r\0\n',
  'LF..CRLF': '\n..\r\n',
}))
  test(`${name} is a fault and not an end`, () => {
    const fed = feedText(`a${ending}QUIT\r\n`)
    assert.equal(fed.ended, false)
    assert.match(String(fed.fault()), /^bare-/)
  })

test('a dot after a bare LF is content, not stuffing: two servers must not read two messages', () => {
  assert.equal(feedText('a\n..b\r\n.\r\n').content.toString('latin1'), 'a\n..b\r\n')
})

test('NUL and lines beyond the limit are faults', () => {
  assert.equal(feedText('a\0b\r\n.\r\n').fault(), 'nul')
  assert.equal(feedText('12345678\r\n.\r\n', 10).fault(), undefined)
  assert.equal(feedText('123456789\r\n.\r\n', 10).fault(), 'long-line')
})

test('a flood of dots comes out in one piece a chunk, like any text: no work per line', () => {
  const machine = createUnstuffer(manyLines)
  const flood = Buffer.from('..\r\n'.repeat(16_384))
  const chunks = 46
  const started = process.cpuUsage()
  for (let i = 0; i < chunks; i++) {
    const { clear, end } = machine.feed(flood)
    assert.equal(end, false)
    assert.equal(clear.length, 3 * 16_384)
    // One allocation, no larger than the chunk that came and one octet.
    assert.ok(clear.buffer.byteLength <= Math.max(flood.length + 1, 8192))
  }
  const dots = process.cpuUsage(started).user
  const again = process.cpuUsage()
  const text = Buffer.from(`${'x'.repeat(70)}\r\n`.repeat(910))
  for (let i = 0; i < chunks; i++) machine.feed(text)
  console.log(`# 3 MB of dots: ${dots / 1000} ms of CPU, 3 MB of text: ${process.cpuUsage(again).user / 1000} ms`)
})
