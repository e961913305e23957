/** The subject tags that a policy knows. */
import type { Condition, Policy } from './policy.ts'

/** Every tag that a rule asks for, lower case, once each, in the order of the rules. */
export const policyTags = (policy: Policy): string[] => [...new Set(policy.rules.flatMap(({ when }) => tagsIn(when)))]

/** Tags that a condition asks for; under a `not` a tag takes mail away from the rule, which the plan answers just as well. */
function tagsIn(condition: Condition): readonly string[] {
  switch (condition.kind) {
    case 'subject-tag':
      return condition.tags
    case 'all':
    case 'any':
      return condition.conditions.flatMap(tagsIn)
    case 'not':
      return tagsIn(condition.condition)
    case 'from':
    case 'header-from':
    case 'to':
    case 'is':
      return []
  }
}
