/** Reads groups among the approvers of a hold: `approvers: [group:heads, max@org.example]` asks each address of the group. */
import { mostApprovers } from '../methods/hold/hold.ts'
import type { Group } from './policy.ts'
import { quote, type Report, reportUnknown } from './problem.ts'
import { list } from './read.ts'
import type { Tree } from './tree.ts'

type Map = Tree & { readonly kind: 'map' }

/** The options of a hold with the addresses of its groups written out, and the names of those groups; undefined when one cannot be asked. */
export function withApprovers(
  options: Map,
  groups: ReadonlyMap<string, Group>,
  report: Report,
): { readonly options: Map; readonly groups: readonly string[] } | undefined {
  const written = options.entries.find(({ key }) => key === 'approvers')
  const named = written === undefined ? [] : list(written.value).flatMap((item) => groupName(item) ?? [])
  if (written === undefined || named.length === 0) return { options, groups: [] }
  if (list(written.value).length > mostApprovers) {
    report(written.value.at, `${list(written.value).length} approvers; at most ${mostApprovers} are asked`)
    return undefined
  }
  const items = list(written.value).map((item) => {
    const name = groupName(item)
    return name === undefined ? [item] : members(item, name, groups, report)
  })
  if (items.some((found) => found === undefined)) return undefined
  const value: Tree = { kind: 'list', at: written.value.at, items: once(items.flatMap((found) => found ?? [])) }
  return {
    options: { ...options, entries: options.entries.map((entry) => (entry === written ? { ...entry, value } : entry)) },
    groups: [...new Set(named)].sort(),
  }
}

const groupName = (item: Tree): string | undefined =>
  item.kind === 'scalar' && typeof item.value === 'string' && item.value.startsWith('group:')
    ? item.value.slice('group:'.length)
    : undefined

/** A mail goes to each of them, so each must be an address. */
function members(item: Tree, name: string, groups: ReadonlyMap<string, Group>, report: Report): readonly Tree[] | undefined {
  const group = groups.get(name)
  if (group === undefined) {
    if (groups.size === 0) report(item.at, `group ${quote(name)} is unknown`, 'the policy has no groups: add it under groups')
    else reportUnknown(report, item.at, 'group', name, () => [...groups.keys()])
    return undefined
  }
  const { address, domain, below } = group.members
  const [first] = below.keys()
  const [other = first && `*.${first}`] = domain.keys()
  if (other !== undefined) {
    report(
      item.at,
      `group ${quote(name)} cannot approve: ${quote(other)} is no address`,
      'approvers are asked by mail: list addresses in the group',
    )
    return undefined
  }
  // Before it is written out: a thousand rules that name one large group would be a large value.
  if (address.size > mostApprovers) {
    report(item.at, `group ${quote(name)} cannot approve: it has ${address.size} addresses, and at most ${mostApprovers} are asked`)
    return undefined
  }
  return [...address.keys()].map((value) => ({ kind: 'scalar', at: item.at, value }))
}

/** One mail each, however often somebody is named; sorted, so that the same people are the same list. */
const once = (items: readonly Tree[]): readonly Tree[] => [
  ...new Map([...items].sort((a, b) => (wordOf(a) < wordOf(b) ? -1 : 1)).map((item) => [wordOf(item), item])).values(),
]
const wordOf = (item: Tree): string => (item.kind === 'scalar' ? String(item.value) : '')
