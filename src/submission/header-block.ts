/** Gathers the header of a message that arrives in pieces of any size, without ever holding much more than the limit. */

export type Gathered =
  | { readonly kind: 'more' }
  | { readonly kind: 'too-large' }
  /** `header` without the empty line; `rest` begins with it. */
  | { readonly kind: 'whole'; readonly header: Buffer; readonly rest: Buffer }

export type HeaderBlock = {
  readonly add: (piece: Buffer) => Gathered
  /** Everything gathered: the message ended without an empty line. */
  readonly all: () => Buffer
}

const emptyLine = Buffer.from('\r\n\r\n')

/** `limit` in octets. Lines end with CRLF: whoever feeds this has refused all else. */
export function createHeaderBlock(limit: number): HeaderBlock {
  let space = Buffer.allocUnsafe(4096)
  let used = 0
  const all = () => space.subarray(0, used)
  const append = (piece: Buffer) => {
    if (used + piece.length > space.length) {
      // Doubling keeps a header that comes octet by octet from costing the square of its size.
      const larger = Buffer.allocUnsafe(Math.max(space.length * 2, used + piece.length))
      space.copy(larger, 0, 0, used)
      space = larger
    }
    used += piece.copy(space, used)
  }
  return {
    all,
    add: (piece) => {
      const from = Math.max(0, used - 3)
      append(piece)
      if (used >= 2 && space[0] === 0x0d && space[1] === 0x0a) return { kind: 'whole', header: Buffer.alloc(0), rest: all() }
      const at = all().indexOf(emptyLine, from)
      if (at > limit || (at === -1 && used > limit)) return { kind: 'too-large' }
      if (at === -1) return { kind: 'more' }
      return { kind: 'whole', header: space.subarray(0, at + 2), rest: space.subarray(at + 2, used) }
    },
  }
}
