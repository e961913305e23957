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

type Group = { readonly from: number; readonly to: number; readonly digits: string }

/** The groups that a number may have before its last one: 19 digits, three or more in each. */
const mostGroups = 6

/** Digits in groups parted by one space or dash. A number begins and ends with a group, and is grouped as people do: by three or more, but for the last. */
export function findCards(text: string): Find[] {
  const finds: Find[] = []
  let groups: Group[] = []
  for (let at = 0; at < text.length; at++) {
    if (!isDigit(text, at)) continue
    const from = at
    while (isDigit(text, at)) at += 1
    if (groups.at(-1)?.to !== from - 1 || !isParting(text, from - 1)) groups = []
    // A run that no card number has is passed over whole.
    const group = { from, to: at, digits: at - from > 19 ? '' : text.slice(from, at) }
    const begin = group.digits === '' ? undefined : beginOf(groups, group)
    if (begin !== undefined) {
      // Longer than what was found up to the group before: the same number.
      if (finds.at(-1)?.from === begin) finds.pop()
      if (begin >= (finds.at(-1)?.to ?? 0)) finds.push({ from: begin, to: at })
    }
    if (group.digits.length < 3) groups = []
    else if (groups.push(group) > mostGroups) groups.shift()
  }
  return finds
}

const isDigit = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code >= 48 && code <= 57
}

const isParting = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code === 0x20 || code === 0xa0 || code === 0x2d
}

/** Where the longest card number begins that ends with this group. */
function beginOf(before: readonly Group[], last: Group): number | undefined {
  let number = last.digits
  let begin = isCard(number) ? last.from : undefined
  for (let i = before.length - 1; i >= 0; i--) {
    const group = before[i]
    if (group === undefined || number.length + group.digits.length > 19) break
    number = group.digits + number
    if (isCard(number)) begin = group.from
  }
  return begin
}

export const isCard = (number: string): boolean =>
  number.length >= 13 &&
  luhn(number) &&
  ranges.some(([from, to, lengths]) => {
    const start = number.slice(0, from.length)
    return start >= from && start <= to && lengths.includes(number.length)
  })

/** ISO/IEC 7812-1 Annex B. */
function luhn(number: string): boolean {
  let sum = 0
  for (let i = 0; i < number.length; i++) {
    const digit = number.charCodeAt(number.length - 1 - i) - 48
    const doubled = i % 2 === 1 ? 2 * digit : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0 && /[1-9]/.test(number)
}
