/** Looks for all patterns of a detector: one table for all of them tells whether any finds something, which most texts do not hold. */
import { RE2JSException } from 're2js'
import { alphabetOf } from './alphabet.ts'
import { type Automaton, createAutomaton, tooLarge } from './automaton.ts'
import type { Find } from './find.ts'
import { graphOf } from './graph.ts'
import { compilePattern, type Pattern } from './pattern.ts'
import { unitsOf } from './units.ts'

/** What a thread keeps from mail to mail: compiling a pattern costs as much as reading a page with it. */
const most = { patterns: 500, filters: 300, cells: 2_000_000 }

const patterns = keeper<Pattern>(most.patterns)
const filters = keeper<Automaton>(most.filters)

/** The finds of one pattern after the other. Patterns that cannot be used find nothing: the policy's check has refused them. */
export function* findPatterns(text: string, sources: readonly string[]): Generator<Find> {
  if (sources.length > 1 && !mayFind(text, sources)) return
  for (const source of sources) {
    const pattern = patterns.get(source, () => {
      const compiled = compilePattern(source)
      return compiled.kind === 'pattern' ? compiled.pattern : undefined
    })
    yield* pattern?.find(text) ?? []
  }
}

/** Whether any of several patterns finds something; yes, when they are too large together to know. */
function mayFind(text: string, sources: readonly string[]): boolean {
  const together = sources.map((source) => `(?:${source})`).join('|')
  const found = filters.get(together, () => filterOf(together))?.read(unitsOf(text), 0, text.length) ?? tooLarge
  if (found === tooLarge) filters.drop(together)
  return found !== -1
}

function filterOf(together: string): Automaton | undefined {
  // It quotes all that follows.
  if (together.includes('\\Q')) return undefined
  try {
    const graph = graphOf(together)
    return graph && createAutomaton(graph, alphabetOf(graph), { isBackwards: false, isSearch: true })
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    return undefined
  }
}

/** Keeps what was asked for last; `undefined` is kept, too. */
function keeper<Value extends { readonly size: () => { readonly cells: number } }>(count: number) {
  const kept = new Map<string, Value | undefined>()
  const put = (source: string, value: Value | undefined) => {
    kept.delete(source)
    kept.set(source, value)
    const oldest = kept.size > count ? kept.keys().next().value : undefined
    if (oldest !== undefined) kept.delete(oldest)
  }
  const cells = () => [...kept.values()].reduce((sum, value) => sum + (value?.size().cells ?? 0), 0)
  return {
    get: (source: string, make: () => Value | undefined): Value | undefined => {
      const isKept = kept.has(source)
      if (!isKept && cells() > most.cells) kept.clear()
      const value = isKept ? kept.get(source) : make()
      put(source, value)
      return value
    },
    drop: (source: string) => put(source, undefined),
  }
}
