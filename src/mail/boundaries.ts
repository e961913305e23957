/** Which line of a mail is a boundary, and of which of the multiparts it is in (RFC 2046 §5.1): one look-up, however deep it is. */

/** `level`: of the multipart, 1 is the outermost. `closing`: its last one. */
export type Boundary = { readonly level: number; readonly closing: boolean }

export type Boundaries = {
  /** A multipart begins; returns how many there are around what follows. */
  readonly enter: (boundary: string) => number
  /** What a line is, with or without its line end; of several multiparts with one boundary it is the innermost's. */
  readonly find: (line: Buffer) => Boundary | 'none'
  /** RFC 2046 §5.1.2: an outer boundary also ends what is inside; a closing one its own multipart. */
  readonly leave: (boundary: Boundary) => void
  readonly depth: () => number
}

/** RFC 2046 §5.1.1: a boundary has at most 70 characters, white space may follow. */
export const longestBoundaryLine = 998
const dash = 0x2d

export function createBoundaries(): Boundaries {
  const open: string[] = []
  let lines = new Map<string, Boundary>()
  const list = () => {
    lines = new Map()
    for (const [i, name] of open.entries()) {
      lines.set(`--${name}`, { level: i + 1, closing: false })
      lines.set(`--${name}--`, { level: i + 1, closing: true })
    }
  }
  return {
    enter: (boundary) => {
      open.push(boundary)
      list()
      return open.length
    },
    find: (line) => {
      if (lines.size === 0 || line.length > longestBoundaryLine || line[0] !== dash || line[1] !== dash) return 'none'
      return lines.get(line.toString('latin1').trimEnd()) ?? 'none'
    },
    leave: ({ level, closing }) => {
      const left = closing ? level - 1 : level
      if (left >= open.length) return
      open.length = left
      list()
    },
    depth: () => open.length,
  }
}
