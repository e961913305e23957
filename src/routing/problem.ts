/** What is wrong with a policy, and where: shown to the admin who wrote it. */
import { nearest } from '../ops/nearest.ts'

/** `line` and `column` are 1-based; 0 when the problem has no place in the text (a file that cannot be read). */
export type Place = { readonly line: number; readonly column: number }
export type Problem = Place & { readonly text: string; readonly hint?: string }

/** What stands against a text. `busy`: it was not looked at, for too many others are at this moment; it may be tried again. */
export type Mistakes = { readonly kind: 'errors'; readonly problems: readonly Problem[]; readonly busy?: true }

/** Called by a reader for each mistake it meets; reading goes on, so that one check shows all of them. */
export type Report = (at: Place, text: string, hint?: string | Searched) => void

/** A hint that must be searched for: it is made only for mistakes that are kept. */
type Searched = (nearestOf: (word: string, words: readonly string[]) => string | undefined) => string | undefined

const most = 50
/** Letters compared with letters, for all hints of a text together: some hundredths of a second. A list of 5,000 names has this for eight of them. */
const mostCompared = 8_000_000

/** A Report and the list that it fills, in reading order; what comes after the first fifty mistakes is not kept. */
export function problemList(): { readonly problems: Problem[]; readonly report: Report; readonly full: () => boolean } {
  const problems: Problem[] = []
  let compared = 0
  const nearestOf = (word: string, words: readonly string[]) => {
    const asked = word.slice(0, 64)
    const cost = words.reduce((sum, { length }) => sum + (length + 1) * (asked.length + 1), 0)
    if (compared + cost > mostCompared) return undefined
    compared += cost
    return nearest(asked, words)
  }
  return {
    problems,
    full: () => problems.length >= most,
    report: ({ line, column }, text, hint) => {
      if (problems.length >= most) return
      const words = typeof hint === 'function' ? hint(nearestOf) : hint
      problems.push({ line, column, text, ...(words === undefined ? {} : { hint: words }) })
    },
  }
}

/** Report a word that is not one of `words`; the hint is the nearest of them, and what is expected. */
export function reportUnknown(
  report: Report,
  at: Place,
  what: string,
  word: string,
  words: readonly string[] | (() => readonly string[]),
): void {
  report(at, `${what} ${quote(word)} is unknown`, (nearestOf) => {
    const known = typeof words === 'function' ? words() : words
    const near = nearestOf(word, known)
    const guess = near === undefined ? '' : `did you mean ${quote(near)}? `
    return `${guess}expected ${known.length > 12 ? `${known.slice(0, 12).map(short).join(', ')} … (${known.length} in all)` : oneOf(known.map(short))}`
  })
}

const short = (word: string): string => (word.length > 80 ? `${word.slice(0, 77)}…` : word)

/** Text from the policy as it may stand in a message: short, and without control characters. */
export const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text)

/** `a, b or c`. */
export const oneOf = (words: readonly string[], joint = 'or'): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${joint} ${words.at(-1)}`

/**
 * A problem as compilers print it: `policy.yaml:12:17: step "pgpp" is unknown`, the line itself when its text is handed in, and the hint.
 * Several lines, no line end after the last.
 */
export function describeProblem(file: string, { line, column, text, hint }: Problem, source?: string): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`
  const pointed = source === undefined || line === 0 ? [] : pointAt(source.split(/\r?\n/)[line - 1] ?? '', column)
  return [`${place}: ${text}`, ...pointed, ...(hint === undefined ? [] : [`    hint: ${hint}`])].join('\n')
}

/** The line with a mark below the column; nothing where the mark would not stand right. */
const pointAt = (line: string, column: number): string[] =>
  line.trim() === '' || line.length > 160 || /[^\P{C} ]/u.test(line) ? [] : [`    ${line}`, `    ${' '.repeat(column - 1)}^`]
