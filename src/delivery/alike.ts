/** Puts things that are alike together, in the order of their first appearance (Map.groupBy arrives with Node 21). */

/** The items by their key. */
export function alike<Item>(items: readonly Item[], key: (item: Item) => string): Item[][] {
  if (items.length === 1) return [[...items]]
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return [...groups.values()]
}
