import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { listAttachments } from '../../../src/methods/escrow/attachments.ts'

/** In pieces of `size` bytes, so that every line is cut somewhere. */
function pieces(content: string | Buffer, size: number): Readable {
  const bytes = Buffer.from(content)
  return Readable.from(
    (function* () {
      for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
    })(),
  )
}

const crlf = (...lines: string[]) => lines.join('\r\n')

const mixed = crlf(
  'Content-Type: multipart/mixed; boundary="outer one"',
  '',
  'a preamble with --outer one in it',
  '--outer one',
  'Content-Type: multipart/alternative; boundary=inner',
  '',
  '--inner',
  'Content-Type: text/plain',
  '',
  'Hello',
  '--inner',
  'Content-Type: text/html',
  '',
  '<p>Hello</p>',
  '--inner--',
  '--outer one',
  'Content-Type: application/pdf',
  "Content-Disposition: attachment; filename*=utf-8''Befund%20%E2%82%AC.pdf",
  'Content-Transfer-Encoding: base64',
  '',
  'aGVsbG8gd29ybGQhIQ==',
  '--outer one',
  'Content-Type: text/csv; name="=?utf-8?Q?W=C3=A4rme.csv?="',
  'Content-Disposition: attachment',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'W=C3=A4rme;=',
  '12',
  'x',
  '--outer one',
  'Content-Disposition: attachment; filename*0="long-"; filename*1="name.txt"',
  '',
  'four',
  '--outer one',
  'Content-Type: message/rfc822',
  '',
  'Subject: inner',
  '',
  'body',
  '--outer one--',
  'epilogue',
  '',
)

test('names and decoded sizes of attachments are found, however the stream is cut', async () => {
  for (const size of [1, 7, 64, 100_000]) {
    assert.deepEqual(await listAttachments(pieces(mixed, size)), [
      { name: 'Befund €.pdf', size: 13 },
      { name: 'Wärme.csv', size: 'Wärme;12\r\nx'.length + 1 },
      { name: 'long-name.txt', size: 4 },
      { name: 'message.eml', size: 'Subject: inner\r\n\r\nbody'.length },
    ])
  }
})

test('a plain text mail has no attachment; a mail that is a file has one', async () => {
  assert.deepEqual(await listAttachments(pieces(crlf('Subject: x', '', '--not a boundary', 'text'), 5)), [])
  const file = crlf('Content-Type: image/png', 'Content-Transfer-Encoding: base64', '', 'AAAA', '')
  assert.deepEqual(await listAttachments(pieces(file, 9)), [{ name: 'attachment', size: 3 }])
})

test('names cannot climb folders or turn the reading direction', async () => {
  const one = (name: string) => crlf(`Content-Disposition: attachment; filename="${name}"`, '', 'x')
  assert.deepEqual(await listAttachments(pieces(one('../../etc/passwd'), 99)), [{ name: 'passwd', size: 1 }])
  assert.deepEqual(await listAttachments(pieces(one('invoice\u202efdp.exe'), 99)), [{ name: 'invoicefdp.exe', size: 1 }])
})

test('beyond the limits the list is unknown, but the content is still read to its end: only so it is known to be whole', async () => {
  const deep = Array.from({ length: 40 }, (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\r\n\r\n--b${n}\r\n`).join('')
  assert.equal(await listAttachments(pieces(deep, 1000)), undefined)
  const many = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(1100)}--b--\r\n`
  assert.equal(await listAttachments(pieces(many, 1000)), undefined)
  assert.equal(await listAttachments(pieces(`X: ${'x'.repeat(300_000)}\r\n\r\n`, 1000)), undefined)
  const headers = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${`--b\r\nX: ${'x'.repeat(50_000)}\r\n\r\n`.repeat(30)}--b--\r\n`
  assert.equal(await listAttachments(pieces(headers, 1000)), undefined)
  async function* breaking() {
    yield Buffer.from(`X: ${'x'.repeat(300_000)}\r\n\r\n`)
    throw new Error('the seal is broken')
  }
  await assert.rejects(listAttachments(Readable.from(breaking())), /the seal is broken/)
})

test('50 MB are scanned in small steps that leave the event loop free', async () => {
  const line = Buffer.from(`${'A'.repeat(76)}\r\n`)
  const chunk = Buffer.concat(Array.from({ length: 840 }, () => line))
  const steps: number[] = []
  async function* stream() {
    yield Buffer.from(
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n',
    )
    for (let sent = 0; sent < 50e6; sent += chunk.length) {
      const before = performance.now()
      yield chunk
      steps.push(performance.now() - before)
      await new Promise(setImmediate)
    }
    yield Buffer.from('--b--\r\n')
  }
  const chunks = Math.ceil(50e6 / chunk.length)
  assert.deepEqual(await listAttachments(Readable.from(stream())), [{ name: 'attachment', size: (chunks * 840 * 76 * 3) / 4 }])
  // Not the longest: another program may have had the processor in the midst of it.
  const most = steps.sort((a, b) => a - b)[Math.floor(0.9 * steps.length)] ?? 0
  assert.ok(most < 100, `a tenth of the steps took ${most} ms and more`)
})

test('whatever the bytes are, the scan ends with a list or with none, never with an error', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.constantFrom(
            '\r\n',
            '\n',
            '--b',
            '--b--',
            '--',
            'Content-Type: multipart/mixed; boundary=b',
            'Content-Disposition: attachment; filename*=',
            "x'y'%zz",
            '=',
            ' ',
          ),
          fc.string({ maxLength: 20 }),
        ),
        { maxLength: 60 },
      ),
      fc.integer({ min: 1, max: 50 }),
      async (parts, size) => {
        const list = await listAttachments(pieces(parts.join(''), size))
        assert.ok(list === undefined || list.every((one) => one.size >= 0))
      },
    ),
    { numRuns: 200 },
  ))
