/** The code that a reader copies from their mailbox: how it is made, read and when the next one may be sent. Pure. */
import { randomInt } from 'node:crypto'

/** Milliseconds that a code works, from the next hop's 250. */
export const codeLife = 10 * 60_000
/** A code whose 250 is not recorded yet works as long as its mail may still be on its way (`retry.code`) and then its life. */
export const codeOnItsWay = 20 * 60_000
/** Wrong tries that end one browser session's tries. */
export const triesPerSession = 5
/** Wrong tries in a day, over all sessions of a letter, that spend the short codes out. */
export const triesPerDay = 20
/** Wrong tries in an hour from one client address, over all letters: a whole hospital shares one. */
export const triesPerClient = 100
export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

/** Digits and capitals that look like nothing else: no 0, 1, I, L, O, U. */
const letters = '23456789ABCDEFGHJKMNPQRSTVWXYZ'

/** A fresh code, without its spaces: 8 digits, or 12 characters that nobody mistakes for words (57 bits). */
export function newCode(long: boolean): string {
  if (!long) return String(randomInt(100_000_000)).padStart(8, '0')
  for (;;) {
    const code = Array.from({ length: 12 }, () => letters[randomInt(letters.length)] ?? '').join('')
    if (longIn(showCode(code)) === code) return code
  }
}

/** `4829 1306`, `K7QM 2RTX 9D4F`. */
export const showCode = (code: string): string => code.replace(/.{4}(?=.)/g, '$& ')

export type CodeInput = { readonly kind: 'short' | 'long'; readonly code: string } | { readonly kind: 'none' }

/** Find the code in what was typed or pasted: spaces, dashes and whole sentences around it do not matter. One input holds one try. */
export function readCode(input: string): CodeInput {
  const text = input
    .slice(0, 2000)
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[\p{Cf}]/gu, '')
  const long = longIn(text)
  if (long !== undefined) return { kind: 'long', code: long }
  const short = /(?<!\d)\d{4}[\s\p{Pd}._]{0,3}\d{4}(?!\d)/u.exec(text)?.[0] ?? scattered(text)
  return short === undefined ? { kind: 'none' } : { kind: 'short', code: short.replace(/\D/g, '') }
}

const digitsIn = (text: string) => text.replace(/\D/g, '').length

/** A digit or capital of a long code, in groups of four that each hold a digit: plain words do not. */
const group = `(?=[A-Z]{0,3}[2-9])[${letters}]{4}`
const gap = '[\\s\\p{Pd}._]{0,3}'
const longCode = new RegExp(`(?<![0-9A-Z])(?=(${group}${gap}${group}${gap}${group})(?![0-9A-Z]))`, 'gu')

/** Three groups of four; not where eight digits in a row are a short code with a word beside it. */
function longIn(text: string): string | undefined {
  for (const [, found = ''] of text.matchAll(longCode)) {
    if (!/(?<!\d)\d{4}\D{0,3}\d{4}(?!\d)/.test(found)) return found.replace(/[^0-9A-Z]/g, '')
  }
  return undefined
}

/** `4 8 2 9 1 3 0 6`: all digits that there are, when they are eight and nothing else was written. */
const scattered = (text: string) => (/^[\d\s\p{Pd}._]*$/u.test(text) && digitsIn(text) === 8 ? text : undefined)

export type Sending = { readonly askedAt: number; readonly letter: string }
export type Limits = { readonly perMinute: number; readonly perHour: number }

/**
 * May a code be sent to an address now, given what was sent to it in the last hour? `at`: when at the latest the next one may be, milliseconds.
 * The first code of a letter is not kept back by the hourly limit: robots that opened other letters must not lock a reader out of this one.
 */
export function maySend(
  sent: readonly Sending[],
  letter: string,
  now: number,
  { perMinute, perHour }: Limits,
): { readonly may: boolean; readonly at: number } {
  const times = sent.map(({ askedAt }) => askedAt).sort((a, b) => b - a)
  const afterMinute = (times[perMinute - 1] ?? Number.NEGATIVE_INFINITY) + minute
  const first = sent.every((one) => one.letter !== letter)
  const afterHour = first ? Number.NEGATIVE_INFINITY : (times[perHour - 1] ?? Number.NEGATIVE_INFINITY) + hour
  const at = Math.max(afterMinute, afterHour, now)
  return { may: at <= now, at }
}

export type CodeTimes = { readonly askedAt: number; readonly validUntil: number | null; readonly spent: boolean }

/** Does this code still open? (That it is among the last three is for the asker to see to.) */
export const works = ({ askedAt, validUntil, spent }: CodeTimes, now: number): boolean =>
  !spent && now < (validUntil ?? askedAt + codeOnItsWay)
