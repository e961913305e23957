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

const start = /[A-Za-z]{2}[ \u00a0]?\d{2}/g

export function* findIbans(text: string): Generator<Find> {
  for (const { 0: head, index } of text.matchAll(start)) {
    if (isWordBefore(text, index)) continue
    const length = lengths[head.slice(0, 2).toUpperCase()]
    const read = length === undefined ? undefined : take(text, index, length)
    if (read !== undefined && isIban(read.number)) yield { from: index, to: read.to }
  }
}

const isWord = (code: number): boolean => (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122)
const isWordBefore = (text: string, at: number): boolean => at > 0 && isWord(text.charCodeAt(at - 1))

/** So many letters and digits, with single spaces or dashes between them; undefined when they end sooner or go on. */
function take(text: string, from: number, length: number): { readonly number: string; readonly to: number } | undefined {
  let number = ''
  let parted = true
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (isWord(code)) {
      number += text[at]
      parted = false
      if (number.length === length) return at + 1 < text.length && isWord(text.charCodeAt(at + 1)) ? undefined : { number, to: at + 1 }
    } else if (!parted && (code === 32 || code === 0xa0 || code === 45)) parted = true
    else return undefined
  }
  return undefined
}

/** ISO/IEC 7064 MOD 97-10: the first four characters last, letters as 10 to 35. */
export function isIban(number: string): boolean {
  if (lengths[number.slice(0, 2).toUpperCase()] !== number.length) return false
  let rest = 0
  for (const character of `${number.slice(4)}${number.slice(0, 4)}`) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}
