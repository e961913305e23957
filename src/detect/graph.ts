/** Makes of a pattern the graph of its characters: which may stand first, which may follow which, and what must hold between them. */
import { RE2JS } from 're2js'

/**
 * Nodes are the start, the end and, for each place in the pattern, a character out of a set or a condition on what stands left and right of it.
 * A text matches when its characters lead from start to end.
 */
export type Graph = {
  readonly start: number
  readonly end: number
  /** Of each node the number of its set in `sets`; -1: it takes no character. */
  readonly setOf: Int32Array
  /** Of each node what must hold where it stands, as bits of `conditions`; 0: nothing. */
  readonly needs: Uint8Array
  readonly next: readonly (readonly number[])[]
  /** Code points: from, to, from, to … */
  readonly sets: readonly Int32Array[]
}

/** Numbered as in RE2. */
export const conditions = { lineStart: 1, lineEnd: 2, textStart: 4, textEnd: 8, wordEdge: 16, noWordEdge: 32 } as const

const most = { nodes: 2500, edges: 100_000 }
const [start, end] = [0, 1]

/** What re2js makes of a pattern. It promises no such interface: its version is exact, and test/detect/graph.test.ts watches over what we read. */
type Instruction = { readonly op: number; readonly out: number; readonly arg: number; readonly runes: Int32Array }
type Program = { readonly inst: readonly Instruction[]; readonly start: number }
const operation = {
  either: 1,
  eitherMatch: 2,
  capture: 3,
  condition: 4,
  match: 6,
  nothing: 7,
  firstCharacter: 8,
  lastCharacter: 11,
} as const
const foldCase = 1

/** The graph of a pattern of RE2's language, case ignored, `^` and `$` at lines. Undefined: too large. Throws RE2JSException: no pattern. */
export function graphOf(source: string): Graph | undefined {
  const program: Program = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE | RE2JS.MULTILINE).re2().prog
  const places = placesOf(program)
  const count = 2 + places.length
  if (count > most.nodes) return undefined
  const setOf = new Int32Array(count).fill(-1)
  const needs = new Uint8Array(count)
  const next: (readonly number[])[] = Array.from({ length: count }, () => [])
  const { all: sets, numberOf } = numberedSets()
  const nodesFrom = follower(program, places)
  let edges = 0
  const follow = (node: number, pc: number) => {
    const nodes = edges > most.edges ? [] : nodesFrom(pc)
    edges += nodes.length
    next[node] = nodes
  }
  follow(start, program.start)
  for (const [i, { op, out, arg, runes }] of places.entries()) {
    if (op === operation.condition) needs[2 + i] = arg
    else setOf[2 + i] = numberOf(runes, (arg & foldCase) !== 0)
    follow(2 + i, out)
  }
  return edges > most.edges ? undefined : { start, end, setOf, needs, next, sets }
}

/** The instructions that take a character or set a condition, in their order. */
function placesOf({ inst }: Program): readonly Instruction[] {
  return inst.filter(({ op }) => op === operation.condition || (op >= operation.firstCharacter && op <= operation.lastCharacter))
}

/** Tells the nodes that come next, from an instruction on: those met before any character and any condition. */
function follower({ inst }: Program, places: readonly Instruction[]): (pc: number) => number[] {
  const nodeOf = new Map(places.map((instruction, i) => [instruction, 2 + i]))
  const seen = new Int32Array(inst.length)
  let round = 0
  return (from) => {
    const nodes: number[] = []
    const left = [from]
    round += 1
    for (let pc = left.pop(); pc !== undefined; pc = left.pop()) {
      const instruction = inst[pc]
      if (instruction === undefined || seen[pc] === round) continue
      seen[pc] = round
      const { op, out, arg } = instruction
      const node = op === operation.match ? end : nodeOf.get(instruction)
      if (node !== undefined) nodes.push(node)
      else if (op === operation.either || op === operation.eitherMatch) left.push(out, arg)
      else if (op === operation.capture || op === operation.nothing) left.push(out)
    }
    return nodes.sort((a, b) => a - b)
  }
}

/** Each set once, however often a pattern repeats it. */
function numberedSets() {
  const all: Int32Array[] = []
  const numbers = new Map<Int32Array | string, number>()
  const numberOf = (runes: Int32Array, folded: boolean): number => {
    const known = folded ? undefined : numbers.get(runes)
    if (known !== undefined) return known
    const key = `${folded} ${runes.join()}`
    const number = numbers.get(key) ?? all.push(rangesOf(runes, folded)) - 1
    numbers.set(key, number)
    if (!folded) numbers.set(runes, number)
    return number
  }
  return { all, numberOf }
}

/** A single character stands for itself, or for all that are the same but for their case. */
function rangesOf(runes: Int32Array, folded: boolean): Int32Array {
  const only = runes[0]
  if (runes.length !== 1 || only === undefined) return runes
  return folded ? casesOf(only) : Int32Array.of(only, only)
}

const cases = new Map<number, Int32Array>()

/** `k` is K, k and the Kelvin sign. re2js tells it of a class with one more character, U+0000 here, which comes first. */
function casesOf(rune: number): Int32Array {
  const known = cases.get(rune)
  if (known !== undefined) return known
  const { inst }: Program = RE2JS.compile(`[\\x00\\x{${rune.toString(16)}}]`, RE2JS.CASE_INSENSITIVE).re2().prog
  const ranges = (inst[1]?.runes ?? Int32Array.of(0, 0, rune, rune)).slice(2)
  cases.set(rune, ranges)
  return ranges
}
