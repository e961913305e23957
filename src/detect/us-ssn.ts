/** Finds US social security numbers, written with dashes or spaces, of areas and groups that were ever given out. */
import type { Find } from './find.ts'

const written = /\d{3}([- ])\d{2}\1\d{4}/g

/** Printed in advertisements and on sample cards: never anybody's. */
const samples = ['078-05-1120', '219-09-9999', '457-55-5462']

export function* findSsns(text: string): Generator<Find> {
  for (const { 0: number, index } of text.matchAll(written)) {
    const to = index + number.length
    if (!isNumberAround(text, index, to) && isSsn(number)) yield { from: index, to }
  }
}

/** Part of a longer number? */
const isNumberAround = (text: string, from: number, to: number): boolean =>
  /[\d.-]$/.test(text.slice(Math.max(0, from - 1), from)) || /^(?:\d|[-.]\d)/.test(text.slice(to, to + 2))

/** Areas 000, 666 and 900–999, group 00 and serial 0000 are not used (SSA, randomization of 2011). */
export function isSsn(number: string): boolean {
  const [area = '', group = '', serial = ''] = number.split(/[- ]/)
  if (area === '000' || area === '666' || area >= '900' || group === '00' || serial === '0000') return false
  return !samples.includes(`${area}-${group}-${serial}`)
}
