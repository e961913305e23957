/** Reads a text with one look into a table for each character: the automaton of a graph, whose rows are made when texts first ask for them. */
import { type Alphabet, conditionsBetween, kindOfUnit, kinds } from './alphabet.ts'
import { dominance } from './dominance.ts'
import type { Graph } from './graph.ts'
import { createRows, unmade } from './rows.ts'
import { characterAt } from './units.ts'

export type Automaton = {
  /**
   * Read from `from` up to `to`, and tell where a match ends: for a search the first that does, else the last; -1: none. What has matched once
   * goes on for at most `patience` characters without matching again. `tooLarge`: the text asks for more than a table may hold.
   */
  readonly read: (units: Uint16Array, from: number, to: number, patience?: number) => number
  /** Make every row that any text may ask for; false: the table is larger than that. */
  readonly complete: (most: Size) => boolean
  readonly size: () => Size
  /** Characters read since it was made. */
  readonly steps: () => number
}

/** An answer of `read`; never of an automaton that was once completed within `mostOfTable`. */
export const tooLarge = -2

/** Cells of the table, and what it took to make them: looks at nodes of the graph. */
export type Size = { readonly cells: number; readonly work: number }

/** So large that a table is made in some 20 ms, while a first text asks for all of it. */
export const mostOfTable: Size = { cells: 150_000, work: 650_000 }
/** What it takes to tell whether a row is known, in looks at a node. */
const costOfRow = 100

export type Reading = {
  /** From the end of a text to its beginning; of a graph that is reversed. */
  readonly isBackwards: boolean
  /** Matches may begin anywhere; else where reading begins. */
  readonly isSearch: boolean
}

/**
 * A row stands for a set of nodes: those that the next character may belong to, or whose condition it decides, and the node of the end. A cell
 * is the next row, doubled, and 1 more when a match ended before the character: that is known one character later, for a condition may look at
 * it. Rows are made by the thousand while a text waits: their nodes stand in plain arrays, the first so many of them.
 */
export function createAutomaton(graph: Graph, alphabet: Alphabet, { isBackwards, isSearch }: Reading): Automaton {
  const { classes, end: endColumn, width, kindOf, members } = alphabet
  const { begins, nodes: nextNodes } = flattened(graph.next)
  const rows = createRows(width, graph.needs)
  const dominate = dominance(graph)
  const isConditional = graph.needs.some((bits) => bits !== 0)
  const columnsWhere = (is: (column: number) => boolean): readonly number[] => Array.from({ length: classes }, (_, i) => i).filter(is)
  const columnsOfKind = Object.values(kinds).map((kind) =>
    kind === kinds.none ? [endColumn] : columnsWhere((column) => kindOf[column] === kind),
  )
  const alike = new Map<string, readonly (readonly number[])[]>()
  const starts: (number | undefined)[] = []
  const seen = new Int32Array(graph.next.length)
  const seenSets = new Int32Array(members.length)
  const startNode = Int32Array.of(graph.start)
  const from = new Int32Array(graph.next.length)
  const after = new Int32Array(graph.next.length)
  let [round, work, steps] = [0, 0, 0]

  /** Add what comes after the nodes from `begin` to `end` of `nodes` that take the characters of a column (-1: after all of them) to the first `size` of `into`. */
  const spread = (nodes: Int32Array, begin: number, end: number, column: number, into: Int32Array, size: number): number => {
    for (let i = begin; i < end; i++) {
      const node = nodes[i] ?? 0
      if (column >= 0 && members[graph.setOf[node] ?? -1]?.[column] !== 1) continue
      const last = begins[node + 1] ?? 0
      for (let k = begins[node] ?? 0; k < last; k++) {
        const one = nextNodes[k] ?? 0
        if (seen[one] === round) continue
        seen[one] = round
        into[size++] = one
      }
    }
    return size
  }

  /** The row where reading begins behind a character of that kind. */
  const startAt = (kind: number): number => {
    const known = starts[kind]
    if (known !== undefined) return known
    round += 1
    const row = rows.rowOf(after, dominate(after, spread(startNode, 0, 1, -1, after, 0)), kind)
    starts[kind] = row
    return row
  }

  /** Put the nodes of a row into `from`, and those behind conditions that hold between its kind and this one; how many they are. */
  const nodesBetween = (row: number, nextKind: number): number => {
    let count = rows.copyNodes(row, from)
    if (!isConditional) return count
    const kind = rows.kindAt(row)
    const held = isBackwards ? conditionsBetween(nextKind, kind) : conditionsBetween(kind, nextKind)
    round += 1
    for (let i = 0; i < count; i++) seen[from[i] ?? 0] = round
    // Grows while it is walked.
    for (let i = 0; i < count; i++) {
      const needed = graph.needs[from[i] ?? 0] ?? 0
      if (needed !== 0 && (needed & ~held) === 0) count = spread(from, i, i + 1, -1, from, count)
    }
    return count
  }

  /** Start and end have the lowest numbers: of a row they come first, and behind the others only what a condition let in. */
  const isEndAmong = (count: number): boolean => {
    const first = Math.min(count, isConditional ? count : 2)
    for (let i = 0; i < first; i++) if (from[i] === graph.end) return true
    return false
  }

  /** The row to which the characters of a column lead from the first `count` nodes of `from`. */
  const rowAfter = (count: number, column: number, kind: number): number => {
    round += 1
    let size = spread(from, 0, count, column, after, 0)
    work += costOfRow + ((count + size) >> 1)
    if (size === 0) return isSearch ? startAt(kind) : rows.dead
    if (isSearch) size = spread(startNode, 0, 1, -1, after, size)
    return rows.rowOf(after, dominate(after, size), kind)
  }

  /** Make the cells of a row: of columns that all its nodes treat alike, once. */
  const make = (row: number): void => {
    for (const [kind, columns] of columnsOfKind.entries()) {
      if (columns.length === 0) continue
      const count = nodesBetween(row, kind)
      const matched = isEndAmong(count) ? 1 : 0
      if (kind === kinds.none || (isSearch && matched === 1)) {
        for (const column of columns) rows.cells()[row + column] = 2 * rows.dead + matched
        continue
      }
      for (const group of alikeColumns(count, kind)) {
        const cell = 2 * rowAfter(count, group[0] ?? 0, kind) + matched
        const cells = rows.cells()
        for (const column of group) cells[row + column] = cell
      }
    }
  }

  /** The columns of a kind, those together that are in the same sets of the first `count` nodes of `from`. */
  const alikeColumns = (count: number, kind: number): readonly (readonly number[])[] => {
    round += 1
    let key = String.fromCharCode(kind)
    for (let i = 0; i < count; i++) {
      const set = graph.setOf[from[i] ?? 0] ?? -1
      if (set < 0 || seenSets[set] === round) continue
      seenSets[set] = round
      key += String.fromCharCode(set)
    }
    const known = alike.get(key)
    if (known !== undefined) return known
    const groups = new Map<string, number[]>()
    for (const column of columnsOfKind[kind] ?? []) {
      let name = ''
      for (let i = 1; i < key.length; i++) name += members[key.charCodeAt(i)]?.[column] === 1 ? 'x' : '-'
      const group = groups.get(name)
      if (group === undefined) groups.set(name, [column])
      else group.push(column)
      work += key.length
    }
    alike.set(key, [...groups.values()])
    return [...groups.values()]
  }

  const cellAt = (row: number, column: number): number => {
    if (rows.cells()[row + column] === unmade) make(row)
    return rows.cells()[row + column] ?? unmade
  }

  const kindAround = (units: Uint16Array, at: number): number => {
    const outside = isBackwards ? at : at - 1
    return outside < 0 || outside >= units.length ? kinds.none : kindOfUnit(units[outside] ?? 0)
  }

  const isLarger = (most: Size): boolean => rows.end() > most.cells || work > most.work
  const read: Automaton['read'] = (units, from, to, patience = units.length) => {
    const { pages, columns } = alphabet.units()
    const [step, ahead] = isBackwards ? [-1, -1] : [1, 0]
    let row = startAt(kindAround(units, from))
    let cells = rows.cells()
    let [at, limit, found] = [from, to, -1]
    while (at !== limit) {
      const unit = units[at + ahead] ?? 0
      let cell = cells[row + (columns[((pages[unit >> 8] ?? 0) << 8) + (unit & 255)] ?? 0)] ?? unmade
      if ((cell & 1) === 1) {
        let size = 1
        if (cell === unmade) {
          if (row === rows.dead) break
          const code = characterAt(units, at, isBackwards)
          size = code > 0xffff ? 2 : 1
          // Patience ends inside a character.
          if (size > Math.abs(limit - at)) break
          cell = cellAt(row, alphabet.classOf(code))
          if (isLarger(mostOfTable)) return tooLarge
          cells = rows.cells()
        }
        if ((cell & 1) === 1) {
          found = at
          if (isSearch) break
          limit = Math.abs(to - at) > patience ? at + (isBackwards ? -patience : patience) : to
        }
        // Never by adding 0 * -1: numbers that are not small integers are slow.
        if (size === 2) at += step
      }
      row = cell >> 1
      at += step
    }
    steps += Math.abs(at - from) + 1
    if (at !== to || row === rows.dead || (isSearch && found >= 0)) return found
    const isEdge = to === (isBackwards ? 0 : units.length)
    const last = cellAt(row, isEdge ? endColumn : alphabet.classOf(characterAt(units, to, isBackwards)))
    return (last & 1) === 1 ? to : found
  }

  const complete: Automaton['complete'] = (most) => {
    for (const kind of Object.values(kinds)) startAt(kind)
    for (let row = rows.dead + width; row < rows.end(); row += width) {
      if (isLarger(most)) return false
      cellAt(row, endColumn)
    }
    return !isLarger(most)
  }
  return { read, complete, size: () => ({ cells: rows.end(), work }), steps: () => steps }
}

/** The lists one behind the other; that of `i` from begins[i] to begins[i + 1]. */
function flattened(lists: readonly (readonly number[])[]): { readonly begins: Int32Array; readonly nodes: Int32Array } {
  const begins = new Int32Array(lists.length + 1)
  for (const [i, list] of lists.entries()) begins[i + 1] = (begins[i] ?? 0) + list.length
  return { begins, nodes: Int32Array.from(lists.flat()) }
}
