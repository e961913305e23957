/** Remembers of octets in memory that their lines were judged when they came in: nobody has to look through them again. */

/** By the buffer itself: whatever is cut out of it, joined to it or made from it is looked through as ever. */
const plain = new WeakSet<Buffer>()

/** Say that every CR and LF in here is part of a CRLF and no line begins with a dot, apart from what only shows at its two ends. */
export function markPlainLines(buffer: Buffer): Buffer {
  plain.add(buffer)
  return buffer
}

export const hasPlainLines = (buffer: Buffer): boolean => plain.has(buffer)
