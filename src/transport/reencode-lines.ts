/** A content cut into lines, whatever the borders of its chunks; of a longer line than anybody needs whole, pieces. */
import { BareLineEnd } from './dot-stuffing.ts'

/** `text` is without its CRLF. `first`: it begins a line. `ended`: its CRLF follows; without, more of the line comes or the content ends. */
export type Piece = { readonly text: Buffer; readonly first: boolean; readonly ended: boolean }

/** Octets; more than a delimiter has (RFC 2046 §5.1.1: 70 and a little), less than would be much to hold. */
export const longestPiece = 2000

const CR = 0x0d
const LF = 0x0a

/** Push chunks, get pieces; both throw BareLineEnd. The pieces depend on the content alone, and at most one of them is held. */
export function lineReader(): { readonly push: (chunk: Buffer) => Piece[]; readonly end: () => Piece[] } {
  let held: Buffer = Buffer.alloc(0)
  let first = true
  const pieceOf = (text: Buffer, ended: boolean): Piece => {
    if (text.includes(CR)) throw new BareLineEnd('the content has a bare CR')
    const piece = { text, first, ended }
    first = ended
    return piece
  }
  const push = (chunk: Buffer): Piece[] => {
    const found: Piece[] = []
    const bytes = held.length > 0 ? Buffer.concat([held, chunk]) : chunk
    let at = 0
    for (;;) {
      const end = bytes.indexOf(LF, at)
      // The last octet may be the CR of a line end to come: then it is no text.
      const stop = (end === -1 ? bytes.length : end) - 1
      for (; stop - at > longestPiece; at += longestPiece) found.push(pieceOf(bytes.subarray(at, at + longestPiece), false))
      if (end === -1) break
      if (stop < at || bytes[stop] !== CR) throw new BareLineEnd('the content has a bare LF')
      found.push(pieceOf(bytes.subarray(at, stop), true))
      at = end + 1
    }
    held = Buffer.from(bytes.subarray(at))
    return found
  }
  return { push, end: () => (held.length > 0 ? [pieceOf(held, false)] : []) }
}
