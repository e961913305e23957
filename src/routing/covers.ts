/** Tells whether one condition holds wherever another does: how lint finds rules that are never reached. */
import { type Effort, namesAllOf } from './patterns.ts'
import type { Condition, HeaderTest } from './policy.ts'

/** True only when it is certain that `wide` matches all mail that `narrow` matches; false also when in doubt, and where `effort` has ended. */
export function covers(wide: Condition, narrow: Condition, effort: Effort = { left: Number.POSITIVE_INFINITY }): boolean {
  effort.left -= 1
  if (effort.left < 0) return false
  // What must be looked into comes first: every branch of an alternative, every part of a conjunction.
  if (narrow.kind === 'any') return narrow.conditions.every((branch) => covers(wide, branch, effort))
  if (wide.kind === 'all') return wide.conditions.every((part) => covers(part, narrow, effort))
  if (wide.kind === 'any' && wide.conditions.some((branch) => covers(branch, narrow, effort))) return true
  if (narrow.kind === 'all') return narrow.conditions.some((part) => covers(wide, part, effort))
  switch (wide.kind) {
    case 'from':
    case 'header-from':
    case 'to':
      return narrow.kind === wide.kind && namesAllOf(wide.patterns, narrow.patterns, effort)
    case 'subject-tag':
      return narrow.kind === 'subject-tag' && allIn(narrow.tags, wide.tags, effort)
    case 'is':
      return narrow.kind === 'is' && allIn(narrow.traits, wide.traits, effort)
    case 'detect':
      return narrow.kind === 'detect' && allIn(narrow.detectors, wide.detectors, effort)
    case 'authenticated-as':
      return narrow.kind === 'authenticated-as' && allIn(narrow.names, wide.names, effort)
    case 'client':
      return narrow.kind === 'client' && allIn(narrow.networks, wide.networks, effort)
    case 'size':
      return narrow.kind === 'size' && from(wide.over) <= from(narrow.over) && to(wide.under) >= to(narrow.under)
    case 'header':
      return narrow.kind === 'header' && sameName(wide.name, narrow.name) && coversTest(wide.test, narrow.test, effort)
    case 'not':
      return narrow.kind === 'not' && covers(narrow.condition, wide.condition, effort)
    case 'any':
      return false
  }
}

const from = (over: number | undefined): number => over ?? -1
const to = (under: number | undefined): number => under ?? Number.POSITIVE_INFINITY

const sameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()

function coversTest(wide: HeaderTest, narrow: HeaderTest, effort: Effort): boolean {
  if (wide.kind === 'present') return narrow.kind === 'present' ? wide.present === narrow.present : wide.present
  if (narrow.kind === 'present' || (wide.kind === 'equals' && narrow.kind === 'contains')) return false
  effort.left -= wide.values.length * narrow.values.length
  if (effort.left < 0) return false
  const meets = (value: string, wanted: string) =>
    wide.kind === 'equals' ? value.toLowerCase() === wanted.toLowerCase() : value.toLowerCase().includes(wanted.toLowerCase())
  return narrow.values.every((value) => wide.values.some((wanted) => meets(value, wanted)))
}

function allIn<T>(narrow: readonly T[], wide: readonly T[], effort: Effort): boolean {
  effort.left -= narrow.length * wide.length
  return effort.left >= 0 && narrow.every((one) => wide.includes(one))
}
