/** Reads a policy text into the words and signs of YAML, and refuses what could hurt the parser or is not of the language before it sees it. */
import { CST, Lexer } from 'yaml'
import { type Place, quote, type Report } from './problem.ts'

const deepestFlow = 32
const widestIndent = 100

/** Said here, and by readTree of what only the parser sees. */
export const tooDeep = {
  text: 'nested too deeply for a policy',
  hint: 'no policy needs that: name parts of it as rules, groups or detectors',
} as const

/**
 * Words, the signs between them, comments and ends of lines: reading costs microseconds for each. There is room for 1,500 rules and as many
 * tests, or for groups of 30,000 addresses.
 */
export const mostParts = 100_000

/**
 * The lexemes of the text, as the parser takes them; undefined when it was refused, and the report told why. Anchors, tags and the like are told
 * all; at what is too much, reading ends. The parser recurses with the nesting of the text, and where its stack ends inside a regular expression
 * the whole process ends: nesting in brackets is counted, and nesting by indentation needs a column a level, so the column of its indicators
 * bounds it. `full`: whether the report keeps no more.
 */
export function readShape(text: string, report: Report, full: () => boolean): readonly string[] | undefined {
  const lexemes: string[] = []
  let [line, column, depth, parts, inScalar, sound] = [1, 1, 0, 0, false, true]
  const seen = { documents: 0, ended: false }
  const stop = (text: string, hint?: string) => {
    report({ line, column }, text, hint)
    return undefined
  }
  for (const lexeme of new Lexer().lex(text)) {
    lexemes.push(lexeme)
    // The words of a text without quotes come behind a mark; whatever they begin with, they are words.
    const type = inScalar ? 'scalar' : CST.tokenType(lexeme)
    inScalar = lexeme === CST.SCALAR && !inScalar
    if (inScalar || lexeme === CST.DOCUMENT) continue
    if (type === 'flow-error-end') {
      depth = 0
      continue
    }
    if (type !== 'space' && type !== 'byte-order-mark' && ++parts > mostParts)
      return stop(`more than ${mostParts} words, signs and lines: too many for a policy`, 'groups make one rule of many')
    if (opens.has(type)) depth += 1
    if (closes.has(type) && --depth < 0) return stop(`not valid YAML: ${quote(lexeme)} closes nothing`, 'remove it, or open it before')
    if (depth > deepestFlow || (depth === 0 && column > widestIndent && indicators.has(type))) return stop(tooDeep.text, tooDeep.hint)
    if (isSecond(type, seen))
      return stop('not valid YAML: a second document begins here', 'a policy is one document: remove the line of dashes or dots')
    if (tellUnused(type, lexeme, { line, column }, report)) sound = false
    if (!sound && full()) return undefined
    const broken = lexeme.lastIndexOf('\n')
    if (broken < 0) column += lexeme.length
    else {
      for (let at = lexeme.indexOf('\n'); at >= 0; at = lexeme.indexOf('\n', at + 1)) line += 1
      column = lexeme.length - broken
    }
  }
  return sound ? lexemes : undefined
}

type Type = ReturnType<typeof CST.tokenType>

const opens: ReadonlySet<Type> = new Set(['flow-seq-start', 'flow-map-start'])
const closes: ReadonlySet<Type> = new Set(['flow-seq-end', 'flow-map-end'])
const indicators: ReadonlySet<Type> = new Set(['seq-item-ind', 'explicit-key-ind', 'map-value-ind'])
const between: ReadonlySet<Type> = new Set(['space', 'newline', 'comment', 'byte-order-mark', 'directive-line', 'doc-end'])

/** Does this begin a second document? `seen` is kept from lexeme to lexeme. */
function isSecond(type: Type, seen: { documents: number; ended: boolean }): boolean {
  if (type === 'doc-end') seen.ended = true
  if (between.has(type)) return false
  if (type === 'doc-start' || seen.documents === 0 || seen.ended) seen.documents += 1
  seen.ended = false
  return seen.documents > 1
}

/** A policy needs none of them, and aliases are how a small text becomes a huge value. */
function tellUnused(type: Type, lexeme: string, at: Place, report: Report): boolean {
  switch (type) {
    case 'anchor':
      report(at, `anchors (${shortened(lexeme)}) are not used in a policy`, 'write the value out, or name a group')
      return true
    case 'alias':
      report(
        at,
        `aliases (${shortened(lexeme)}) are not used in a policy`,
        lexeme.startsWith('*.')
          ? `a star begins an alias of YAML: write the name in quotes: ${quote(lexeme)}`
          : 'write the value out, or name a group',
      )
      return true
    case 'tag':
      report(at, `tags (${quote(lexeme)}) are not used in a policy`, 'remove it, or put the word in quotes')
      return true
    case 'directive-line':
      report(at, `directives (${quote(lexeme)}) are not used in a policy`, 'remove the line')
      return true
    default:
      return false
  }
}

const shortened = (lexeme: string): string => quote(lexeme).slice(1, -1)
