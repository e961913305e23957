/** Turns the graph of a pattern round, so that it reads a text from its end to its beginning. */
import type { Graph } from './graph.ts'

const mostEdges = 100_000

/**
 * Undefined: too large. `x{0,3}` followed by y is x₁ x₂ x₃ with a way from each to y; turned round as it stands, y would go on to all three at
 * once, and the automaton would carry whole crowds along. Such a row of options is therefore left at its end and entered anywhere, which turned
 * round is again: entered at its beginning and left anywhere.
 */
export function reversed(graph: Graph): Graph | undefined {
  const rows = optionRows(graph)
  const later = new Set(rows.flatMap((row) => row.slice(1)))
  const next: (readonly number[])[] = graph.next.map(() => [])
  const before: number[][] = graph.next.map(() => [])
  for (const [node, all] of graph.next.entries())
    if (!later.has(node)) for (const after of all) if (!later.has(after)) before[after]?.push(node)
  let edges = 0
  for (const [node, all] of before.entries()) {
    next[node] = all
    edges += all.length
  }
  for (const row of rows) {
    const outside = before[row[0] ?? 0] ?? []
    edges += row.length * (outside.length + 1)
    if (edges > mostEdges) return undefined
    for (const [i, node] of row.entries()) next[node] = [...outside, ...row.slice(i + 1, i + 2)]
  }
  return { ...graph, start: graph.end, end: graph.start, next }
}

/** Nodes of the same set, each but the first entered from the one before alone, that lead to the next one of them and, all of them, to the same others. */
function optionRows({ next, setOf }: Graph): readonly (readonly number[])[] {
  const entries = new Int32Array(next.length)
  for (const all of next) for (const node of all) entries[node] = (entries[node] ?? 0) + 1
  const optionAfter = (node: number): number | undefined =>
    setOf[node] === -1 ? undefined : next[node]?.find((after) => after !== node && setOf[after] === setOf[node] && entries[after] === 1)
  const afterOf = new Map<number, number>()
  for (const node of next.keys()) {
    const after = optionAfter(node)
    if (after !== undefined) afterOf.set(node, after)
  }
  const entered = new Set(afterOf.values())
  const rows: number[][] = []
  for (const first of afterOf.keys()) {
    if (entered.has(first)) continue
    const nodes = [first]
    for (let node = afterOf.get(first); node !== undefined; node = afterOf.get(node)) nodes.push(node)
    rows.push(...cutByWaysOut(nodes, next))
  }
  return rows.filter((row) => row.length > 1 && !(next[row.at(-1) ?? 0] ?? []).some((after) => row.includes(after)))
}

/** A row ends where the other nodes that may come next are not those of the node before. */
function cutByWaysOut(nodes: readonly number[], next: Graph['next']): number[][] {
  const rows: number[][] = []
  let ways = new Set<number>()
  for (const node of nodes.toReversed()) {
    const row = rows.at(-1)
    const after = next[node] ?? []
    const others = after.filter((one) => one !== row?.[0])
    if (row !== undefined && others.length === ways.size && others.every((one) => ways.has(one))) row.unshift(node)
    else {
      rows.push([node])
      ways = new Set(after)
    }
  }
  return rows
}
