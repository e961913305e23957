/** What is wrong with a policy, and where: shown to the admin who wrote it. */
import { nearest } from '../ops/nearest.ts'

/** `line` and `column` are 1-based; 0 when the problem has no place in the text (a file that cannot be read). */
export type Place = { readonly line: number; readonly column: number }
export type Problem = Place & { readonly text: string; readonly hint?: string }

/** What stands against a text. `busy`: it was not looked at, for too many others are at this moment; it may be tried again. */
export type Mistakes = { readonly kind: 'errors'; readonly problems: readonly Problem[]; readonly busy?: true }

/** Called by a reader for each mistake it meets; reading goes on, so that one check shows all of them. */
export type Report = (at: Place, text: string, hint?: string) => void

const most = 50

/** A Report and the list that it fills, in reading order; what comes after the first fifty mistakes is not kept. */
export function problemList(): { readonly problems: Problem[]; readonly report: Report } {
  const problems: Problem[] = []
  return {
    problems,
    report: ({ line, column }, text, hint) => {
      if (problems.length < most) problems.push({ line, column, text, ...(hint === undefined ? {} : { hint }) })
    },
  }
}

/** Report a word that is not one of `words`; the hint is the nearest of them, and what is expected. */
export function reportUnknown(report: Report, at: Place, what: string, word: string, words: readonly string[]): void {
  const near = nearest(word.slice(0, 64), words)
  const guess = near === undefined ? '' : `did you mean ${quote(near)}? `
  const shown = words.length > 12 ? `${words.slice(0, 12).join(', ')} … (${words.length} in all)` : oneOf(words)
  report(at, `${what} ${quote(word)} is unknown`, `${guess}expected ${shown}`)
}

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
