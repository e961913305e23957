/** PGP/MIME (RFC 3156) around a message whose header is protected too (RFC 9788): which field stands outside, which inside. */
import { randomBytes } from 'node:crypto'
import { type Field, formatField, type Header, named } from '../../mail/header.ts'

/** The bytes around the content: `before` + armored ciphertext + `after` is the message that goes out; `inner` + body is what gets encrypted. */
export type Layers = {
  readonly before: Buffer
  readonly after: Buffer
  /** Header block of the encrypted part with the empty line after it. */
  readonly inner: Buffer
  /** Nothing beyond ASCII outside: may go as 7-bit mail (RFC 6152). */
  readonly sevenBit: boolean
}

/** What stays readable outside: what carries, answers and lists a message. The rest is seen by the recipient alone. */
const outside =
  /^(?:from|sender|to|cc|date|message-id|in-reply-to|references|reply-to|auto-submitted|precedence|list-[a-z-]+|received|resent-(?:from|sender|to|cc|date|message-id)|autocrypt)$/i

/** Fields that end here: about the way so far, about a signature that no longer fits, or not for these eyes. */
const nowhere =
  /^(?:bcc|resent-bcc|return-path|received|dkim-signature|domainkey-signature|arc-[a-z-]+|authentication-results|mime-version|x-letterlock-.*|hp-outer|)$/i

/** The layers for a message with this header, or undefined when nobody could tell what its body is. */
export function layers(header: Header): Layers | undefined {
  if (named(header, 'Content-Type').length > 1 || named(header, 'Content-Transfer-Encoding').length > 1) return undefined
  const boundary = `letterlock-${randomBytes(18).toString('base64url')}`
  const shown = header.flatMap((field) =>
    /^subject$/i.test(field.name) ? [hiddenSubject] : outside.test(field.name) ? [whole(field)] : [],
  )
  const outer = Buffer.concat(shown)
  return {
    before: Buffer.concat([outer, Buffer.from(opening(boundary))]),
    after: Buffer.from(`\r\n--${boundary}--\r\n`),
    inner: Buffer.concat([...copies(header), ...record(header), ...description(header), Buffer.from('\r\n')]),
    sevenBit: outer.every((byte) => byte < 0x80),
  }
}

const hiddenSubject = Buffer.from('Subject: ...\r\n')

/** RFC 3156 §4: a part that says "Version: 1", then the armored message. */
const opening = (boundary: string) =>
  [
    'MIME-Version: 1.0',
    'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted";',
    ` boundary="${boundary}"`,
    '',
    'This is an OpenPGP encrypted message (RFC 3156).',
    '',
    `--${boundary}`,
    'Content-Type: application/pgp-encrypted',
    'Content-Description: PGP/MIME version identification',
    '',
    'Version: 1',
    '',
    `--${boundary}`,
    'Content-Type: application/octet-stream; name="encrypted.asc"',
    'Content-Description: OpenPGP encrypted message',
    'Content-Disposition: inline; filename="encrypted.asc"',
    '',
    '',
  ].join('\r\n')

/** RFC 9788 §2: the payload carries the fields as they were. */
const copies = (header: Header) => header.filter(({ name }) => !nowhere.test(name) && !structural(name)).map(whole)

/** RFC 9788 §2.2: and says how each of them looks outside, so that a reader sees which were hidden and which were changed on the way. */
const record = (header: Header) =>
  header
    .filter(({ name }) => !nowhere.test(name) && !structural(name))
    .flatMap((field) => {
      if (/^subject$/i.test(field.name)) return [Buffer.concat([Buffer.from('HP-Outer: '), hiddenSubject])]
      return outside.test(field.name) ? [Buffer.concat([Buffer.from('HP-Outer: '), whole(field)])] : []
    })

const structural = (name: string) => /^content-/i.test(name)

/** The Content-* fields of the message, last, so that they and the body stand together as they stood. */
function description(header: Header): Buffer[] {
  const own = header.filter(({ name }) => structural(name))
  const marked = own.map((field) => (/^content-type$/i.test(field.name) ? markProtected(field) : whole(field)))
  return own.some(({ name }) => /^content-type$/i.test(name))
    ? marked
    : [Buffer.from(formatField('Content-Type', `text/plain; charset=us-ascii; ${marks}`)), ...marked]
}

/** RFC 9788 §2.1; and the mark of its forerunner, which the mail programs of today look for. */
const marks = 'hp="cipher"; protected-headers="v1"'

function markProtected(field: Field): Buffer {
  const raw = whole(field)
  if (/;\s*hp\s*=/i.test(field.value) || !/^[^\s/;]+\/[^\s/;]+/.test(field.value)) return raw
  const end = raw.subarray(0, -2)
  return Buffer.concat([end, Buffer.from(`${field.value.endsWith(';') ? '' : ';'}\r\n ${marks}\r\n`)])
}

/** The field's bytes with a CRLF at their end. */
function whole({ raw }: Field): Buffer {
  if (raw.at(-1) !== 0x0a) return Buffer.concat([raw, Buffer.from('\r\n')])
  return raw.at(-2) === 0x0d ? raw : Buffer.concat([raw.subarray(0, -1), Buffer.from('\r\n')])
}
