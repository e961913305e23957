/** Leaves out of a crowd of nodes those that can match nothing that another of the crowd cannot: it keeps tables small for `.{0,50}`. */
import type { Graph } from './graph.ts'

/**
 * `a.{0,50}b`: of two ways through the fifty characters, the one that has more of them left finds whatever the other finds. Nodes are put in
 * chains, each of which can do all that the next can; of a chain only the first one present is kept. Works on the first `count` nodes where
 * they stand, and puts what remains in order; returns how many they are.
 */
export function dominance(graph: Graph): (nodes: Int32Array, count: number) => number {
  const { chainOf, rankOf } = chainsOf(graph)
  const firstOf = new Int32Array(graph.next.length).fill(-1)
  const isAlone = rankOf.every((rank) => rank === 0)
  return (nodes, count) => {
    if (isAlone) return order(nodes, count)
    for (let i = 0; i < count; i++) {
      const node = nodes[i] ?? 0
      const chain = chainOf[node] ?? node
      const first = firstOf[chain] ?? -1
      if (first < 0 || (rankOf[node] ?? 0) < (rankOf[first] ?? 0)) firstOf[chain] = node
    }
    let kept = 0
    for (let i = 0; i < count; i++) {
      const node = nodes[i] ?? 0
      const chain = chainOf[node] ?? node
      if (firstOf[chain] !== node) continue
      nodes[kept++] = node
    }
    for (let i = 0; i < kept; i++) firstOf[chainOf[nodes[i] ?? 0] ?? 0] = -1
    return order(nodes, kept)
  }
}

/** Most are in order. */
function order(nodes: Int32Array, count: number): number {
  for (let i = 1; i < count; i++) if ((nodes[i] ?? 0) < (nodes[i - 1] ?? 0)) nodes.subarray(0, count).sort()
  return count
}

/** A node alone is a chain of its own. */
function chainsOf({ next, setOf }: Graph): { readonly chainOf: Int32Array; readonly rankOf: Int32Array } {
  const betters = bettersOf(next, setOf)
  dropWrong(betters, next)
  const [chainOf, rankOf] = [Int32Array.from(next.keys()), new Int32Array(next.length)]
  const after = new Map<number, number>()
  for (const [node, better] of betters) if (!after.has(better)) after.set(better, node)
  const hasBetter = new Set(after.values())
  for (const first of after.keys()) {
    if (hasBetter.has(first)) continue
    let rank = 0
    for (let node: number | undefined = first; node !== undefined; node = after.get(node)) {
      chainOf[node] = first
      rankOf[node] = rank++
    }
  }
  return { chainOf, rankOf }
}

/** For each node the nearest one of the same set that leads to it: it may be able to do all that the node can, and one character more. */
function bettersOf(next: Graph['next'], setOf: Int32Array): Map<number, number> {
  const betters = new Map<number, number>()
  for (const [node, all] of next.entries())
    for (const after of all) {
      if (after === node || setOf[after] === -1 || setOf[after] !== setOf[node]) continue
      const other = betters.get(after)
      if (other === undefined || Math.abs(node - after) < Math.abs(other - after)) betters.set(after, node)
    }
  return betters
}

/** Better is who leads wherever the other leads, or to one that is better than that: what remains when all that are not have been dropped. */
function dropWrong(betters: Map<number, number>, next: Graph['next']): void {
  const reached = new Int32Array(next.length)
  let round = 0
  const isBetter = (better: number, node: number): boolean => {
    round += 1
    for (const one of next[better] ?? []) reached[one] = round
    return (next[node] ?? []).every((one) => reached[one] === round || reached[betters.get(one) ?? -1] === round)
  }
  const sweep = (all: readonly (readonly [number, number])[]): boolean => {
    const before = betters.size
    for (const [node, better] of all) if (betters.has(node) && !isBetter(better, node)) betters.delete(node)
    return betters.size < before
  }
  // What one drops makes another wrong that leads to it: from the back of the pattern to its front, then the other way.
  for (let sweeps = 0; sweep([...betters].sort(([a], [b]) => (sweeps % 2 === 0 ? b - a : a - b))); sweeps++)
    if (sweeps === 20) betters.clear()
}
