/** Joins the parts of what is signed or vouched for, each behind its length: no two lists of parts give the same bytes. */

/** Each part behind its length in four bytes, big-endian. Text counts as UTF-8. */
export function joinParts(parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = typeof part === 'string' ? Buffer.from(part) : part
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}
