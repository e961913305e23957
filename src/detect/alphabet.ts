/** Sorts all characters into the few classes that a pattern tells apart, so that a table needs one column for each class. */
import { conditions, type Graph } from './graph.ts'

/** What conditions ask about the character beside them. */
export const kinds = { none: 0, lineEnd: 1, word: 2, other: 3 } as const

export type Alphabet = {
  /** Classes of characters. Two columns follow theirs: the end of the text, and half of a character that is written as two UTF-16 units. */
  readonly classes: number
  readonly end: number
  readonly half: number
  readonly width: number
  readonly classOf: (codePoint: number) => number
  /** Of each class, where the pattern has conditions; `other` everywhere where it has none. */
  readonly kindOf: Uint8Array
  /** Of each set of the graph, 1 for each class in it. */
  readonly members: readonly Uint8Array[]
  /** The column of a UTF-16 unit: `columns[(pages[unit >> 8] << 8) + (unit & 255)]`. Made when first asked for. */
  readonly units: () => Units
}
export type Units = { readonly pages: Uint8Array; readonly columns: Uint16Array }

const lineEnds = Int32Array.of(10, 10, 13, 13)
const wordCharacters = Int32Array.of(48, 57, 65, 90, 95, 95, 97, 122)
const beyond = 0x110000

export function alphabetOf({ sets, needs }: Graph): Alphabet {
  const isConditional = needs.some((bits) => bits !== 0)
  const bounds = boundsOf(isConditional ? [...sets, lineEnds, wordCharacters] : sets)
  const classAt = new Int32Array(bounds.length)
  let classes = split(bounds, classAt, isConditional ? [...sets, lineEnds, wordCharacters] : sets)
  const intervalOf = (codePoint: number) => lastAtMost(bounds, codePoint)
  const classOf = (codePoint: number): number => classAt[intervalOf(codePoint)] ?? 0
  const kindOf = new Uint8Array(classes).fill(kinds.other)
  if (isConditional) for (const [i, from] of bounds.entries()) kindOf[classAt[i] ?? 0] = kindOfUnit(from)
  const members = sets.map((set) => {
    const all = new Uint8Array(classes)
    eachInterval(bounds, set, (i) => {
      all[classAt[i] ?? 0] = 1
    })
    return all
  })
  classes = Math.max(classes, 1)
  const [end, half] = [classes, classes + 1]
  let units: Units | undefined
  return {
    classes,
    end,
    half,
    width: classes + 2,
    classOf,
    kindOf,
    members,
    units: () => {
      units ??= unitsOf(bounds, classOf, half)
      return units
    },
  }
}

/** RE2's words are of ASCII letters, digits and `_`; mail ends its lines with CR LF. */
export function kindOfUnit(unit: number): number {
  if (unit === 10 || unit === 13) return kinds.lineEnd
  const isWord = (unit >= 48 && unit <= 57) || (unit >= 65 && unit <= 90) || unit === 95 || (unit >= 97 && unit <= 122)
  return isWord ? kinds.word : kinds.other
}

/** Which conditions hold between two kinds. */
export function conditionsBetween(left: number, right: number): number {
  const edge = (left === kinds.word) === (right === kinds.word) ? conditions.noWordEdge : conditions.wordEdge
  const lineStart = left === kinds.none || left === kinds.lineEnd ? conditions.lineStart : 0
  const lineEnd = right === kinds.none || right === kinds.lineEnd ? conditions.lineEnd : 0
  return edge | lineStart | lineEnd | (left === kinds.none ? conditions.textStart : 0) | (right === kinds.none ? conditions.textEnd : 0)
}

/** Where intervals begin whose characters no set tells apart, in order. */
function boundsOf(sets: readonly Int32Array[]): Int32Array {
  const bounds = new Set([0])
  for (const set of sets)
    for (let i = 0; i < set.length; i += 2) {
      bounds.add(set[i] ?? 0)
      bounds.add((set[i + 1] ?? 0) + 1)
    }
  bounds.delete(beyond)
  return Int32Array.from(bounds).sort()
}

/** Give the intervals that are in the same sets the same number; how many numbers there are. */
function split(bounds: Int32Array, classAt: Int32Array, sets: readonly Int32Array[]): number {
  let last = 0
  for (const set of sets) {
    const renamed = new Map<number, number>()
    eachInterval(bounds, set, (i) => {
      const old = classAt[i] ?? 0
      const name = renamed.get(old) ?? ++last
      renamed.set(old, name)
      classAt[i] = name
    })
  }
  const compact = new Map<number, number>()
  for (const [i, name] of classAt.entries()) {
    const number = compact.get(name) ?? compact.size
    compact.set(name, number)
    classAt[i] = number
  }
  return compact.size
}

function eachInterval(bounds: Int32Array, set: Int32Array, each: (interval: number) => void): void {
  for (let i = 0; i < set.length; i += 2) {
    const to = set[i + 1] ?? 0
    for (let interval = lastAtMost(bounds, set[i] ?? 0); (bounds[interval] ?? beyond) <= to; interval++) each(interval)
  }
}

function lastAtMost(bounds: Int32Array, value: number): number {
  let [low, high] = [0, bounds.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((bounds[middle] ?? beyond) <= value) low = middle
    else high = middle - 1
  }
  return low
}

/** Most pages hold one class alone, and are one page. */
function unitsOf(bounds: Int32Array, classOf: Alphabet['classOf'], half: number): Units {
  const pages = new Uint8Array(256)
  const columns: Uint16Array[] = []
  const uniform = new Map<number, number>()
  for (let page = 0; page < 256; page++) {
    const from = page << 8
    const isHalves = page >= 0xd8 && page < 0xe0
    const isUniform = isHalves || lastAtMost(bounds, from) === lastAtMost(bounds, from + 255)
    const column = isHalves ? half : classOf(from)
    const known = isUniform ? uniform.get(column) : undefined
    pages[page] = known ?? columns.length
    if (known !== undefined) continue
    if (isUniform) uniform.set(column, columns.length)
    columns.push(isUniform ? new Uint16Array(256).fill(column) : Uint16Array.from({ length: 256 }, (_, i) => classOf(from + i)))
  }
  const all = new Uint16Array(256 * columns.length)
  for (const [i, page] of columns.entries()) all.set(page, 256 * i)
  return { pages, columns: all }
}
