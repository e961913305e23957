/** Walks through a mail's MIME parts (RFC 2046) as it streams by, keeping nothing but the header it is in. */

import { createBoundaries, longestBoundaryLine } from './boundaries.ts'
import { contentType } from './content-type.ts'
import { type Header, parseHeader } from './header.ts'

export type Steps = {
  readonly boundary?: (line: Buffer) => void
  /** Text before the first and after the last part of a multipart, which few programs show. */
  readonly beside?: (bytes: Buffer) => void
  /** The header of a multipart; like that of a leaf as it stands, with its empty line when it has one. */
  readonly multipart?: (header: Buffer, fields: Header) => void
  /** The header of a part that has no parts of its own; numbered from 0 in the order of the mail. */
  readonly leaf: (number: number, fields: Header, header: Buffer) => void
  /** Pieces of the body of the last leaf, as they come; the line end before a boundary is not among them. */
  readonly body: (bytes: Buffer) => void
}

export type Walk = {
  /** False once the mail is beyond the limits: then stop. */
  readonly write: (chunk: Buffer) => boolean
  readonly end: () => boolean
}

// Nested multiparts, leaves, bytes of all headers together.
const limits = { depth: 50, leaves: 1000, headers: 1024 * 1024 }
const lf = 0x0a
const none = Buffer.alloc(0)

type Place = 'header' | 'body' | 'between'

export function createWalk(steps: Steps): Walk {
  const boundaries = createBoundaries()
  let place: Place = 'header'
  let header: Buffer[] = []
  let headers = 0
  let leaves = 0
  let beyond = false
  let rest: Buffer = none
  let startOfLine = true
  let lineEnd: Buffer = none

  const finishHeader = () => {
    const block = Buffer.concat(header)
    header = []
    const fields = parseHeader(block)
    const { type, parameters } = contentType(fields)
    if (type.startsWith('multipart/') && parameters.boundary) {
      beyond ||= boundaries.enter(parameters.boundary) > limits.depth
      place = 'between'
      return steps.multipart?.(block, fields)
    }
    place = 'body'
    lineEnd = none
    beyond ||= leaves >= limits.leaves
    if (!beyond) steps.leaf(leaves++, fields, block)
  }

  /** True when the line is a boundary, of this part or of one around it, which ends what is inside (RFC 2046 §5.1.2). */
  const boundary = (line: Buffer): boolean => {
    const found = boundaries.find(line)
    if (found === 'none') return false
    if (place === 'header') finishHeader()
    boundaries.leave(found)
    place = found.closing ? 'between' : 'header'
    steps.boundary?.(line)
    return true
  }

  /** One line with its end, or a piece of a long one. */
  const line = (bytes: Buffer, fresh: boolean) => {
    if (fresh && boundary(bytes)) return
    if (place === 'body') return body(bytes)
    if (place === 'between') return steps.beside?.(bytes)
    header.push(Buffer.from(bytes))
    headers += bytes.length
    beyond ||= headers > limits.headers
    if (fresh && /^\r?\n$/.test(bytes.toString('latin1', 0, 3))) finishHeader()
  }

  /** The last line end waits: it may belong to a boundary (RFC 2046 §5.1.1). */
  const body = (bytes: Buffer) => {
    if (lineEnd.length > 0) steps.body(lineEnd)
    const length = bytes.at(-1) !== lf ? 0 : bytes.at(-2) === 0x0d ? 2 : 1
    lineEnd = Buffer.from(bytes.subarray(bytes.length - length))
    if (bytes.length > length) steps.body(bytes.subarray(0, bytes.length - length))
  }

  /** Up to where whole lines can be given in one piece: in a body, to the next line that could be a boundary. */
  const span = (block: Buffer, from: number): number => {
    if (place === 'header' || (startOfLine && block[from] === 0x2d)) return block.indexOf(lf, from) + 1
    const candidate = block.indexOf('\n--', from)
    return candidate === -1 ? block.lastIndexOf(lf) + 1 : candidate + 1
  }

  const write = (chunk: Buffer): boolean => {
    const block = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let from = 0
    for (let to = span(block, from); to > from && !beyond; to = span(block, from)) {
      line(block.subarray(from, to), startOfLine)
      startOfLine = true
      from = to
    }
    // A line longer than any boundary is given in pieces; the rest of it is not the start of a line.
    if (block.length - from > 2 * longestBoundaryLine && !beyond) {
      line(block.subarray(from), startOfLine)
      startOfLine = false
      from = block.length
    }
    rest = Buffer.from(block.subarray(from))
    return !beyond
  }

  const end = (): boolean => {
    if (rest.length > 0 && !beyond) line(rest, startOfLine)
    if (place === 'header' && !beyond) finishHeader()
    else if (place === 'body' && lineEnd.length > 0 && boundaries.depth() === 0) steps.body(lineEnd)
    return !beyond
  }

  return { write, end }
}
