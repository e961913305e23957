/** Content on its way into DATA: dots doubled at line starts, CRLF line ends or nothing (RFC 5321 §4.5.2, §2.3.8). */
import { Transform } from 'node:stream'

/** A bare CR or LF was about to leave: what looks like one line here may be two there (SMTP smuggling). */
export class BareLineEnd extends Error {
  override readonly name = 'BareLineEnd'
}

const CR = 0x0d
const LF = 0x0a
const DOT = 0x2e

/** Doubles leading dots, passes everything else byte for byte, fails with BareLineEnd, and ends with CRLF if the content did not. No final dot. */
export function dotStuffing(): Transform {
  // The two octets before the next chunk: the content begins at the start of a line.
  let before = LF
  let beforeThat = CR
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (!lineEndsAreWhole(chunk, before)) return done(new BareLineEnd('the content has a bare CR or LF'))
      this.push(stuffed(chunk, before))
      beforeThat = chunk.length > 1 ? (chunk[chunk.length - 2] ?? 0) : before
      before = chunk[chunk.length - 1] ?? before
      done()
    },
    flush(done) {
      if (before === CR) return done(new BareLineEnd('the content has a bare CR at its end'))
      if (before !== LF || beforeThat !== CR) this.push('\r\n')
      done()
    },
  })
}

/** The chunk with every dot that begins a line doubled: one copy, however many dots a hostile message has. */
function stuffed(chunk: Buffer, before: number): Buffer {
  const dots = leadingDots(chunk, before)
  if (dots.length === 0) return chunk
  const out = Buffer.allocUnsafe(chunk.length + dots.length)
  let from = 0
  dots.forEach((at, i) => {
    chunk.copy(out, from + i, from, at)
    out[at + i] = DOT
    from = at
  })
  chunk.copy(out, from + dots.length, from)
  return out
}

function leadingDots(chunk: Buffer, before: number): number[] {
  const found: number[] = []
  for (let at = chunk.indexOf(DOT); at >= 0; at = chunk.indexOf(DOT, at + 1)) {
    if ((at === 0 ? before : chunk[at - 1]) === LF) found.push(at)
  }
  return found
}

/** Whether every CR is followed by LF and every LF preceded by CR; a CR at the end is judged with the next chunk. */
function lineEndsAreWhole(chunk: Buffer, before: number): boolean {
  if (chunk.length > 0 && before === CR && chunk[0] !== LF) return false
  for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
    if ((at === 0 ? before : chunk[at - 1]) !== CR) return false
  }
  for (let at = chunk.indexOf(CR); at >= 0 && at < chunk.length - 1; at = chunk.indexOf(CR, at + 1)) {
    if (chunk[at + 1] !== LF) return false
  }
  return true
}
