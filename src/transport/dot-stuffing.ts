/** Content on its way into DATA: dots doubled at line starts, CRLF line ends or nothing (RFC 5321 §4.5.2, §2.3.8). */
import { controlFinder, plainLineSkipper } from '../mail/controls.ts'
import { hasPlainLines } from '../mail/plain-lines.ts'

/** A bare CR or LF was about to leave: what looks like one line here may be two there (SMTP smuggling). */
export class BareLineEnd extends Error {
  override readonly name = 'BareLineEnd'
}

export const bareLineEnd = 'the content has a bare CR or LF'

const CR = 0x0d
const LF = 0x0a
const DOT = 0x2e

const nothing = Buffer.alloc(0)
const lineEnd = Buffer.from('\r\n')

/** Doubles leading dots and passes everything else byte for byte. Both throw BareLineEnd. */
export type Stuffer = {
  /** The chunk itself, where no line in it begins with a dot. */
  readonly push: (chunk: Buffer) => Buffer
  /** What is missing to a CRLF at the content's end. No final dot. */
  readonly end: () => Buffer
}

/** A stuffer for one content. */
export function createStuffer(): Stuffer {
  // The octet before the next chunk: content begins at the start of a line.
  let before = LF
  return {
    push: (chunk) => {
      const dots = inspect(chunk, before)
      if (dots === undefined) throw new BareLineEnd(bareLineEnd)
      const piece = stuffed(chunk, before, dots)
      before = chunk.at(-1) ?? before
      return piece
    },
    end: () => {
      if (before === CR) throw new BareLineEnd('the content has a bare CR at its end')
      return before === LF ? nothing : lineEnd
    },
  }
}

/** The same for a content that is in memory, in one piece, mostly itself; undefined where a CR or LF stands alone. */
export function stuffedWhole(content: Buffer): Buffer | undefined {
  const dots = inspect(content, LF)
  const last = content.at(-1) ?? LF
  if (dots === undefined || last === CR) return undefined
  const whole = stuffed(content, LF, dots)
  return last === LF ? whole : Buffer.concat([whole, lineEnd])
}

/** How many dots begin a line; undefined when a CR or LF stands alone (a CR at the end is judged with the next chunk). */
function inspect(chunk: Buffer, before: number): number | undefined {
  if (chunk.length === 0) return 0
  if ((chunk[0] === LF) !== (before === CR)) return undefined
  // Where the first line begins, if one does at this end.
  const first = before === LF ? 0 : before === CR ? 1 : undefined
  if (hasPlainLines(chunk) && (first === undefined || chunk[first] !== DOT)) return 0
  const nextControl = controlFinder(chunk)
  const skipPlainLines = plainLineSkipper(chunk, Number.POSITIVE_INFINITY)
  let dots = 0
  const passLines = (from: number) => {
    const at = skipPlainLines(from)
    if (chunk[at] === DOT) dots++
    return at
  }
  for (let at = nextControl(first === undefined ? 0 : passLines(first)); at < chunk.length; at = nextControl(at)) {
    const octet = chunk[at]
    if (octet === LF || (octet === CR && at + 1 < chunk.length && chunk[at + 1] !== LF)) return undefined
    at = octet === CR ? passLines(at + 2) : at + 1
  }
  return dots
}

/** The chunk with every dot that begins a line doubled: one buffer, however many dots a hostile message has. */
function stuffed(chunk: Buffer, before: number, dots: number): Buffer {
  if (dots === 0) return chunk
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
