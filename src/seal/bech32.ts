/** Bech32 (BIP 173, without its length limit, as age uses it): bytes as text with a checksum, so that a damaged key is noticed. */

const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]

/** `prefix` in lower case, `1`, the bytes and six characters of checksum. */
export function encodeBech32(prefix: string, bytes: Buffer): string {
  const words = regroup([...bytes], 8, 5) // 8 to 5 bits always succeeds: the rest is padded
  const check = checksum([...spread(prefix), ...words, 0, 0, 0, 0, 0, 0]) ^ 1
  const tail = [0, 1, 2, 3, 4, 5].map((i) => (check >>> (5 * (5 - i))) & 31)
  return `${prefix}1${[...words, ...tail].map((word) => alphabet[word]).join('')}`
}

/** The bytes of a text all in lower or all in upper case; undefined when the prefix is another one or a character is wrong. */
export function decodeBech32(prefix: string, text: string): Buffer | undefined {
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) return undefined
  const lower = text.toLowerCase()
  const words = [...lower.slice(prefix.length + 1)].map((character) => alphabet.indexOf(character))
  if (!lower.startsWith(`${prefix}1`) || words.length < 6 || words.includes(-1)) return undefined
  if (checksum([...spread(prefix), ...words]) !== 1) return undefined
  const bytes = unpadded(words.slice(0, -6))
  return bytes && Buffer.from(bytes)
}

/** BIP 173: the high bits of each character, a zero, the low bits. */
const spread = (prefix: string): number[] => {
  const codes = [...prefix].map((character) => character.charCodeAt(0))
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)]
}

function checksum(words: readonly number[]): number {
  let sum = 1
  for (const word of words) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ word
    for (const [i, factor] of generator.entries()) if ((top >>> i) & 1) sum ^= factor
  }
  return sum >>> 0
}

function regroup(words: readonly number[], from: number, to: number): number[] {
  const out: number[] = []
  let value = 0
  let bits = 0
  for (const word of words) {
    value = ((value << from) | word) & 0xffff // at most 4 + 8 bits are still wanted
    for (bits += from; bits >= to; ) {
      bits -= to
      out.push((value >>> bits) & ((1 << to) - 1))
    }
  }
  if (to === 5 && bits > 0) out.push((value << (5 - bits)) & 31)
  return out
}

/** Back to bytes; the padding must be shorter than a word and zero, so that each key has one spelling. */
function unpadded(words: readonly number[]): number[] | undefined {
  const padding = (words.length * 5) % 8
  const last = words.at(-1) ?? 0
  if (padding >= 5 || last & ((1 << padding) - 1)) return undefined
  return regroup(words, 5, 8)
}
