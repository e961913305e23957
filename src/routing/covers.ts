/** Tells whether one condition holds wherever another does: how lint finds rules that are never reached. */
import { namesAllOf } from './patterns.ts'
import type { Condition, HeaderTest } from './policy.ts'

/** True only when it is certain that `wide` matches all mail that `narrow` matches; false also when in doubt. */
export function covers(wide: Condition, narrow: Condition): boolean {
  // What must be looked into comes first: every branch of an alternative, every part of a conjunction.
  if (narrow.kind === 'any') return narrow.conditions.every((branch) => covers(wide, branch))
  if (wide.kind === 'all') return wide.conditions.every((part) => covers(part, narrow))
  if (wide.kind === 'any' && wide.conditions.some((branch) => covers(branch, narrow))) return true
  if (narrow.kind === 'all') return narrow.conditions.some((part) => covers(wide, part))
  switch (wide.kind) {
    case 'from':
    case 'header-from':
    case 'to':
      return narrow.kind === wide.kind && namesAllOf(wide.patterns, narrow.patterns)
    case 'subject-tag':
      return narrow.kind === 'subject-tag' && narrow.tags.every((tag) => wide.tags.includes(tag))
    case 'is':
      return narrow.kind === 'is' && narrow.traits.every((trait) => wide.traits.includes(trait))
    case 'detect':
      return narrow.kind === 'detect' && narrow.detectors.every((name) => wide.detectors.includes(name))
    case 'authenticated-as':
      return narrow.kind === 'authenticated-as' && narrow.names.every((name) => wide.names.includes(name))
    case 'client':
      return narrow.kind === 'client' && narrow.networks.every((network) => wide.networks.includes(network))
    case 'size':
      return narrow.kind === 'size' && from(wide.over) <= from(narrow.over) && to(wide.under) >= to(narrow.under)
    case 'header':
      return narrow.kind === 'header' && sameName(wide.name, narrow.name) && coversTest(wide.test, narrow.test)
    case 'not':
      return narrow.kind === 'not' && covers(narrow.condition, wide.condition)
    case 'any':
      return false
  }
}

const from = (over: number | undefined): number => over ?? -1
const to = (under: number | undefined): number => under ?? Number.POSITIVE_INFINITY

const sameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()

function coversTest(wide: HeaderTest, narrow: HeaderTest): boolean {
  if (wide.kind === 'present') return narrow.kind === 'present' ? wide.present === narrow.present : wide.present
  if (narrow.kind === 'present' || (wide.kind === 'equals' && narrow.kind === 'contains')) return false
  const meets = (value: string, wanted: string) =>
    wide.kind === 'equals' ? value.toLowerCase() === wanted.toLowerCase() : value.toLowerCase().includes(wanted.toLowerCase())
  return narrow.values.every((value) => wide.values.some((wanted) => meets(value, wanted)))
}
