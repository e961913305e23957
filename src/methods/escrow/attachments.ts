/** Lists the attachments of a message as it streams by: names and sizes, within limits, without keeping the content. */
import type { Readable } from 'node:stream'
import { createBoundaries } from '../../mail/boundaries.ts'
import { contentType, parseContentType, transferEncoding } from '../../mail/content-type.ts'
import { decodeWords, field, type Header, parseHeader } from '../../mail/header.ts'

/** `size` is in bytes once decoded. */
export type Attachment = { readonly name: string; readonly size: number }

/** Nested multiparts, parts in all, bytes of one part's header, and of all of them. Beyond them the list is unknown (spec/reliability.md, "MIME bombs"). */
const limits = { depth: 32, parts: 1000, header: 256 * 1024, headers: 1024 * 1024, line: 64 * 1024 }
const lf = 0x0a

/** Read the message to its end. Undefined when it is beyond the limits: it can still be delivered, only the list is not known. */
export async function listAttachments(content: Readable): Promise<Attachment[] | undefined> {
  const scan = scanner()
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of content as AsyncIterable<Buffer>) {
    if (scan.beyond()) continue // only to its end is it known to be whole
    const block = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let from = 0
    for (let end = block.indexOf(lf); end !== -1; end = block.indexOf(lf, from)) {
      scan.line(block, from, end + 1)
      from = end + 1
    }
    if (block.length - from > limits.line) {
      scan.line(block, from, block.length)
      from = block.length
    }
    rest = block.subarray(from)
  }
  scan.line(rest, 0, rest.length)
  return scan.end()
}

type Part = { readonly header: Header; readonly encoding: string; octets: number; last: number }

function scanner() {
  const boundaries = createBoundaries()
  const found: Attachment[] = []
  let header: Buffer[] | undefined = [] // undefined: in a body
  let headerSize = 0
  let headers = 0
  let part: Part | undefined
  let parts = 1
  let beyond = false

  const finishPart = () => {
    if (part !== undefined) {
      const name = attachmentName(part.header)
      if (name !== undefined) found.push({ name, size: decodedSize(part) })
    }
    part = undefined
    header = undefined
  }

  const startBody = () => {
    const fields = parseHeader(Buffer.concat(header ?? []))
    header = undefined
    const { type, parameters } = contentType(fields)
    if (!type.startsWith('multipart/') || !parameters.boundary) {
      part = { header: fields, encoding: transferEncoding(fields), octets: 0, last: 0 }
      return
    }
    if (boundaries.enter(parameters.boundary) > limits.depth) beyond = true
  }

  const boundary = (line: Buffer): boolean => {
    const ended = boundaries.find(line)
    if (ended === 'none') return false
    finishPart()
    boundaries.leave(ended)
    if (ended.closing) return true
    header = []
    headerSize = 0
    parts += 1
    if (parts > limits.parts) beyond = true
    return true
  }

  return {
    beyond: () => beyond,
    line: (block: Buffer, from: number, to: number) => {
      if (beyond || from === to) return
      if (block[from] === 0x2d && boundary(block.subarray(from, to))) return
      if (header === undefined) {
        if (part !== undefined) count(part, block, from, to)
        return
      }
      headerSize += to - from
      headers += to - from
      if (headerSize > limits.header || headers > limits.headers) {
        beyond = true
        return
      }
      if (block[from] === lf || (block[from] === 0x0d && block[from + 1] === lf)) startBody()
      else header.push(Buffer.from(block.subarray(from, to)))
    },
    end: () => {
      finishPart()
      return beyond ? undefined : found
    },
  }
}

/** Add a line to a part's size; `last` remembers its line end, which belongs to a boundary that follows (RFC 2046 §5.1.1). */
function count(part: Part, block: Buffer, from: number, to: number): void {
  let end = to
  while (end > from && (block[end - 1] === lf || block[end - 1] === 0x0d)) end -= 1
  const lineEnd = to - end
  if (part.encoding === 'base64') {
    while (end > from && (block[end - 1] === 0x20 || block[end - 1] === 0x3d)) end -= 1
    part.octets += end - from
    return
  }
  part.octets += end - from + lineEnd
  part.last = lineEnd
  if (part.encoding !== 'quoted-printable') return
  for (let at = block.indexOf(0x3d, from); at !== -1 && at < end; at = block.indexOf(0x3d, at + 1)) {
    // A soft line break is not there at all; =XX is one octet.
    part.octets -= at === end - 1 ? 1 + lineEnd : 2
    if (at === end - 1) part.last = 0
  }
}

const decodedSize = ({ encoding, octets, last }: Part) =>
  encoding === 'base64' ? Math.floor((octets * 3) / 4) : Math.max(0, octets - last)

/** The file name to show, or undefined when the part is text to be read and no attachment. */
function attachmentName(header: Header): string | undefined {
  const { type, parameters } = contentType(header)
  const disposition = parseContentType(`x/${(field(header, 'Content-Disposition') ?? 'inline').trim()}`)
  const name = cleanName(parameterText(disposition.parameters, 'filename') || parameterText(parameters, 'name'))
  if (name !== '') return name
  if (type === 'message/rfc822') return 'message.eml'
  if (disposition.type === 'x/attachment' || !/^(?:text|multipart)\//.test(type)) return 'attachment'
  return undefined
}

/** A parameter that may be encoded and cut in pieces (RFC 2231 §3, §4), or hold encoded words as many programs write. */
function parameterText(parameters: { readonly [name: string]: string }, name: string): string {
  const whole = parameters[`${name}*`]
  if (whole !== undefined) return extended(whole)
  const pieces: string[] = []
  for (let index = 0; index < 100; index++) {
    const piece = parameters[`${name}*${index}*`] ?? parameters[`${name}*${index}`]
    if (piece === undefined) break
    pieces.push(piece)
  }
  if (pieces.length > 0) return `${name}*0*` in parameters ? extended(pieces.join('')) : pieces.join('')
  return decodeWords(parameters[name] ?? '')
}

function extended(text: string): string {
  const [, charset = 'utf-8', encoded = text] = /^([^']*)'[^']*'(.*)$/s.exec(text) ?? []
  const bytes = Buffer.from(
    encoded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  try {
    return new TextDecoder(charset || 'utf-8').decode(bytes)
  } catch {
    return bytes.toString('latin1')
  }
}

/** Without control and bidi characters or folders, composed, at most 200 characters (spec/portal.md, "Content shown safely"). */
const cleanName = (name: string): string =>
  name
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '')
    .replace(/^.*[/\\]/s, '')
    .trim()
    .slice(0, 200)
