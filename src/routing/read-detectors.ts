/** Reads `detectors`: own words and patterns, and other thresholds for the detectors that the program brings. */
import { builtInNames, isBuiltIn } from './detectors.ts'
import type { Detector } from './policy.ts'
import { oneOf, quote, type Report } from './problem.ts'
import { described, fields, isName, list, text } from './read.ts'
import type { Entry, Tree } from './tree.ts'

export const detectorWords = ['words', 'patterns', 'threshold'] as const
/** `work` is that of checking all patterns: a second or two; that of a simple one is some ten thousand. */
const most = { detectors: 200, words: 5000, patterns: 200, length: 500, threshold: 1000, work: 80_000_000 } as const

/** What is wrong with a pattern, if anything, and what it took to tell (detect/pattern.ts). */
export type CheckPattern = (pattern: string) => { readonly wrong?: { readonly text: string; readonly hint: string }; readonly work: number }

export function readDetectors(tree: Tree | undefined, checkPattern: CheckPattern, report: Report): Detector[] {
  if (tree === undefined || (tree.kind === 'scalar' && tree.value === null)) return []
  if (tree.kind !== 'map') {
    report(tree.at, `expected a mapping of detector names to what they look for, found ${described(tree)}`)
    return []
  }
  if (tree.entries.length > most.detectors) report(tree.at, `${tree.entries.length} detectors; at most ${most.detectors} are read`)
  const checkAt = patternCheck(checkPattern, report)
  return tree.entries.slice(0, most.detectors).map((entry) => readDetector(entry, checkAt, report))
}

/** Reports what is wrong with patterns, until they have taken more work together than a policy's may. */
function patternCheck(checkPattern: CheckPattern, report: Report): (pattern: string, tree: Tree) => void {
  let work = 0
  return (pattern, tree) => {
    if (work > most.work) return
    const checked = checkPattern(pattern)
    work += checked.work
    if (checked.wrong !== undefined) report(tree.at, `the pattern ${quote(pattern)} ${checked.wrong.text}`, checked.wrong.hint)
    if (work > most.work)
      report(
        tree.at,
        'up to here, the patterns are too large together; those below were not looked at',
        'write fewer patterns, or simpler ones',
      )
  }
}

/** A broken detector stays known, else each rule that names it would be a mistake too. */
function readDetector({ key: name, at, value }: Entry, checkAt: ReturnType<typeof patternCheck>, report: Report): Detector {
  if (!isName(name)) report(at, `${quote(name)} is no name for a detector`, 'expected letters, digits, spaces, dots, dashes; at most 64')
  const found = fields(value, { what: 'detector', words: detectorWords }, report)
  const words = readTexts(found?.get('words'), 'words', report)
  const patterns = readTexts(found?.get('patterns'), 'patterns', report)
  const threshold = readThreshold(found?.get('threshold'), report)
  for (const { word, tree } of patterns) checkAt(word, tree)
  const looking = words.length + patterns.length
  if (isBuiltIn(name) && looking > 0)
    report(
      at,
      `${name} is a detector of the program: only its threshold can be set`,
      `give your own another name; the program brings ${oneOf(builtInNames, 'and')}`,
    )
  else if (!isBuiltIn(name) && found !== undefined && looking === 0)
    report(at, `detector ${quote(name)} looks for nothing`, 'add words or patterns')
  return {
    name,
    line: at.line,
    column: at.column,
    words: words.map(({ word }) => word),
    patterns: patterns.map(({ word }) => word),
    threshold,
  }
}

function readTexts(entry: Entry | undefined, kind: 'words' | 'patterns', report: Report): { readonly word: string; readonly tree: Tree }[] {
  if (entry === undefined) return []
  const items = list(entry.value)
  if (items.length > most[kind]) report(entry.at, `${items.length} ${kind}; at most ${most[kind]} are read`)
  return items.slice(0, most[kind]).flatMap((tree) => {
    // Numbers are words too: a project may be called 4711.
    const word = tree.kind === 'scalar' && typeof tree.value === 'number' ? String(tree.value) : text(tree, `one of the ${kind}`, report)
    if (word === undefined) return []
    if (word.length <= most.length) return [{ word, tree }]
    report(tree.at, `${word.length} characters; at most ${most.length} are read`)
    return []
  })
}

function readThreshold(entry: Entry | undefined, report: Report): number | undefined {
  if (entry === undefined) return undefined
  const { value } = entry
  if (
    value.kind === 'scalar' &&
    typeof value.value === 'number' &&
    Number.isInteger(value.value) &&
    value.value >= 1 &&
    value.value <= most.threshold
  )
    return value.value
  report(value.at, `expected how many finds it takes, from 1 to ${most.threshold}, found ${described(value)}`)
  return undefined
}
