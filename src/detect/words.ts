/** Finds whole words and phrases, in any case, however many are looked for: one walk over the text (Aho and Corasick 1975, with words for letters). */
import type { Find } from './find.ts'

/** A state: the words seen last are the beginning of a phrase. */
type State = {
  readonly next: Map<string, State>
  /** The longest end of what was seen that begins a phrase too. */
  back: State | undefined
  /** Words of the longest phrase that ends here; 0: none. */
  ends: number
}

export type WordList = { readonly start: State; readonly longestPhrase: number; readonly longestWord: number }

const newState = (): State => ({ next: new Map(), back: undefined, ends: 0 })

/** `Project X` is found in `PROJECT  x.` and in `project-x`, not in `projects x`. Phrases without a letter or digit are left out. */
export function wordList(phrases: readonly string[]): WordList {
  const start = newState()
  let [longestPhrase, longestWord] = [0, 0]
  for (const phrase of phrases) {
    const words = wordsOf(phrase)
    let state = start
    for (const word of words) {
      const next = state.next.get(word) ?? newState()
      state.next.set(word, next)
      state = next
      longestWord = Math.max(longestWord, word.length)
    }
    if (words.length > 0) state.ends = words.length
    longestPhrase = Math.max(longestPhrase, words.length)
  }
  linkBack(start)
  return { start, longestPhrase, longestWord }
}

const wordsOf = (text: string): string[] => {
  const words: string[] = []
  eachWord(text, (from, to) => words.push(folded(text.slice(from, to))))
  return words
}

/** Breadth first, so that shorter beginnings are linked before longer ones. */
function linkBack(start: State): void {
  const waiting: State[] = [...start.next.values()]
  for (const state of waiting) state.back = start
  for (let i = 0; i < waiting.length; i++) {
    const state = waiting[i]
    if (state === undefined) continue
    state.ends ||= state.back?.ends ?? 0
    for (const [word, next] of state.next) {
      next.back = follow(state.back, word) ?? start
      waiting.push(next)
    }
  }
}

function follow(from: State | undefined, word: string): State | undefined {
  for (let state = from; state !== undefined; state = state.back) {
    const next = state.next.get(word)
    if (next !== undefined) return next
  }
  return undefined
}

/** Phrases in the order in which they end; none overlaps the one before. */
export function findWords(text: string, { start, longestPhrase, longestWord }: WordList): Find[] {
  const finds: Find[] = []
  if (longestPhrase === 0) return finds
  const begins = new Int32Array(longestPhrase)
  const lately = new Map<string, string>()
  const foldedOf = (word: string): string => {
    const known = lately.get(word)
    if (known !== undefined) return known
    if (lately.size >= 1000) lately.clear()
    const made = folded(word)
    lately.set(word, made)
    return made
  }
  let [state, words, end]: [State, number, number] = [start, 0, 0]
  eachWord(text, (from, to) => {
    begins[words % longestPhrase] = from
    words += 1
    // Folding may shorten a word, never to a third.
    state = to - from > 3 * longestWord ? start : (follow(state, foldedOf(text.slice(from, to))) ?? start)
    if (state.ends === 0) return
    const begin = begins[(words - state.ends) % longestPhrase] ?? from
    if (begin < end) return
    finds.push({ from: begin, to })
    end = to
  })
  return finds
}

const ascii = /^[\x20-\x7e]*$/
const folded = (text: string): string => (ascii.test(text) ? text : text.normalize('NFKC')).toLowerCase()

/** What letters, digits and marks are, for each UTF-16 unit; halves of surrogate pairs count as such. */
const inWord = new Uint8Array(65_536)
const letter = /[\p{L}\p{N}\p{M}\p{Cs}]/u
for (let unit = 0; unit < inWord.length; unit++) if (letter.test(String.fromCharCode(unit))) inWord[unit] = 1

function eachWord(text: string, word: (from: number, to: number) => void): void {
  for (let at = 0; at < text.length; at++) {
    if (inWord[text.charCodeAt(at)] === 0) continue
    const from = at
    while (at < text.length && inWord[text.charCodeAt(at)] === 1) at += 1
    word(from, at)
  }
}
