/** Makes an 8-bit message fit for a server without 8BITMIME (RFC 6152 §3): its leaves are encoded, all else stays byte for byte. */
import { Readable } from 'node:stream'
import { relabelled } from './reencode-entity.ts'
import { type Encoder, encoderOf } from './reencode-octets.ts'
import { type Entity, type Event, isSevenBit, structureReader, Unmendable } from './reencode-structure.ts'

/** `unmendable`: `why` ends the sentence "it cannot be re-encoded: …". `size` is what `open` gives, in octets. */
export type Mended =
  | { readonly kind: 'mended'; readonly changed: boolean; readonly size: number; readonly open: () => Readable }
  | { readonly kind: 'unmendable'; readonly why: string }

/**
 * A 7-bit rendering of the content. Reads it once to its end, to know which leaves need it and what size comes of it, and again whenever
 * the result is opened; holds a header and a line of it. Signed and encrypted mail is never touched. Rejects when the content cannot be read.
 */
export async function reencoded(open: () => Readable): Promise<Mended> {
  try {
    const survey = surveyor()
    const reader = structureReader()
    for await (const chunk of open() as AsyncIterable<Buffer>) reader.push(chunk).forEach(survey.see)
    reader.end().forEach(survey.see)
    const { size, changed, encode } = survey.result()
    return { kind: 'mended', changed, size, open: () => Readable.from(rewritten(open, encode), { objectMode: false }) }
  } catch (error) {
    if (error instanceof Unmendable) return { kind: 'unmendable', why: error.message }
    throw error
  }
}

/** The numbers of the leaves to encode. */
type Choice = ReadonlySet<number>

async function* rewritten(open: () => Readable, encode: Choice): AsyncGenerator<Buffer> {
  const reader = structureReader()
  const write = writer(encode)
  for await (const chunk of open() as AsyncIterable<Buffer>) yield* some(reader.push(chunk).map(write))
  yield* some(reader.end().map(write))
}

/** One buffer of several, none of nothing. */
const some = (buffers: readonly Buffer[]): Buffer[] => (buffers.some(({ length }) => length > 0) ? [Buffer.concat(buffers)] : [])

const nothing = Buffer.alloc(0)
const crlf = Buffer.from('\r\n')

/** What leaves for each event. */
function writer(encode: Choice): (event: Event) => Buffer {
  let encoder: Encoder | undefined
  return (event) => {
    switch (event.kind) {
      case 'kept':
        return event.octets
      case 'header': {
        const { entity, block } = event
        const chosen = entity.nature.kind === 'leaf' && encode.has(entity.number)
        encoder = chosen ? encoderOf(entity.nature.encoding) : undefined
        return headerFor(entity, block, chosen)
      }
      case 'body':
        if (encoder) return Buffer.from(encoder.push(event.lineEnd, event.octets), 'latin1')
        return event.lineEnd ? Buffer.concat([crlf, event.octets]) : event.octets
      case 'end':
        return encoder ? Buffer.from(encoder.end(event.last), 'latin1') : nothing
    }
  }
}

/** A container that calls itself 8-bit is 7-bit when its leaves are (RFC 2045 §6.4). */
function headerFor({ header, place, nature }: Entity, block: Buffer, chosen: boolean): Buffer {
  switch (nature.kind) {
    case 'leaf':
      return chosen ? relabelled(header, nature.encoding, place) : block
    case 'multipart':
    case 'message':
      return nature.declared ? relabelled(header, '7bit', place) : block
    case 'fixed':
      return block
  }
}

/** RFC 5321 §4.5.3.1.6: octets of a line without its CRLF. */
const longestLine = 998

/** A leaf under survey: how large it is as it is and encoded, whether it can stay, and whether inline PGP is in it. */
type Leaf = {
  readonly entity: Entity
  readonly encoder: Encoder
  raw: number
  coded: number
  line: number
  fits: boolean
  armoured: boolean
}

function surveyor() {
  const encode = new Set<number>()
  let size = 0
  let changed = false
  let leaf: Leaf | undefined
  const see = (event: Event): void => {
    switch (event.kind) {
      case 'kept':
        size += event.octets.length
        return
      case 'header':
        leaf = leafOf(event.entity, event.block)
        if (leaf) return
        size += headerFor(event.entity, event.block, false).length
        changed ||= 'declared' in event.entity.nature && event.entity.nature.declared
        return
      case 'body':
        if (leaf) measure(leaf, event)
        return
      case 'end':
        if (!leaf) return
        if (leaf.armoured && !leaf.fits) throw new Unmendable('it is signed or encrypted')
        size += leaf.fits ? leaf.raw : leaf.coded + leaf.encoder.end(event.last).length
        if (leaf.fits) return
        encode.add(leaf.entity.number)
        changed = true
    }
  }
  return { see, result: () => ({ size, changed, encode }) }
}

function leafOf(entity: Entity, block: Buffer): Leaf | undefined {
  const { nature } = entity
  if (nature.kind !== 'leaf') return undefined
  const encoder = encoderOf(nature.encoding)
  const sizes = { raw: block.length, coded: headerFor(entity, block, true).length }
  return { entity, encoder, ...sizes, line: 0, fits: !nature.declared, armoured: false }
}

function measure(leaf: Leaf, { lineEnd, octets }: Event & { readonly kind: 'body' }): void {
  leaf.line = (lineEnd ? 0 : leaf.line) + octets.length
  leaf.raw += octets.length + (lineEnd ? 2 : 0)
  leaf.coded += leaf.encoder.push(lineEnd, octets).length
  leaf.armoured ||= octets.length < 40 && /^-----BEGIN PGP (?:SIGNED )?MESSAGE-----/.test(octets.toString('latin1'))
  leaf.fits &&= leaf.line <= longestLine && isSevenBit(octets)
}
