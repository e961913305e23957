/** Finds numbers of payment cards: an issuer's range, its length, and a right check digit. */
import type { Find } from './find.ts'

/** First digits from–to and the lengths that issuers use (ISO/IEC 7812-1; the ranges as issuers publish them). */
const ranges: readonly (readonly [from: string, to: string, lengths: readonly number[]])[] = [
  ['4', '4', [13, 16, 19]], // Visa
  ['51', '55', [16]], // Mastercard
  ['2221', '2720', [16]],
  ['34', '34', [15]], // American Express
  ['37', '37', [15]],
  ['6011', '6011', [16, 17, 18, 19]], // Discover
  ['644', '649', [16, 17, 18, 19]],
  ['65', '65', [16, 17, 18, 19]],
  ['300', '305', [14, 16, 17, 18, 19]], // Diners Club
  ['309', '309', [14, 16]],
  ['36', '36', [14, 15, 16, 17, 18, 19]],
  ['38', '39', [14, 16, 17, 18, 19]],
  ['3528', '3589', [16, 17, 18, 19]], // JCB
  ['62', '62', [16, 17, 18, 19]], // UnionPay
  ['81', '81', [16, 17, 18, 19]],
  ['2200', '2204', [16, 17, 18, 19]], // Mir
  ['50', '50', [13, 14, 15, 16, 17, 18, 19]], // Maestro
  ['56', '58', [13, 14, 15, 16, 17, 18, 19]],
  ['6304', '6304', [13, 14, 15, 16, 17, 18, 19]],
  ['6759', '6759', [13, 14, 15, 16, 17, 18, 19]],
  ['6761', '6763', [13, 14, 15, 16, 17, 18, 19]],
]

/** For each first four digits, the lengths of issuers as bits: one look instead of one for each range. */
const lengthsOf = new Uint32Array(10_000)
for (const [from, to, lengths] of ranges) {
  const bits = lengths.reduce((sum, length) => sum | (1 << length), 0)
  for (let start = Number(from.padEnd(4, '0')); start <= Number(to.padEnd(4, '9')); start++)
    lengthsOf[start] = (lengthsOf[start] ?? 0) | bits
}

const [shortest, longest] = [13, 19]
/** Digits in each group of a number but its last. */
const fewest = 3

/** Digits in groups parted by one space or dash. A number begins and ends with a group, and is grouped as people do: by three or more, but for the last. */
export function findCards(text: string): Find[] {
  const finds: Find[] = []
  const chain = newChain()
  let end = -1
  for (let at = 0; at < text.length; at++) {
    if (!isDigit(text.charCodeAt(at))) continue
    const from = at
    if (end !== from - 1 || !isParting(text.charCodeAt(end))) chain.groups = 0
    begin(chain, from)
    for (let code = text.charCodeAt(at); isDigit(code); code = text.charCodeAt(++at)) add(chain, code - 48)
    const size = at - from
    // A run that no card number has is passed over whole.
    const found = size > longest ? -1 : beginOfCard(text, chain)
    if (found >= 0) {
      // Longer than what was found up to the group before: the same number.
      if (finds.at(-1)?.from === found) finds.pop()
      if (found >= (finds.at(-1)?.to ?? 0)) finds.push({ from: found, to: at })
    }
    end = size < fewest || size > longest ? -1 : at
  }
  return finds
}

/** NaN, beyond the end of a text, is none. */
const isDigit = (code: number): boolean => code >= 48 && code <= 57
const isParting = (code: number): boolean => code === 0x20 || code === 0xa0 || code === 0x2d

/**
 * Groups in a row, and sums up to now over their digits: the Luhn sum of any groups at the end is a difference of two of them, however many
 * groups begin a number. `even` doubles the digits at odd places, `odd` those at even ones.
 */
type Chain = { groups: number; digits: number; even: number; odd: number; readonly before: Int32Array }

/** Of each of the last groups: where it begins, and digits, `even` and `odd` before it. A number of 19 digits has at most seven. */
const kept = 8
const newChain = (): Chain => ({ groups: 0, digits: 0, even: 0, odd: 0, before: new Int32Array(4 * kept) })

function begin(chain: Chain, from: number): void {
  const slot = 4 * (chain.groups % kept)
  chain.before[slot] = from
  chain.before[slot + 1] = chain.digits
  chain.before[slot + 2] = chain.even
  chain.before[slot + 3] = chain.odd
  chain.groups += 1
}

function add(chain: Chain, digit: number): void {
  const doubled = digit > 4 ? 2 * digit - 9 : 2 * digit
  const isEven = chain.digits % 2 === 0
  chain.even += isEven ? digit : doubled
  chain.odd += isEven ? doubled : digit
  chain.digits += 1
}

/** Where the longest card number begins that ends with the last group; -1: none does. ISO/IEC 7812-1 Annex B doubles every second digit from the end. */
function beginOfCard(text: string, { groups, digits, even, odd, before }: Chain): number {
  let found = -1
  for (let group = groups - 1; group >= 0 && group > groups - kept; group--) {
    const slot = 4 * (group % kept)
    const count = digits - (before[slot + 1] ?? 0)
    if (count > longest) break
    if (count < shortest) continue
    const sum = digits % 2 === 1 ? even - (before[slot + 2] ?? 0) : odd - (before[slot + 3] ?? 0)
    const from = before[slot] ?? 0
    if (sum % 10 === 0 && isIssued(text, from, count)) found = from
  }
  return found
}

/** Do issuers give out numbers of so many digits that begin as this one does? */
function isIssued(text: string, from: number, count: number): boolean {
  let start = 0
  for (let [at, read] = [from, 0]; read < 4; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) continue
    start = 10 * start + digit
    read += 1
  }
  return ((lengthsOf[start] ?? 0) & (1 << count)) !== 0
}
