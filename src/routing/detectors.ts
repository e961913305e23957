/** The content detectors that the program brings, and how many finds each needs; what they look for is in the folder detect. */
import type { Detector } from './policy.ts'

/** Name and usual threshold: one card number is a card number, one medical word is not yet a record. */
export const builtIn = { 'payment-card': 1, iban: 1, 'us-ssn': 1, 'medical-terms': 3 } as const satisfies {
  readonly [name: string]: number
}
export type BuiltIn = keyof typeof builtIn

export const builtInNames = Object.keys(builtIn) as readonly BuiltIn[]
export const isBuiltIn = (name: string): name is BuiltIn => Object.hasOwn(builtIn, name)

/** How many finds make the condition hold; at least 1. */
export function thresholdOf(name: string, detectors: readonly Detector[]): number {
  const own = detectors.find((detector) => detector.name === name)?.threshold
  return own ?? (isBuiltIn(name) ? builtIn[name] : 1)
}

/** What these detectors look for: own words and patterns; the program's own need none. */
export const looked = (names: readonly string[], detectors: readonly Detector[]) =>
  names.map((name) => {
    const own = detectors.find((detector) => detector.name === name)
    return { name, words: own?.words ?? [], patterns: own?.patterns ?? [] }
  })
