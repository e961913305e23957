import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDecoder } from '../../../../src/mail/transfer-decoder.ts'
import { partOf } from '../../../../src/web/portal/reading/part.ts'
import { skeletonOf } from '../../../../src/web/portal/reading/skeleton.ts'
import { mail } from './hostile.ts'

const everyByte = Buffer.from(Array.from({ length: 3000 }, (_, i) => i % 256))
const wrapped = everyByte.toString('base64').replace(/.{76}/g, '$&\r\n')
const source = mail([
  'Content-Type: multipart/mixed; boundary=outer',
  ...[
    '',
    'Preamble',
    '--outer',
    'Content-Type: multipart/alternative; boundary="outer-inner"',
    '',
    '--outer-inner',
    '',
    'text',
    '--outer-inner--',
    'between',
  ],
  ...['--outer', 'Content-Type: application/pdf', 'Content-Transfer-Encoding: BASE64', '', wrapped],
  ...[
    '--outer',
    'Content-Type: text/csv',
    'Content-Disposition: attachment',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'a=3Db=',
    'c   ',
    '-- d',
  ],
  ...['--outer', 'Content-Type: application/x', '', 'raw\r\n\r\n--outerx', '--outer--', 'Epilogue', ''],
])

/** The bytes in pieces cut where the numbers say. */
const inPieces = (bytes: Buffer, cuts: readonly number[]) => {
  const places = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length]
  return Readable.from(
    places
      .slice(1)
      .map((to, i) => bytes.subarray(places[i], to))
      .filter((piece) => piece.length > 0),
  )
}
const anyCuts = fc.array(fc.nat({ max: source.length }), { maxLength: 60 })

test('each file comes out byte for byte, however the mail is cut into pieces', async () => {
  const wanted = ['text', everyByte, 'a=bc\r\n-- d', 'raw\r\n\r\n--outerx'].map((one) => Buffer.from(one))
  await fc.assert(
    fc.asyncProperty(anyCuts, async (cuts) => {
      for (const [number, bytes] of wanted.entries()) assert.deepEqual(await buffer(partOf(inPieces(source, cuts), number)), bytes)
    }),
    { numRuns: 50 },
  )
})

test('the sizes told before are those of the files that come out', async () => {
  await fc.assert(
    fc.asyncProperty(anyCuts, async (cuts) => {
      const skeleton = await skeletonOf(inPieces(source, cuts))
      assert.deepEqual(skeleton?.sizes, [4, 3000, 10, 15])
    }),
    { numRuns: 50 },
  )
})

test('a part that is not there is empty, and a broken stream breaks it', async () => {
  assert.equal((await buffer(partOf(Readable.from([source]), 9))).length, 0)
  const broken = new Readable({ read: () => broken.destroy(new Error('seal broken')) })
  await assert.rejects(buffer(partOf(broken, 0)), /seal broken/)
})

test('a decoder gives as many bytes as it counts, for any input in any pieces', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('base64', 'quoted-printable', '7bit'),
      fc.array(fc.oneof(fc.string(), fc.constantFrom('=', '=3D', '=\r\n', ' ', '\t', '\r\n', 'QUJD', '==')), { maxLength: 30 }),
      (encoding, pieces) => {
        const [decoder, counter] = [createDecoder(encoding), createDecoder(encoding)]
        const bytes = Buffer.concat([...pieces.map((piece) => decoder.write(Buffer.from(piece))), decoder.end()])
        const count = pieces.reduce((sum, piece) => sum + counter.size(Buffer.from(piece)), 0) + counter.rest()
        assert.equal(count, bytes.length)
        const whole = createDecoder(encoding)
        assert.deepEqual(Buffer.concat([whole.write(Buffer.from(pieces.join(''))), whole.end()]), bytes)
      },
    ),
  )
})

test('forty megabytes pass through without being kept', async () => {
  const line = Buffer.from(`${'QUFB'.repeat(19)}\r\n`.repeat(840))
  const content = () =>
    Readable.from(
      (function* () {
        yield mail([
          'Content-Type: multipart/mixed; boundary=b',
          '',
          '--b',
          '',
          'hi',
          '--b',
          'Content-Type: a/b',
          'Content-Transfer-Encoding: base64',
          '',
          '',
        ])
        for (let i = 0; i < 620; i++) yield line
        yield Buffer.from('--b--\r\n')
      })(),
    )
  const skeleton = await skeletonOf(content())
  assert.ok((skeleton?.bytes.byteLength ?? 0) < 1000)
  let size = 0
  for await (const chunk of partOf(content(), 1)) size += (chunk as Buffer).length
  assert.equal(size, 57 * 840 * 620)
  assert.equal(skeleton?.sizes[1], size)
})

test('a megabyte of spaces, or one endless line, takes no time', async () => {
  const before = performance.now()
  for (const body of [' '.repeat(1_000_000), 'x'.repeat(1_000_000), '-'.repeat(1_000_000), '\n--'.repeat(300_000)])
    for (const encoding of ['quoted-printable', 'base64', '7bit'])
      await skeletonOf(
        Readable.from([mail([`Content-Transfer-Encoding: ${encoding}`, 'Content-Type: multipart/mixed; boundary=b', '', '--b', '', body])]),
      )
  assert.ok(performance.now() - before < 40000)
})
