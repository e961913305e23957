/** Takes the dot-stuffing off a DATA stream and finds its one true end: a pure machine over bytes, the same work for every byte. */

/** What makes a whole message unacceptable. */
export type Fault = 'bare-cr' | 'bare-lf' | 'nul' | 'long-line'

export type Unstuffed = {
  /** The content so far without stuffing: at most one piece for a chunk, however many dots it held. */
  readonly clear: Buffer
  /** CRLF.CRLF has been seen; the machine is done. */
  readonly end: boolean
  /** What came after the end: the client's next commands. */
  readonly rest: Buffer
}

export type Unstuffer = {
  readonly feed: (chunk: Buffer) => Unstuffed
  /** The first fault seen, if any. After one the content is not to be used, but the end is still found as strictly. */
  readonly fault: () => Fault | undefined
  /** Whether any octet above 127 was seen. */
  readonly eightBit: () => boolean
}

const cr = 0x0d
const lf = 0x0a
const dot = 0x2e

/** Where the machine stands: a line's start, inside it, after its CR, after a first dot, after a first dot and CR. */
const start = 0
const inside = 1
const afterCr = 2
const afterDot = 3
const afterDotCr = 4

const nothing = Buffer.alloc(0)

/**
 * RFC 5321 §4.5.2, to the letter: only CRLF ends a line, only CRLF.CRLF (or .CRLF at the very start) ends the content, only a dot after
 * CRLF is stuffing. `lineLimit` in octets, line end included.
 */
export function createUnstuffer(lineLimit: number): Unstuffer {
  let state = start
  let length = 0
  let fault: Fault | undefined
  let eightBit = false
  const blame = (found: Fault) => {
    fault ??= found
  }

  /** Write `byte` to `out` at `to`, judged as content; returns the next place. */
  const put = (out: Buffer, to: number, byte: number): number => {
    if (byte === 0) blame('nul')
    else if (byte > 127) eightBit = true
    else if (byte === lf) blame('bare-lf')
    if (++length > lineLimit) blame('long-line')
    out[to] = byte
    return to + 1
  }

  /** Passes over what almost all mail is, whole lines without a dot in front; the machine then stands at the start of the line behind them. */
  const skipPlain = (chunk: Buffer): number => {
    if (state > inside || (state === start && chunk[0] === dot)) return 0
    let behind = 0
    let begun = -length
    let bits = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number
      bits |= byte
      if (byte > cr) continue
      if (byte === lf || byte === 0) break
      if (byte !== cr) continue
      if (chunk[at + 1] !== lf || at + 2 - begun > lineLimit) break
      behind = begun = ++at + 1
      if (chunk[behind] === dot) break
    }
    if (bits > 127) eightBit = true
    if (behind > 0) {
      state = start
      length = 0
    }
    return behind
  }

  const feed = (chunk: Buffer): Unstuffed => {
    const plain = skipPlain(chunk)
    if (plain === chunk.length) return { clear: chunk, end: false, rest: nothing }
    // A CR kept back from the chunk before may come out first.
    const out = Buffer.allocUnsafe(chunk.length + 1)
    let to = chunk.copy(out, 0, 0, plain)
    for (let at = plain; at < chunk.length; at++) {
      const byte = chunk[at] as number
      if (state === afterCr || state === afterDotCr) {
        if (byte === lf) {
          if (state === afterDotCr) return { clear: out.subarray(0, to), end: true, rest: chunk.subarray(at + 1) }
          out[to++] = cr
          out[to++] = lf
          if (length + 2 > lineLimit) blame('long-line')
          length = 0
          state = start
          continue
        }
        blame('bare-cr')
        to = put(out, to, cr)
        state = inside
      }
      if (byte === cr) {
        state = state === afterDot ? afterDotCr : afterCr
      } else if (byte === dot && state === start) {
        state = afterDot
      } else {
        to = put(out, to, byte)
        state = inside
      }
    }
    return { clear: out.subarray(0, to), end: false, rest: nothing }
  }
  return { feed, fault: () => fault, eightBit: () => eightBit }
}
