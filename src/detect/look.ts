/** Looks for what the detectors of a policy name, in texts that are already decoded: how often, where, and masked as it may be shown. */
import { findCards } from './card.ts'
import type { Find } from './find.ts'
import { findIbans } from './iban.ts'
import { medicalTerms } from './medical.ts'
import { findPatterns } from './patterns.ts'
import { forgetUnits } from './units.ts'
import { findSsns } from './us-ssn.ts'
import { findWords, type WordList, wordList } from './words.ts'

/** `place` as people call it: `subject`, `text`, `HTML`, `file "list.csv"`. */
export type Text = { readonly place: string; readonly text: string }

/** What to look for: the built-in detectors have neither words nor patterns. */
export type Looked = { readonly name: string; readonly words: readonly string[]; readonly patterns: readonly string[] }

/** `count` as the thresholds count it: of numbers and medical terms the different ones; of own words and patterns each, but once for text and HTML. */
export type Found = { readonly name: string; readonly count: number; readonly samples: readonly Sample[] }

/** One find as it may be shown to an admin; `line` from 1, in the decoded text. */
export type Sample = { readonly place: string; readonly line: number; readonly masked: string }

const mostSamples = 20
/** No threshold is higher (routing/read-detectors.ts): nothing more is learnt by counting on. */
const mostFinds = 1000

/** Every detector and what it found, in their order. */
export function look(texts: readonly Text[], detectors: readonly Looked[]): Found[] {
  try {
    return detectors.map((detector) => lookFor(texts, detector))
  } finally {
    forgetUnits()
  }
}

type Finder = {
  readonly find: (text: string) => Iterable<Find>
  readonly same: (found: string) => string
  readonly mask: (found: string) => string
  readonly distinct: boolean
}

function lookFor(texts: readonly Text[], detector: Looked): Found {
  const { find, same, mask, distinct } = finderOf(detector)
  const counts = new Map<string, number>()
  const samples: Sample[] = []
  for (const { place, text } of texts) {
    const here = new Map<string, number>()
    const lineAt = lineCounter(text)
    let finds = 0
    // One number said a thousand times does not hide the next one, nor does one text what stands in another: many say the same again.
    const enough = () => counts.size >= mostFinds || (distinct ? here.size : finds++) >= mostFinds
    // The same text again is the same find: worked out once.
    const known = new Map<string, string>()
    for (const { from, to } of find(text)) {
      if (enough()) break
      const found = text.slice(from, to)
      const before = known.get(found)
      if (distinct && before !== undefined) continue
      const value = before ?? same(found)
      if (!counts.has(value) && !here.has(value) && samples.length < mostSamples)
        samples.push({ place, line: lineAt(from), masked: mask(found) })
      if (before === undefined) known.set(found, value)
      here.set(value, (here.get(value) ?? 0) + 1)
    }
    for (const [value, count] of here) counts.set(value, distinct ? 1 : Math.max(count, counts.get(value) ?? 0))
  }
  return { name: detector.name, count: [...counts.values()].reduce((sum, count) => sum + count, 0), samples }
}

/** The line of a place; quick when places come in order. */
function lineCounter(text: string): (at: number) => number {
  let [line, seen] = [1, 0]
  return (at) => {
    if (at < seen) [line, seen] = [1, 0]
    for (; seen < at; seen++) if (text.charCodeAt(seen) === 10) line += 1
    return line
  }
}

function finderOf(detector: Looked): Finder {
  const own = detector.words.length + detector.patterns.length > 0
  if (own) return ownFinder(wordList(detector.words), detector.patterns)
  switch (detector.name) {
    case 'payment-card':
      return { find: findCards, same: bare, mask: lastFour, distinct: true }
    case 'iban':
      return { find: findIbans, same: bare, mask: (found) => `${found.slice(0, 2)}${lastFour(found.slice(2))}`, distinct: true }
    case 'us-ssn':
      return { find: findSsns, same: bare, mask: lastFour, distinct: true }
    case 'medical-terms':
      return { find: (text) => findWords(text, medical), same: folded, mask: (found) => found, distinct: true }
    default:
      return { find: () => [], same: bare, mask: lastFour, distinct: true }
  }
}

const medical = wordList(medicalTerms)

const ownFinder = (words: WordList, patterns: readonly string[]): Finder => ({
  *find(text) {
    yield* findWords(text, words)
    yield* findPatterns(text, patterns)
  },
  same: (found) => folded(found.slice(0, 1000)),
  mask: middle,
  distinct: false,
})

/** Numbers are found by digits, ASCII letters, spaces and dashes alone. */
const bare = (found: string): string => found.replace(/[ \u00a0-]/g, '').toUpperCase()
const folded = (found: string): string => found.replace(/\s+/g, ' ').toLowerCase()

/** Letters and digits but the last four become dots; the grouping stays. */
function lastFour(found: string): string {
  let left = bare(found).length - 4
  return found.replace(/[\p{L}\p{N}]/gu, (character) => (left-- > 0 ? '•' : character))
}

/** The first and last two characters of what is long enough. */
const middle = (found: string): string => {
  const characters = [...found.slice(0, 60)]
  const shown = characters.length > 6 ? 2 : 1
  return characters.map((character, i) => (i < shown || i >= characters.length - shown || /\s/.test(character) ? character : '•')).join('')
}
