/** Takes the dot-stuffing off a DATA stream and finds its one true end: a pure machine over bytes, the same whatever pieces they come in. */
import { isAscii } from 'node:buffer'
import { controlFinder, copyRun, plainLineSkipper } from '../mail/controls.ts'

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
  /** Whether any dot was taken off: then there are lines that begin with one. */
  readonly stuffed: () => boolean
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
 * CRLF is stuffing. `lineLimit` in octets, line end included. The content shares its memory with the chunk where nothing was taken out.
 */
export function createUnstuffer(lineLimit: number): Unstuffer {
  let state = start
  let length = 0
  let fault: Fault | undefined
  let stuffed = false
  let eightBit = false
  const blame = (found: Fault) => {
    fault ??= found
  }

  /** A CR was followed by `byte`: true when that is the line's end. Where it is none, what becomes of the CR does not matter any more. */
  const endsLine = (byte: number): boolean => {
    if (byte === lf) return true
    blame('bare-cr')
    length += 1
    state = inside
    return false
  }

  const feed = (chunk: Buffer): Unstuffed => {
    const nextControl = controlFinder(chunk)
    const skipPlainLines = plainLineSkipper(chunk, lineLimit)
    const content = createKeeper(chunk)
    const clear = (end: number) => {
      const kept = content.upTo(end)
      if (!isAscii(kept)) eightBit = true
      return kept
    }
    for (let at = 0; at < chunk.length; ) {
      // Nothing happens in them.
      if (state === start) at = skipPlainLines(at)
      if (at === chunk.length) break
      const byte = chunk[at] as number
      if ((state === afterCr || state === afterDotCr) && endsLine(byte)) {
        if (state === afterDotCr) {
          content.drop(at)
          return { clear: clear(at), end: true, rest: chunk.subarray(at + 1) }
        }
        if (length + 2 > lineLimit) blame('long-line')
        length = 0
        state = start
        at += 1
      } else if (byte === cr) {
        // The end's own CR is no content.
        if (state === afterDot) content.drop(at)
        state = state === afterDot ? afterDotCr : afterCr
        at += 1
      } else if (byte === dot && state === start) {
        content.drop(at)
        state = afterDot
        at += 1
      } else {
        const next = byte <= cr ? at + 1 : nextControl(at + 1)
        if (byte === 0) blame('nul')
        else if (byte === lf) blame('bare-lf')
        if (state === afterDot) stuffed = true
        length += next - at
        if (length > lineLimit) blame('long-line')
        state = inside
        at = next
      }
    }
    return { clear: clear(chunk.length), end: false, rest: nothing }
  }
  return { feed, fault: () => fault, stuffed: () => stuffed, eightBit: () => eightBit }
}

/** What stays of a chunk when single octets are dropped from it, from the left to the right: itself, as long as that is possible. */
function createKeeper(chunk: Buffer) {
  let out: Buffer | undefined
  let kept = 0
  let from = 0
  const keep = (end: number) => {
    if (end === from) return
    if (from > 0 && out === undefined) {
      out = Buffer.allocUnsafe(chunk.length)
      chunk.copy(out, 0, 0, kept)
    }
    if (out !== undefined) copyRun(chunk, from, end, out, kept)
    kept += end - from
  }
  return {
    drop: (at: number) => {
      keep(at)
      from = at + 1
    },
    upTo: (end: number) => {
      if (end > from) keep(end)
      return (out ?? chunk).subarray(0, kept)
    },
  }
}
