/** Patterns of own detectors: regular expressions that look through any text in a few steps for each character, or are refused. */
import { RE2JSException } from 're2js'
import { alphabetOf } from './alphabet.ts'
import { type Automaton, createAutomaton, mostOfTable, type Size, tooLarge } from './automaton.ts'
import type { Find } from './find.ts'
import { type Graph, graphOf } from './graph.ts'
import { reversed } from './reversed.ts'
import { unitsOf } from './units.ts'

/** A pattern ready to look with. */
export type Pattern = {
  /** Finds from the beginning of a text to its end, none of which overlaps another. */
  readonly find: (text: string) => Iterable<Find>
  /** Make all of its tables, whatever texts may come; false: together they are larger than one may be (mostOfTable). */
  readonly complete: () => boolean
  readonly size: () => Size
  /** Characters read, those read twice counted twice. */
  readonly steps: () => number
}

/** A find is as long as it can be, so far as that many characters behind its end tell. Else each of a thousand finds might read to the end of the text. */
const patience = 1000

/** Ends of the sentence `the pattern "…" …`, and what to write instead. */
export type Wrong = { readonly text: string; readonly hint: string }
const wrong = {
  empty: { text: 'finds nothing everywhere: it matches empty text', hint: 'write what must stand there at least once: a+ for a*' },
  large: { text: 'is too large', hint: 'repeat less: with every repeat written out it may have some 2,500 characters' },
  slow: {
    text: 'cannot be looked for fast enough in every text',
    hint: 'many repeats of an exact number are slow to tell apart: write .{0,20} for .{20}, a smaller number, \\d+ for \\d{5,30}, or two patterns',
  },
} as const satisfies { readonly [name: string]: Wrong }

/** `work`: what it took so far (see Size.work). */
type Compiled = { readonly work: number } & (
  | { readonly kind: 'pattern'; readonly pattern: Pattern }
  | { readonly kind: 'wrong'; readonly wrong: Wrong }
)

/** Compile a pattern of RE2's language (no look-around, no back-references), case ignored. Quick: its tables are made later. */
export function compilePattern(source: string): Compiled {
  let work = toParse(source)
  try {
    const graph = repeatsOf(source) > 2500 ? undefined : graphOf(source)
    const backwards = graph === undefined ? undefined : reversed(graph)
    if (graph === undefined || backwards === undefined) return { kind: 'wrong', wrong: wrong.large, work: work + mostOfTable.work }
    work += toFollow(graph) + toFollow(backwards)
    if (matchesEmpty(graph)) return { kind: 'wrong', wrong: wrong.empty, work }
    return { kind: 'pattern', pattern: createPattern(graph, backwards), work }
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    // The flags before the pattern are ours (graph.ts).
    const text = `cannot be used: ${error.message
      .replace(/^error parsing regexp: /, '')
      .replace('`(?m)(?i)', '`')
      .slice(0, 120)}`
    return { kind: 'wrong', wrong: { text, hint: 'patterns are regular expressions without look-around and back-references' }, work }
  }
}

/** What is wrong with a pattern, if anything, and what it took to tell (see Size.work). */
export function checkPattern(source: string): { readonly wrong?: Wrong; readonly work: number } {
  const compiled = compilePattern(source)
  if (compiled.kind === 'wrong') return compiled
  const isFast = compiled.pattern.complete()
  return { ...(isFast ? {} : { wrong: wrong.slow }), work: compiled.work + compiled.pattern.size().work }
}

/** Repeats are written out; of a range, re2js asks for each character whether it has another case; a class such as \pL is some thousand ranges. */
function toParse(source: string): number {
  const written = source.replace(/\\x(?:\{([0-9a-f]{1,6})\}|([0-9a-f]{2}))/gi, (_, long?: string, short?: string) =>
    String.fromCodePoint(Math.min(Number.parseInt(long ?? short ?? '0', 16), 0x10ffff)),
  )
  const ranges = [...written.matchAll(/(.)(?=-(.))/gsu)].map(
    ([, from = '', to = '']) => Math.min(to.codePointAt(0) ?? 0, lastCased) - (from.codePointAt(0) ?? 0),
  )
  const classes = source.match(/\\p/gi)?.length ?? 0
  return 100 * source.length + 150 * repeatsOf(source) + 12_000 * classes + 2 * ranges.reduce((sum, length) => sum + Math.max(0, length), 0)
}
const lastCased = 0x1e943

/** Ways are followed one by one; what leads to its like may be in a chain (dominance.ts): long ones are gone over again and again. */
function toFollow({ next, setOf }: Graph): number {
  let [ways, chained] = [0, 0]
  for (const [node, all] of next.entries()) {
    ways += all.length
    if (setOf[node] !== -1 && all.some((after) => after !== node && setOf[after] === setOf[node])) chained += 1
  }
  return 6 * ways + 1000 * Math.max(0, chained - 20)
}

/** At least so many characters has the pattern with its repeats written out: most that are too large are known before they are. */
const repeatsOf = (source: string): number =>
  [...source.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].reduce((sum, [, least, most]) => sum + Number(most || least), 0)

/** Of what could be found behind the last find, that which ends first is found; it begins as early, and then ends as late, as it can. */
function createPattern(graph: Graph, backwards: Graph): Pattern {
  const alphabet = alphabetOf(graph)
  const ends = createAutomaton(graph, alphabet, { isBackwards: false, isSearch: true })
  const begins = createAutomaton(backwards, alphabet, { isBackwards: true, isSearch: false })
  const whole = createAutomaton(graph, alphabet, { isBackwards: false, isSearch: false })
  const all: readonly Automaton[] = [ends, begins, whole]
  return {
    *find(text) {
      const units = unitsOf(text)
      for (let [behind, end] = [0, 0]; behind < text.length; behind = end) {
        end = sure(ends.read(units, behind, text.length))
        if (end < 0) return
        const from = sure(begins.read(units, end, behind))
        end = sure(whole.read(units, from, text.length, patience))
        yield { from, to: end }
      }
    },
    complete: () => {
      let left = mostOfTable
      for (const { complete, size } of all) {
        if (!complete(left)) return false
        const { cells, work } = size()
        left = { cells: left.cells - cells, work: left.work - work }
      }
      return true
    },
    size: () => all.map(({ size }) => size()).reduce((sum, one) => ({ cells: sum.cells + one.cells, work: sum.work + one.work })),
    steps: () => all.reduce((sum, { steps }) => sum + steps(), 0),
  }
}

/** A mail that cannot be looked through counts as one with finds. */
function sure(read: number): number {
  if (read === tooLarge) throw new Error('a pattern asks for tables that its check would have refused')
  return read
}

/** Is there a way from start to end that takes no character, whatever its conditions say? */
function matchesEmpty({ start, end, next, setOf }: Graph): boolean {
  const reached = new Set(next[start])
  for (const node of reached) if (setOf[node] === -1) for (const after of next[node] ?? []) reached.add(after)
  return reached.has(end)
}
