/** What the rules of a policy ask about: only that is looked for in a message. */
import type { Condition, Policy } from './policy.ts'

/** The conditions that a condition is made of, those under a `not` too: what they ask must be known to answer it. */
export function leavesOf(condition: Condition): readonly Condition[] {
  switch (condition.kind) {
    case 'all':
    case 'any':
      return condition.conditions.flatMap(leavesOf)
    case 'not':
      return leavesOf(condition.condition)
    default:
      return [condition]
  }
}

const leavesOfPolicy = ({ rules }: Pick<Policy, 'rules'>) => rules.flatMap(({ when }) => leavesOf(when))

/** Every subject tag that a rule asks for, lower case, once each, in the order of the rules. */
export const policyTags = (policy: Policy): string[] => [
  ...new Set(leavesOfPolicy(policy).flatMap((leaf) => (leaf.kind === 'subject-tag' ? leaf.tags : []))),
]

/** Every header field that a rule asks for, lower case, once each. */
export const policyHeaders = (policy: Policy): string[] => [
  ...new Set(leavesOfPolicy(policy).flatMap((leaf) => (leaf.kind === 'header' ? [leaf.name.toLowerCase()] : []))),
]

/** Every detector that a rule asks for, once each. */
export const policyDetectors = (policy: Policy): string[] => [
  ...new Set(leavesOfPolicy(policy).flatMap((leaf) => (leaf.kind === 'detect' ? leaf.detectors : []))),
]

/** The words of every list of addresses: `group:banks`, `lab.example`. */
export const policyAddresses = (policy: Policy): string[] => [
  ...new Set([
    ...leavesOfPolicy(policy).flatMap((leaf) => ('patterns' in leaf ? leaf.patterns.words : [])),
    ...policy.overrides.flatMap(({ to }) => to.words),
  ]),
]
