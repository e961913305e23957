/** The 7-bit rendering of 8-bit messages: the same content to every reader, and hands off what is signed or unclear. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { BareLineEnd } from '../../src/transport/dot-stuffing.ts'
import { reencoded } from '../../src/transport/reencode.ts'
import { encoderOf } from '../../src/transport/reencode-octets.ts'

const inChunks = (content: Buffer, size: number) => (): Readable => {
  const chunks: Buffer[] = []
  for (let at = 0; at < content.length; at += size) chunks.push(content.subarray(at, at + size))
  return Readable.from(chunks)
}

async function bytesOf(readable: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of readable as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const bytes = (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')

/** The rendering as latin1 text with LF. */
async function render(content: string, size = 7): Promise<string> {
  const mended = await reencoded(inChunks(bytes(content), size))
  if (mended.kind === 'unmendable') return `unmendable: ${mended.why}`
  const written = await bytesOf(mended.open())
  assert.equal(written.length, mended.size)
  assert.equal(mended.changed, !written.equals(bytes(content)))
  return written.toString('latin1').replaceAll('\r\n', '\n')
}

describe('a 7-bit rendering', () => {
  test('gives text as quoted-printable, anything else as base64, and leaves the rest as it was', async () => {
    const content = `From: a@org.example
X-Odd:   kept  as it is
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b 1"
content-transfer-encoding: 8bit

preamble
--b 1
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8BIT (yes)
X-After: x

gr\xfc\xdfe \n-- \n--b 1 \t
Content-Type: image/png

\x89PNG\n
--b 1
Content-Type: application/pdf
Content-Transfer-Encoding: base64

QUJD
--b 1

plain
--b 1--
epilogue
`
    assert.equal(
      await render(content),
      content
        .replace('content-transfer-encoding: 8bit', 'Content-Transfer-Encoding: 7bit')
        .replace('Content-Transfer-Encoding: 8BIT (yes)', 'Content-Transfer-Encoding: quoted-printable')
        .replace('gr\xfc\xdfe \n-- \n', 'gr=FC=DFe=20\n=2D-=20\n')
        .replace('Content-Type: image/png\n\n\x89PNG\n', 'Content-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0K'),
    )
  })

  test('adds what a message without MIME fields needs, and looks into messages in messages', async () => {
    assert.equal(await render('Subject: x\n\n\xfc'), 'Subject: x\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\n=FC\n')
    const outer = 'MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n'
    assert.equal(
      await render(`${outer}MIME-Version: 1.0\nContent-Type: application/x\n\n\xfc`),
      `${outer.replace('8bit', '7bit')}MIME-Version: 1.0\nContent-Type: application/x\nContent-Transfer-Encoding: base64\n\n/A==\n`,
    )
  })

  test('of what is 7-bit already is the very same', async () => {
    for (const content of [
      '',
      '\n',
      'Subject: x',
      'Subject: x\n\nhello\n',
      'Content-Type: multipart/mixed; boundary=b\n\n--b\nX: y\n--b--',
    ])
      assert.equal(await render(content), content)
  })

  test('never breaks a line so that a delimiter comes of it', async () => {
    const head = 'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n'
    for (let length = 60; length < 90; length++) {
      const written = await render(`${head}\xfc${'x'.repeat(length)}--b\n--b--\n`)
      assert.equal(written.split('\n').filter((line) => line.startsWith('--b')).length, 2)
    }
  })

  const multipart = (first: string) => `Content-Type: multipart/mixed; boundary=b\n\n--b\n${first}\n--b--\n`
  const deep = (n: number): string => (n === 0 ? 'X: y\n\n\xfc' : `Content-Type: message/rfc822\n\n${deep(n - 1)}`)
  for (const [what, content, why] of [
    ['with a DKIM signature', 'dkim-signature: v=1\n\n\xfc', /signed/],
    ['with an ARC signature', 'ARC-Message-Signature: i=1\n\n\xfc', /signed/],
    ['that is multipart/signed', 'Content-Type: multipart/signed; boundary=b\n\n--b\n\n\xfc\n--b--\n', /signed/],
    ['that is multipart/encrypted', 'Content-Type: multipart/encrypted; boundary=b\n\n--b\n\n\xfc\n--b--\n', /encrypted/],
    ['of S/MIME', 'Content-Type: application/pkcs7-mime\n\n\xfc', /signed or encrypted/],
    ['of inline PGP', '\n-----BEGIN PGP SIGNED MESSAGE-----\n\n\xfc', /signed or encrypted/],
    ['with a signed message in it', multipart('Content-Type: message/rfc822\n\nDKIM-Signature: x\n\n\xfc'), /signed/],
    ['with 8-bit octets in its header', 'Subject: \xfc\n\n\xfc', /header/],
    ["with 8-bit octets in a part's header", multipart('X: \xfc\n\nx'), /header/],
    ["with 8-bit octets in a part's header that does not end", multipart('X: \xfc'), /header/],
    ['with an 8-bit preamble', multipart('\nx').replace('--b', '\xfc\n--b'), /between/],
    ['with an 8-bit epilogue', `${multipart('\nx')}\xfc`, /between/],
    ['with 8-bit octets in base64', 'Content-Transfer-Encoding: base64\n\n\xfc', /encoding/],
    ['with two encodings', 'Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n\n\xfc', /ambiguous/],
    ['with a header line that is none', 'Subject: x\nwhat\n\n\xfc', /malformed/],
    ['whose multipart has no boundary', 'Content-Type: multipart/mixed\n\n\xfc', /boundary/],
    ['with one boundary inside itself', multipart('Content-Type: multipart/mixed; boundary=b\n\n\xfc'), /ambiguous/],
    ['with a line that only begins as a delimiter', multipart('\n\xfc\n--b2'), /ambiguous/],
    ['with a delimiter of a thousand spaces', multipart(`\n\xfc\n--b${' '.repeat(3000)}`), /ambiguous/],
    ['that goes on after its end', `${multipart('\nx')}--b\n\n\xfc`, /after its end/],
    ['of too many parts', multipart(`\n${'\n--b\n'.repeat(1001)}\n\xfc`), /too many/],
    ['nested too deeply', deep(51), /deeply/],
    ['with a header too large', `X: ${'x'.repeat(300_000)}\n\n\xfc`, /too large/],
  ] as const)
    test(`is not made of a message ${what}`, async () =>
      assert.match(await render(content, 5000), new RegExp(`^unmendable: .*${why.source}`)))

  test('is made of fifty messages in each other, and around a signed part that is 7-bit', async () => {
    assert.match(await render(deep(50)), /=FC\n$/)
    const signed = multipart('Content-Type: multipart/signed; boundary=s\n\n--s\n\nx \n--s--').replace('--b\n', '--b\n\n\xfc\n--b\n')
    assert.equal(await render(signed), signed.replace('--b\n\n\xfc', '--b\nContent-Transfer-Encoding: quoted-printable\n\n=FC'))
  })

  test('is refused to bare line ends, which an encoding would hide', async () => {
    for (const bare of ['\r', '\n', 'x\rx', 'x\n\r\nx', `${'x'.repeat(2000)}\n`])
      await assert.rejects(reencoded(inChunks(Buffer.from(`Subject: x\r\n\r\n\xfc${bare}`, 'latin1'), 3)), BareLineEnd)
  })

  test('is made without holding the message', async () => {
    const total = 8 * 1024 * 1024
    const chunk = Buffer.alloc(64 * 1024, 'gr\xfc\xdfe, \r\n', 'latin1').fill('\r\n', 64 * 1024 - 2)
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const held = () => {
      collect()
      return process.memoryUsage().arrayBuffers
    }
    const large = function* () {
      yield bytes('Content-Type: text/plain\n\n')
      for (let made = 0; made < total; made += chunk.length) yield Buffer.from(chunk)
    }
    const before = held()
    const mended = await reencoded(() => Readable.from(large()))
    assert.ok(mended.kind === 'mended' && mended.size > total)
    let most = 0
    let size = 0
    for await (const part of mended.open() as AsyncIterable<Buffer>) {
      size += part.length
      if (Math.floor(size / 1e6) > Math.floor((size - part.length) / 1e6)) most = Math.max(most, held() - before)
    }
    assert.equal(size, mended.size)
    assert.ok(most < total / 4, `${most} bytes were held`)
  })

  test('rejects with what the content says when it cannot be read', async () => {
    const open = () =>
      Readable.from(
        (function* () {
          yield Buffer.from('Subject: x\r\n')
          throw new Error('the payload was altered')
        })(),
      )
    await assert.rejects(reencoded(open), /altered/)
  })
})

/** Lines without their ends: any octets, with what makes trouble among them. */
const line = fc
  .oneof(
    fc.constantFrom('', '--', '-- ', '.', '=', '=3D ', ' \t', 'gr\xc3\xbc\xc3\x9fe', 'x'.repeat(76), 'From x', `${'x '.repeat(1500)}\xfc`),
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)), maxLength: 120 }),
  )
  .map((text) => text.replace(/[\r\n]/g, ''))
const body = fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\r\n'))
const folded = (text: string) => text.replace(/.{76}/g, '$&\r\n')
const base64 = (text: string) => folded(Buffer.from(text, 'latin1').toString('base64'))

type Tree =
  | { readonly kind: 'leaf'; readonly type: string | undefined; readonly encoding: string | undefined; readonly body: string }
  | { readonly kind: 'multipart'; readonly subtype: string; readonly parts: readonly Tree[] }
  | { readonly kind: 'message'; readonly inner: Tree }

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      kind: fc.constant('leaf' as const),
      type: fc.constantFrom(undefined, 'text/plain; charset=utf-8', 'text/html; charset=iso-8859-1', 'image/png', 'application/x; name=y'),
      encoding: fc.constantFrom(undefined, '7bit', '8bit', 'binary', 'base64'),
      body,
    }),
    fc.record({
      kind: fc.constant('multipart' as const),
      subtype: fc.constantFrom('mixed', 'alternative', 'related'),
      parts: fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('message' as const), inner: tie('tree') }),
  ),
}))

/** The entity as text, with a boundary that tells its place. */
function written(one: Tree, place: string): string {
  switch (one.kind) {
    case 'leaf': {
      const type = one.type === undefined ? '' : `Content-Type: ${one.type}\r\n`
      const encoding = one.encoding === undefined ? '' : `Content-Transfer-Encoding: ${one.encoding}\r\n`
      return `${type}${encoding}\r\n${one.encoding === 'base64' ? base64(one.body) : one.body}`
    }
    case 'multipart': {
      const parts = one.parts.map((part, i) => `--${place}\r\n${written(part, `${place.slice(0, -1)}${i}_`)}\r\n`)
      return `Content-Type: multipart/${one.subtype}; boundary="${place}"\r\n\r\npreamble\r\n${parts.join('')}--${place}--\r\nepilogue`
    }
    case 'message':
      return `Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n${written(one.inner, `${place}m_`)}`
  }
}

const messages = tree.map((one) => Buffer.from(`From: a@org.example\r\nMIME-Version: 1.0\r\n${written(one, 'bound_')}\r\n`, 'latin1'))

/** What a reader sees, messages in it read as well; line ends and their number at the end are postal-mime's own. */
async function seen(content: Buffer): Promise<unknown> {
  const mail = await PostalMime.parse(content, { forceRfc822Attachments: true, attachmentEncoding: 'arraybuffer' })
  const plain = (text: string) => text.replaceAll('\r\n', '\n').replace(/\n+$/, '')
  const attachments = mail.attachments.map(async ({ mimeType, filename, content: octets }) => {
    const inside = Buffer.from(octets as ArrayBuffer)
    return [mimeType, filename, mimeType === 'message/rfc822' ? await seen(inside) : plain(inside.toString('latin1'))]
  })
  return { subject: mail.subject, text: plain(mail.text ?? ''), html: plain(mail.html ?? ''), attachments: await Promise.all(attachments) }
}

describe('any 7-bit rendering', () => {
  test('reads as the original does, in 7 bits and lines of 998 octets, whatever the chunks', async () => {
    await fc.assert(
      fc.asyncProperty(messages, fc.integer({ min: 1, max: 300 }), async (content, size) => {
        const whole = await reencoded(inChunks(content, content.length))
        assert.ok(whole.kind === 'mended', whole.kind === 'unmendable' ? whole.why : '')
        const result = await bytesOf(whole.open())
        assert.equal(result.length, whole.size)
        assert.ok(result.every((octet) => octet < 0x80))
        assert.ok(
          result
            .toString('latin1')
            .split('\r\n')
            .every((one) => one.length <= 998),
        )
        assert.deepEqual(await seen(result), await seen(content))
        const pieces = await reencoded(inChunks(content, size))
        assert.ok(pieces.kind === 'mended' && pieces.size === whole.size)
        assert.deepEqual(await bytesOf(pieces.open()), result)
        const again = await reencoded(inChunks(result, size))
        assert.ok(again.kind === 'mended' && !again.changed)
      }),
      { numRuns: 200 },
    )
  })

  test('decodes to the very octets', () => {
    fc.assert(
      fc.property(body, fc.boolean(), (text, last) => {
        for (const encoding of ['quoted-printable', 'base64'] as const) {
          const encoder = encoderOf(encoding)
          const lines = text.split('\r\n').map((one, i) => encoder.push(i > 0, Buffer.from(one, 'latin1')))
          const coded = lines.join('') + encoder.end(last)
          assert.ok(coded.split('\r\n').every((one) => /^[\t\x20-\x7e]{0,76}$/.test(one) && !/[ \t]$/.test(one)))
          const decoded = encoding === 'base64' ? Buffer.from(coded, 'base64').toString('latin1') : unquoted(coded)
          assert.equal(decoded, encoding === 'quoted-printable' && last && !/(^|\r\n)$/.test(text) ? `${text}\r\n` : text)
        }
      }),
    )
  })

  const unquoted = (coded: string) =>
    coded.replaceAll('=\r\n', '').replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
})
