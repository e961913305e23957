/** Finds line ends in large contents quickly: octets are looked at four at a time, for almost all of them are letters. */

/** Octets below this one are found: CR, LF and NUL are among them, and a few more that have to be passed over one by one. */
const bound = 0x0e

const bounds = bound * 0x01010101
const high = 0x80808080 | 0

/** A function that answers where, from a place on, the next octet below 14 stands in `bytes`; their length when there is none. */
export function controlFinder(bytes: Buffer): (from: number) => number {
  // Words begin at multiples of four in the memory below.
  const shift = bytes.byteOffset & 3
  const end = bytes.length
  const words = new Int32Array(bytes.buffer, bytes.byteOffset - shift, (end + shift) >> 2)
  const inFours = words.length - 3
  const marksAt = (word: number) => marks(words[word] as number)
  return (from) => {
    let at = from
    let word = (at + shift + 3) >> 2
    const aligned = (word << 2) - shift
    while (at < aligned && at < end && (bytes[at] as number) >= bound) at++
    if (at !== aligned) return at
    while (word < inFours && ((marksAt(word) | marksAt(word + 1) | marksAt(word + 2) | marksAt(word + 3)) & high) === 0) word += 4
    while (word < words.length && (marksAt(word) & high) === 0) word++
    at = (word << 2) - shift
    while (at < end && (bytes[at] as number) >= bound) at++
    return at
  }
}

/** The high bit of an octet is set where taking `bound` away borrowed: only below it, if the bit was not set before. */
const marks = (word: number): number => ((word - bounds) | 0) & ~word

/** Copy the octets `from` up to `end` into `out` at `to`. A call to copy costs as much as some fifty octets: floods of dots have shorter runs. */
export function copyRun(bytes: Buffer, from: number, end: number, out: Buffer, to: number): void {
  if (end - from > 50) return void bytes.copy(out, to, from, end)
  for (let at = from; at < end; at++) out[to + at - from] = bytes[at] as number
}
