/** Finds US social security numbers, written with dashes or spaces, of areas and groups that were ever given out. */
import type { Find } from './find.ts'

const written = /\d{3}([- ])\d{2}\1\d{4}/g

/** Printed in advertisements and on sample cards: never anybody's. */
const samples = ['078-05-1120', '219-09-9999', '457-55-5462']

export function findSsns(text: string): Find[] {
  const finds: Find[] = []
  for (const { 0: number, index } of text.matchAll(written)) {
    const to = index + number.length
    if (!isNumberAround(text, index, to) && isSsn(number)) finds.push({ from: index, to })
  }
  return finds
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
export function isSsn(number: string): boolean {
  const [area, group, serial] = [number.slice(0, 3), number.slice(4, 6), number.slice(7)]
  if (area === '000' || area === '666' || area >= '900' || group === '00' || serial === '0000') return false
  return !samples.includes(`${area}-${group}-${serial}`)
}
