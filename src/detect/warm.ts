/** Lets a new thread look at made-up mail before its first: code that has run for a while is compiled, and runs up to ten times as fast. */
import { look } from './look.ts'
import { compilePattern } from './pattern.ts'

/** Alike enough to a policy's: repeats, sets, conditions. */
const patterns = ['project.{0,30}secret', '\\b(?:name|born).{1,9}\\d{5}\\b', 'a[ab]{7}c', '\\pL{3,9}@', '(?s)x.*y']
const builtIn = ['payment-card', 'iban', 'us-ssn', 'medical-terms'].map((name) => ({ name, words: [], patterns: [] }))
const text =
  'x project secr name aabba 12 12345 secret äöü@ 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00; 123-45-6789 Diagnosis\n'.repeat(300)

/** Takes some 100 ms, once in the life of a thread. */
export function warmUp(): void {
  for (let round = 0; round < 4; round++) {
    look([{ place: 'text', text }], builtIn)
    for (const source of patterns) {
      const compiled = compilePattern(source)
      if (compiled.kind === 'wrong') continue
      compiled.pattern.complete()
      for (const { from, to } of compiled.pattern.find(text)) if (from > to) return
    }
  }
}
