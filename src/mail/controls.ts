/** Finds line ends in large contents quickly: octets are looked at four at a time, for almost all of them are letters. */
import { endianness } from 'node:os'

/** Octets below this one are found: CR, LF and NUL are among them, and a few more that have to be passed over one by one. */
const bound = 0x0e

const bounds = bound * 0x01010101
const high = 0x80808080 | 0
const littleEndian = endianness() === 'LE'

const cr = 0x0d
const lf = 0x0a
const dot = 0x2e

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

/**
 * A function that answers where, from the start of a line on, the first line begins that is not like others: it begins with a dot, is longer than
 * `limit` octets with its end, holds an octet below 14, or does not end in `bytes`. All lines before end with CRLF. It may stop at a line too early.
 */
export function plainLineSkipper(bytes: Buffer, limit: number): (from: number) => number {
  if (!littleEndian) return (from) => from
  const shift = bytes.byteOffset & 3
  const words = new Int32Array(bytes.buffer, bytes.byteOffset - shift, (bytes.length + shift) >> 2)
  return (from) => skipPlainLines(bytes, words, shift, limit, from)
}

/** Not a closure: V8 makes much slower code of one that is made anew for each piece. */
function skipPlainLines(bytes: Buffer, words: Int32Array, shift: number, limit: number, from: number): number {
  const inFours = words.length - 3
  let start = from
  while (start < bytes.length && bytes[start] !== dot) {
    let word = (start + shift) >> 2
    // Of the octets in the word of a line's start, those before it do not count.
    let found = word < words.length ? controlsIn(words, word) & (-1 << (((start + shift) & 3) << 3)) : 0
    if (found === 0) {
      word++
      while (word < inFours && noControls(words, word)) word += 4
      while (word < words.length && controlsIn(words, word) === 0) word++
      if (word >= words.length) return start
      found = controlsIn(words, word)
    }
    // The lowest mark in a word is always true.
    const at = (word << 2) - shift + ((31 - Math.clz32(found & -found)) >> 3)
    if (bytes[at] !== cr || bytes[at + 1] !== lf || at + 2 - start > limit) return start
    start = at + 2
  }
  return start
}

const controlsIn = (words: Int32Array, word: number): number => marks(words[word] as number) & high

/** In four words from this one on. */
const noControls = (words: Int32Array, word: number): boolean =>
  ((marks(words[word] as number) | marks(words[word + 1] as number) | marks(words[word + 2] as number) | marks(words[word + 3] as number)) &
    high) ===
  0

/** The high bit of an octet is set where taking `bound` away borrowed: only below it, if the bit was not set before. */
const marks = (word: number): number => ((word - bounds) | 0) & ~word

/** Copy the octets `from` up to `end` into `out` at `to`. A call to copy costs as much as some fifty octets: floods of dots have shorter runs. */
export function copyRun(bytes: Buffer, from: number, end: number, out: Buffer, to: number): void {
  if (end - from > 50) return void bytes.copy(out, to, from, end)
  for (let at = from; at < end; at++) out[to + at - from] = bytes[at] as number
}
