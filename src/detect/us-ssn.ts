/** Finds US social security numbers, written with dashes or spaces, of areas and groups that were ever given out. */
import type { Find } from './find.ts'

/** Printed in advertisements and on sample cards: never anybody's. */
const samples = [78_05_1120, 219_09_9999, 457_55_5462]

const [length, first, second] = [11, 3, 6]

/** Mail may be nothing but such numbers: each character is looked at a few times, and no piece of text is made but of what has their form. */
export function findSsns(text: string): Find[] {
  const finds: Find[] = []
  for (let at = 0; at + length <= text.length; at++) {
    if (!isDigit(text, at)) continue
    const isWritten = isFormed(text, at)
    if (isWritten && !isNumberAround(text, at, at + length) && isGiven(text, at)) finds.push({ from: at, to: at + length })
    // Within what has the form, no other begins that is a number of its own.
    if (isWritten) at += length - 1
  }
  return finds
}

/** Three digits, two and four, with the same dash or space between them. */
function isFormed(text: string, at: number): boolean {
  const parting = text.charCodeAt(at + first)
  if ((parting !== 45 && parting !== 32) || text.charCodeAt(at + second) !== parting) return false
  for (let i = 1; i < length; i++) if (i !== first && i !== second && !isDigit(text, at + i)) return false
  return true
}

/** Part of a longer number? */
const isNumberAround = (text: string, from: number, to: number): boolean =>
  isDigit(text, from - 1) || isJoint(text, from - 1) || isDigit(text, to) || (isJoint(text, to) && isDigit(text, to + 1))

const isDigit = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code >= 48 && code <= 57
}
/** A dash or a dot. */
const isJoint = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code === 45 || code === 46
}

/** Areas 000, 666 and 900–999, group 00 and serial 0000 are not used (SSA, randomization of 2011). */
function isGiven(text: string, at: number): boolean {
  const [area, group, serial] = [numberAt(text, at, first), numberAt(text, at + first + 1, 2), numberAt(text, at + second + 1, 4)]
  if (area === 0 || area === 666 || area >= 900 || group === 0 || serial === 0) return false
  return !samples.includes(1_000_000 * area + 10_000 * group + serial)
}

function numberAt(text: string, from: number, digits: number): number {
  let number = 0
  for (let at = from; at < from + digits; at++) number = 10 * number + text.charCodeAt(at) - 48
  return number
}
