/** Walks through the MIME structure of a message (RFC 2046 §5.1) line by line, holding a header at most. */
import { type Header, parseHeader } from '../mail/header.ts'
import { type Nature, natureOf, type Place } from './reencode-entity.ts'
import { lineReader, longestPiece, type Piece } from './reencode-lines.ts'

/** The message cannot be made 7-bit; the text ends the sentence "it cannot be re-encoded: ". */
export class Unmendable extends Error {
  override readonly name = 'Unmendable'
}

/** An entity whose header has ended; numbers count from 0 in order. */
export type Entity = { readonly number: number; readonly header: Header; readonly place: Place; readonly nature: Nature }

/**
 * - header: an entity begins; `block` is its header with its empty line.
 * - body: octets of a leaf; `lineEnd`: a CRLF of the body stands before them.
 * - end: the leaf has ended, with `last` the message too.
 * - kept: what must leave as it is: delimiters, preambles, bodies that are not looked into. It is 7-bit.
 */
export type Event =
  | { readonly kind: 'header'; readonly entity: Entity; readonly block: Buffer }
  | { readonly kind: 'body'; readonly lineEnd: boolean; readonly octets: Buffer }
  | { readonly kind: 'end'; readonly last: boolean }
  | { readonly kind: 'kept'; readonly octets: Buffer }

const deepest = 50
const mostEntities = 1000
const largestHeader = 256 * 1024
const crlf = Buffer.from('\r\n')

/** A multipart that has begun; `over` after its close delimiter. */
type Frame = { readonly boundary: string; readonly depth: number; readonly digest: boolean; over: boolean }

export const isSevenBit = (octets: Buffer): boolean => {
  for (const octet of octets) if (octet > 0x7f) return false
  return true
}

/** Push chunks of a message, get what it is made of; throws Unmendable, and BareLineEnd (dot-stuffing.ts). The events depend on the content alone. */
export function structureReader(): { readonly push: (chunk: Buffer) => Event[]; readonly end: () => Event[] } {
  const lines = lineReader()
  const frames: Frame[] = []
  let found: Event[] = []
  let entities = 0
  let depth = 0
  let place: Place = { message: true, digest: false }
  let block: Buffer[] = []
  let blockSize = 0
  // Where the next line belongs; `fixed` with why it may not be 8-bit.
  let within: 'header' | 'leaf' | { readonly fixed: string } = 'header'
  // The CRLF before a delimiter is part of the delimiter (RFC 2046 §5.1.1): each waits for the line after it.
  let lineEnd = false

  const keep = (octets: Buffer, why: string) => {
    if (!isSevenBit(octets)) throw new Unmendable(why)
    if (octets.length > 0) found.push({ kind: 'kept', octets })
  }
  const settleLineEnd = () => {
    if (lineEnd) found.push({ kind: 'kept', octets: crlf })
    lineEnd = false
  }
  const leave = (last: boolean) => {
    if (within === 'header') keep(Buffer.concat(block), inHeader)
    if (within === 'leaf' && last && lineEnd) found.push({ kind: 'body', lineEnd, octets: Buffer.alloc(0) })
    if (within === 'leaf') found.push({ kind: 'end', last })
    if (!(within === 'leaf' && last)) settleLineEnd()
    block = []
    blockSize = 0
  }
  const enter = (at: number, next: Place) => {
    if (at > deepest) throw new Unmendable('its parts are nested too deeply')
    depth = at
    place = next
    within = 'header'
  }

  function delimiter({ delimits, closes }: Delimiter): void {
    leave(false)
    frames.length = frames.indexOf(delimits) + 1
    if (delimits.over) throw new Unmendable('a multipart goes on after its end')
    if (closes) {
      delimits.over = true
      within = { fixed: 'it has 8-bit octets between its parts' }
    } else enter(delimits.depth + 1, { message: false, digest: delimits.digest })
  }

  function headerEnds(): void {
    const whole = Buffer.concat(block)
    if (!isSevenBit(whole)) throw new Unmendable(inHeader)
    if (entities >= mostEntities) throw new Unmendable('it has too many parts')
    const header = parseHeader(whole.subarray(0, whole.length - 2))
    const entity: Entity = { number: entities++, header, place, nature: natureOf(header, place) }
    found.push({ kind: 'header', entity, block: whole })
    block = []
    blockSize = 0
    const { nature } = entity
    switch (nature.kind) {
      case 'leaf':
        within = 'leaf'
        break
      case 'fixed':
        within = { fixed: nature.why }
        break
      case 'message':
        enter(depth + 1, { message: true, digest: false })
        break
      case 'multipart':
        if (frames.some(({ boundary }) => areAlike(boundary, nature.boundary))) throw new Unmendable('its boundaries are ambiguous')
        frames.push({ boundary: nature.boundary, depth, digest: nature.digest, over: false })
        within = { fixed: 'it has 8-bit octets between its parts' }
    }
  }

  function headerLine({ text, first, ended }: Piece): void {
    block.push(text)
    if (ended) block.push(crlf)
    blockSize += text.length + 2
    if (blockSize > largestHeader) throw new Unmendable('its header is too large')
    if (first && ended && text.length === 0) headerEnds()
  }

  function take(piece: Piece): void {
    const delimits = delimiterIn(piece, frames)
    if (delimits) {
      delimiter(delimits)
      keep(piece.text, '')
      if (!piece.ended) return
      found.push({ kind: 'kept', octets: crlf })
      return
    }
    if (within === 'header') return headerLine(piece)
    if (within === 'leaf') {
      found.push({ kind: 'body', lineEnd, octets: piece.text })
      lineEnd = piece.ended
      return
    }
    settleLineEnd()
    keep(piece.text, within.fixed)
    lineEnd = piece.ended
  }

  const events = (pieces: readonly Piece[], last: boolean): Event[] => {
    found = []
    for (const piece of pieces) take(piece)
    if (last) leave(true)
    return found
  }
  return { push: (chunk) => events(lines.push(chunk), false), end: () => events(lines.end(), true) }
}

const inHeader = 'its header has 8-bit octets'

/** One could be taken for the other, or for its end. */
const areAlike = (one: string, other: string): boolean => one === other || one === `${other}--` || other === `${one}--`

type Delimiter = { readonly delimits: Frame; readonly closes: boolean }

/** The delimiter that a line is. RFC 2046 §5.1.1 lets readers look at its beginning only: a line that is one to them and not to us is no message for us. */
function delimiterIn({ text, first, ended }: Piece, frames: readonly Frame[]): Delimiter | undefined {
  if (!first || frames.length === 0 || text[0] !== 0x2d || text[1] !== 0x2d) return undefined
  const line = text.toString('latin1').slice(2)
  const alike = frames.filter(({ boundary }) => line.startsWith(boundary))
  if (alike.length === 0) return undefined
  const bare = line.replace(/[ \t]+$/, '')
  const whole = ended || text.length < longestPiece
  const delimits = whole ? alike.findLast(({ boundary }) => bare === boundary || bare === `${boundary}--`) : undefined
  if (!delimits) throw new Unmendable('its boundaries are ambiguous')
  return { delimits, closes: bare !== delimits.boundary }
}
