/** Finds bank account numbers: a country's length and right check digits (ISO 13616-1). */
import type { Find } from './find.ts'

/** Length by country, as in the IBAN registry of SWIFT. */
const lengths: { readonly [country: string]: number } = {
  AD: 24, AE: 23, AL: 28, AT: 20, AZ: 28, BA: 20, BE: 16, BG: 22, BH: 22, BI: 27, BR: 29, BY: 28, CH: 21, CR: 22, CY: 28, CZ: 24, DE: 22,
  DJ: 27, DK: 18, DO: 28, EE: 20, EG: 29, ES: 24, FI: 18, FK: 18, FO: 18, FR: 27, GB: 22, GE: 22, GI: 23, GL: 18, GR: 27, GT: 28, HN: 28,
  HR: 21, HU: 28, IE: 22, IL: 23, IQ: 23, IS: 26, IT: 27, JO: 30, KW: 30, KZ: 20, LB: 28, LC: 32, LI: 21, LT: 20, LU: 20, LV: 21, LY: 25,
  MC: 27, MD: 24, ME: 22, MK: 19, MN: 20, MR: 27, MT: 31, MU: 30, NI: 28, NL: 18, NO: 15, OM: 23, PK: 24, PL: 28, PS: 29, PT: 25, QA: 29,
  RO: 24, RS: 22, RU: 33, SA: 24, SC: 31, SD: 18, SE: 24, SI: 19, SK: 24, SM: 27, SO: 23, ST: 25, SV: 28, TL: 23, TN: 24, TR: 26, UA: 29,
  VA: 22, VG: 24, XK: 20, YE: 30,
} // biome-ignore format: a table

/** The same by the codes of the two letters, upper case: 26 × first + second. */
const lengthOf = new Uint8Array(26 * 26)
for (const [country, length] of Object.entries(lengths)) lengthOf[26 * (country.charCodeAt(0) - 65) + country.charCodeAt(1) - 65] = length

/** What a digit counts, or a letter in any case (A is 10), by its code; a single space or dash may part them. */
const [parting, other] = [-1, -2]
const worth = new Int8Array(256).fill(other)
for (let code = 0; code < 10; code++) worth[48 + code] = code
for (let letter = 0; letter < 26; letter++) worth[65 + letter] = worth[97 + letter] = 10 + letter
for (const code of [0x20, 0xa0, 0x2d]) worth[code] = parting

/** Mail may be nothing but beginnings of account numbers: each character is looked up once, and no piece of text is made. */
export function findIbans(text: string): Find[] {
  const worths = new Int8Array(text.length + 1)
  for (let at = 0; at < text.length; at++) worths[at] = worth[text.charCodeAt(at)] ?? other
  worths[text.length] = other
  const finds: Find[] = []
  for (let at = 0; at < text.length; at++) {
    const to = (worths[at] ?? other) > 9 && (worths[at - 1] ?? other) < 0 ? ibanAt(worths, at) : -1
    if (to < 0) continue
    finds.push({ from: at, to })
    at = to - 1
  }
  return finds
}

/**
 * Where the account number that begins here ends; -1: none does. A country, its length in letters and digits with single spaces or dashes
 * between them, and remainder 1: ISO/IEC 7064 MOD 97-10 over the number with its first four characters last.
 */
function ibanAt(worths: Int8Array, from: number): number {
  const [first, second] = [worths[from] ?? other, worths[from + 1] ?? other]
  const length = second > 9 ? (lengthOf[26 * (first - 10) + second - 10] ?? 0) : 0
  if (length === 0) return -1
  let [count, rest, check] = [2, 0, 0]
  for (let at = from + 2; at < worths.length; at++) {
    const value = worths[at] ?? other
    if (value < 0) {
      if (value === other || worths[at - 1] === parting) return -1
      continue
    }
    count += 1
    if (count <= 4) {
      if (value > 9) return -1
      check = 10 * check + value
      continue
    }
    rest = appended(rest, value)
    if (count < length) continue
    if ((worths[at + 1] ?? other) >= 0) return -1
    return (100 * (appended(appended(rest, first), second) % 97) + check) % 97 === 1 ? at + 1 : -1
  }
  return -1
}

/** Divided only where the next step would not fit into 31 bits. */
const appended = (rest: number, value: number): number => (rest > 20_000_000 ? rest % 97 : rest) * (value > 9 ? 100 : 10) + value
