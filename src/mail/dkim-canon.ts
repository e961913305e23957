/** The relaxed form in which DKIM hashes a message (RFC 6376 §3.4): what mail servers do to white space on the way changes nothing in it. */
import { createHash } from 'node:crypto'

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09

/** Takes a body in chunks of any size; holds no more than one of them. */
export type BodyHash = {
  readonly update: (chunk: Buffer) => void
  /** SHA-256 of all of it, 32 bytes; may be asked once. */
  readonly digest: () => Buffer
}

/**
 * The hash over a body in relaxed form (RFC 6376 §3.4.4): white space at line ends gone, elsewhere one space; empty lines at the end gone;
 * CRLF at the end unless nothing is left. A CR or LF alone is text like any other.
 */
export function relaxedBodyHash(): BodyHash {
  const hash = createHash('sha256')
  const out = Buffer.allocUnsafe(64 * 1024)
  let filled = 0
  let some = false
  // What was seen and counts only if text follows: line ends, white space, a CR that may begin a line end.
  let lineEnds = 0
  let space = false
  let cr = false

  const put = (byte: number) => {
    if (filled === out.length) flush()
    out[filled++] = byte
  }
  const flush = () => {
    some ||= filled > 0
    hash.update(out.subarray(0, filled))
    filled = 0
  }
  const text = (byte: number) => {
    for (; lineEnds > 0; lineEnds--) {
      put(CR)
      put(LF)
    }
    if (space) put(SP)
    space = false
    put(byte)
  }
  const read = (byte: number) => {
    if (cr) {
      cr = false
      if (byte === LF) {
        space = false
        lineEnds++
        return
      }
      text(CR)
    }
    if (byte === CR) cr = true
    else if (byte === SP || byte === TAB) space = true
    else text(byte)
  }
  return {
    update: (chunk) => {
      for (let at = 0; at < chunk.length; at++) read(chunk[at] ?? 0)
    },
    digest: () => {
      if (cr) text(CR)
      flush()
      return hash.update(some ? '\r\n' : '').digest()
    },
  }
}

/**
 * A field in relaxed form (RFC 6376 §3.4.2), one character per byte (latin1), without its line end: name in lower case, unfolded, runs of
 * white space one space, none around the colon and at the end.
 */
export function relaxedField(raw: Buffer): string {
  const line = raw.toString('latin1')
  const colon = line.indexOf(':')
  const name = line.slice(0, colon).replace(/[ \t]+$/, '')
  const value = line.slice(colon + 1).replace(/\r\n(?=[ \t]|$)/g, '')
  return `${name.toLowerCase()}:${value.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')}`
}
