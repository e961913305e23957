/** A mail without its files: what the page needs, small enough for memory, whatever the mail weighs. */
import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { contentType, parseContentType, transferEncoding } from '../../../mail/content-type.ts'
import { field, type Header } from '../../../mail/header.ts'
import { createWalk } from '../../../mail/mime-walk.ts'
import { createDecoder } from '../../../mail/transfer-decoder.ts'

export type Skeleton = {
  /** The mail with every file's body left out, in memory of its own that can be handed to a worker. */
  readonly bytes: ArrayBuffer
  /** Each part's Content-Description is now `mark.number`; `sizes[number]` is its size in bytes once decoded. */
  readonly mark: string
  readonly sizes: readonly number[]
  /** A text was longer than is ever shown. */
  readonly cut: boolean
}

// Bytes as transferred: one text, one picture, everything.
const limits = { text: 4 * 1024 * 1024, picture: 4.5 * 1024 * 1024, all: 16 * 1024 * 1024 }

/** Reads the mail to its end. Undefined when its structure is beyond the limits; rejects when the stream breaks. */
export async function skeletonOf(content: Readable): Promise<Skeleton | undefined> {
  const mark = randomBytes(12).toString('hex')
  const kept: Buffer[] = []
  const sizes: number[] = []
  let all = 0
  let room = 0
  let cut = false
  let text = false
  let measure = createDecoder('7bit')
  const keep = (bytes: Buffer) => {
    kept.push(Buffer.from(bytes))
    all += bytes.length
  }
  const grow = (by: number) => {
    if (sizes.length > 0) sizes[sizes.length - 1] = (sizes.at(-1) ?? 0) + by
  }
  const finishPart = () => grow(measure.rest())
  const walk = createWalk({
    boundary: (line) => keep(Buffer.concat([crlf, line])),
    multipart: (header) => keep(closed(header)),
    leaf: (number, fields, header) => {
      finishPart()
      measure = createDecoder(transferEncoding(fields))
      sizes[number] = 0
      text = isText(fields)
      room = Math.min(limits.all - all, text ? limits.text : isPicture(fields) ? limits.picture : 0)
      // Of a field given twice the first counts.
      keep(Buffer.from(`Content-Description: ${mark}.${number}\r\n${room > 0 ? '' : 'Content-Transfer-Encoding: 7bit\r\n'}`))
      keep(closed(header))
      if (room === 0) keep(crlf)
    },
    body: (bytes) => {
      grow(measure.size(bytes))
      if (bytes.length <= room) keep(bytes)
      else cut ||= text
      room = bytes.length <= room ? room - bytes.length : 0
    },
  })
  for await (const chunk of content as AsyncIterable<Buffer>) if (!walk.write(chunk)) return undefined
  if (!walk.end()) return undefined
  finishPart()
  return { bytes: joined(kept, all), mark, sizes, cut }
}

/** What postal-mime takes into the body (everything else is a file). */
function isText(fields: Header): boolean {
  return /^text\/(?:plain|html)$/.test(contentType(fields).type) && dispositionOf(fields) !== 'attachment'
}

/** A picture that the HTML may show (RFC 2392). */
const isPicture = (fields: Header) => contentType(fields).type.startsWith('image/') && field(fields, 'Content-ID') !== undefined

const dispositionOf = (fields: Header) => parseContentType(`x/${(field(fields, 'Content-Disposition') ?? 'inline').trim()}`).type.slice(2)

const crlf = Buffer.from('\r\n')

/** A header that the end of the mail or a boundary cut short gets its empty line. */
const closed = (header: Buffer) =>
  /(?:^|\n)\r?\n$/.test(header.toString('latin1', Math.max(0, header.length - 4))) ? header : Buffer.concat([header, crlf, crlf])

function joined(pieces: readonly Buffer[], size: number): ArrayBuffer {
  const memory = new ArrayBuffer(size)
  const bytes = new Uint8Array(memory)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return memory
}
