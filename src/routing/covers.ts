/** Tells whether one condition holds wherever another does: how lint finds rules that are never reached. */
import { namesAllOf } from './patterns.ts'
import type { Condition } from './policy.ts'

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
    case 'not':
      return narrow.kind === 'not' && covers(narrow.condition, wide.condition)
    case 'any':
      return false
  }
}
