/** Content on its way into DATA: dots doubled at line starts, CRLF line ends or nothing (RFC 5321 §4.5.2, §2.3.8). */
import { Transform } from 'node:stream'

/** A bare CR or LF was about to leave: what looks like one line here may be two there (SMTP smuggling). */
export class BareLineEnd extends Error {
  override readonly name = 'BareLineEnd'
}

export const bareLineEnd = 'the content has a bare CR or LF'

const CR = 0x0d
const LF = 0x0a
const DOT = 0x2e

/** Doubles leading dots, passes everything else byte for byte, fails with BareLineEnd, and ends with CRLF if the content did not. No final dot. */
export function dotStuffing(): Transform {
  // The octet before the next chunk: content begins at the start of a line.
  let before = LF
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const dots = inspect(chunk, before)
      if (dots === undefined) return done(new BareLineEnd(bareLineEnd))
      this.push(dots === 0 ? chunk : stuffed(chunk, before, dots))
      before = chunk[chunk.length - 1] ?? before
      done()
    },
    flush(done) {
      if (before === CR) return done(new BareLineEnd('the content has a bare CR at its end'))
      if (before !== LF) this.push('\r\n')
      done()
    },
  })
}

/** The same for a content that is in memory, in one piece, mostly itself; undefined where a CR or LF stands alone. */
export function stuffedWhole(content: Buffer): Buffer | undefined {
  const dots = inspect(content, LF)
  const last = content.at(-1) ?? LF
  if (dots === undefined || last === CR) return undefined
  const whole = dots === 0 ? content : stuffed(content, LF, dots)
  return last === LF ? whole : Buffer.concat([whole, Buffer.from('\r\n')])
}

/** How many dots begin a line; undefined when a CR or LF stands alone (a CR at the end is judged with the next chunk). One pass, whatever the content. */
function inspect(chunk: Buffer, before: number): number | undefined {
  let dots = 0
  let last = before
  for (let at = 0; at < chunk.length; at++) {
    const octet = chunk[at] as number
    // Letters behind letters are nothing to look at.
    if (octet <= DOT || last <= CR) {
      if ((octet === LF) !== (last === CR)) return undefined
      if (octet === DOT && last === LF) dots++
    }
    last = octet
  }
  return dots
}

/** The chunk with every dot that begins a line doubled: one buffer, however many dots a hostile message has. */
function stuffed(chunk: Buffer, before: number, dots: number): Buffer {
  const out = Buffer.allocUnsafe(chunk.length + dots)
  let last = before
  let to = 0
  for (let at = 0; at < chunk.length; at++) {
    const octet = chunk[at] ?? 0
    if (octet === DOT && last === LF) out[to++] = DOT
    out[to++] = octet
    last = octet
  }
  return out
}
