/** The rows of an automaton's table, each known by the set of nodes that it stands for. */
import { kinds } from './alphabet.ts'

export type Rows = {
  /** The offset of the row of these nodes, the first `count` of `nodes` in order, reached behind a character of that kind. */
  readonly rowOf: (nodes: Int32Array, count: number, kind: number) => number
  /** Copy the nodes of a row; how many they are. */
  readonly copyNodes: (row: number, into: Int32Array) => number
  readonly kindAt: (row: number) => number
  /** All cells; another array when rows were added. */
  readonly cells: () => Int32Array
  /** Where the next row would begin. */
  readonly end: () => number
  /** The row without nodes: nothing matches any more. */
  readonly dead: number
}

/** A cell that is not made yet. No row begins at 0. */
export const unmade = 1

/** `needs`: rows differ by the kind of the character before them only where a node has a condition. */
export function createRows(width: number, needs: Uint8Array): Rows {
  const isConditional = needs.some((bits) => bits !== 0)
  // Of the row at `width * i`: its nodes from begins[i] to begins[i + 1], and its kind.
  let begins = new Int32Array(16)
  let nodesOfAll = new Int32Array(64)
  let kindOfAll = new Uint8Array(16)
  let cells = new Int32Array(8 * width).fill(unmade)
  // Open addressing: i of a row, 0: free.
  let slots = new Int32Array(64)
  let count = 1

  const isRow = (i: number, nodes: Int32Array, size: number, kind: number): boolean => {
    const begin = begins[i] ?? 0
    if ((begins[i + 1] ?? 0) - begin !== size || kindOfAll[i] !== kind) return false
    for (let k = 0; k < size; k++) if (nodesOfAll[begin + k] !== nodes[k]) return false
    return true
  }

  const add = (nodes: Int32Array, size: number, kind: number): number => {
    const begin = begins[count] ?? 0
    begins = roomFor(begins, count + 2)
    kindOfAll = roomFor(kindOfAll, count + 1)
    nodesOfAll = roomFor(nodesOfAll, begin + size)
    const before = cells.length
    cells = roomFor(cells, (count + 1) * width)
    cells.fill(unmade, before)
    nodesOfAll.set(nodes.subarray(0, size), begin)
    kindOfAll[count] = kind
    begins[count + 1] = begin + size
    count += 1
    return count - 1
  }

  const addToSlots = () => {
    const old = slots
    slots = new Int32Array(4 * old.length)
    for (let i = 1; i < count; i++) slots[freeSlot(hashOf(nodesOfAll, begins[i] ?? 0, begins[i + 1] ?? 0, kindOfAll[i] ?? 0))] = i
  }

  const freeSlot = (hash: number): number => {
    let slot = hash & (slots.length - 1)
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1)
    return slot
  }

  const rowOf: Rows['rowOf'] = (nodes, size, kindBefore) => {
    let kind: number = kinds.other
    if (isConditional) for (let k = 0; k < size && kind !== kindBefore; k++) if (needs[nodes[k] ?? 0] !== 0) kind = kindBefore
    const hash = hashOf(nodes, 0, size, kind)
    let slot = hash & (slots.length - 1)
    for (let i = slots[slot] ?? 0; i !== 0; i = slots[slot] ?? 0) {
      if (isRow(i, nodes, size, kind)) return i * width
      slot = (slot + 1) & (slots.length - 1)
    }
    const added = add(nodes, size, kind)
    slots[slot] = added
    if (2 * count > slots.length) addToSlots()
    return added * width
  }

  return {
    rowOf,
    dead: rowOf(new Int32Array(0), 0, kinds.other),
    copyNodes: (row, into) => {
      const [begin, end] = [begins[row / width] ?? 0, begins[row / width + 1] ?? 0]
      if (end - begin > 30) into.set(nodesOfAll.subarray(begin, end))
      else for (let k = begin; k < end; k++) into[k - begin] = nodesOfAll[k] ?? 0
      return end - begin
    },
    kindAt: (row) => kindOfAll[row / width] ?? kinds.other,
    cells: () => cells,
    end: () => count * width,
  }
}

/** FNV-1a. */
function hashOf(nodes: Int32Array, from: number, to: number, kind: number): number {
  let hash = Math.imul(0x811c9dc5 ^ kind, 0x01000193)
  for (let k = from; k < to; k++) hash = Math.imul(hash ^ (nodes[k] ?? 0), 0x01000193)
  return (hash ^ (hash >>> 15)) & 0x7fff_ffff
}

/** The same numbers in an array that has room for so many. */
function roomFor<Numbers extends Int32Array | Uint8Array>(numbers: Numbers, count: number): Numbers {
  if (count <= numbers.length) return numbers
  const larger = (numbers instanceof Int32Array ? new Int32Array(2 * count) : new Uint8Array(2 * count)) as Numbers
  larger.set(numbers)
  return larger
}
