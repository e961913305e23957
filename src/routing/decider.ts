/** Plans stored decisions by one policy, each different case once, and says what their records cannot answer. Pure. */
import type { Plan } from '../mail/plan.ts'
import { policyTags } from './asked.ts'
import type { PlanFacts } from './facts.ts'
import { plan, undecided } from './plan.ts'
import type { Policy } from './policy.ts'
import { isWord } from './record.ts'
import { relevantTo } from './relevant.ts'

export type Decided =
  | { readonly plan: Pick<Plan, 'rule' | 'steps'> & { readonly alsoTo: readonly string[] } }
  | { readonly missing: readonly string[] }

/** Facts as recorded, and the policy they were recorded under; undefined: it cannot be read any more. */
export type Decider = (facts: PlanFacts, under: Policy | undefined) => Decided

const mostKept = 20_000

/** Remembers what it has planned: much mail differs in nothing that a policy asks. */
export function createDecider(policy: Policy): Decider {
  const kept = new Map<string, Decided>()
  const relevant = relevantTo(policy)
  const oddTags = policyTags(policy).filter((tag) => !isWord(tag))
  return (facts, under) => {
    const known = relevant(facts, under)
    const key = JSON.stringify(known)
    const before = kept.get(key)
    if (before !== undefined) return before
    if (kept.size >= mostKept) kept.clear()
    const decided = decide(policy, known, oddTags)
    kept.set(key, decided)
    return decided
  }
}

function decide(policy: Policy, facts: PlanFacts, oddTags: readonly string[]): Decided {
  const missing = undecided(policy, facts)
  if (missing.length > 0) return { missing }
  // Without its trace: thousands of them are kept.
  const { rule, steps, alsoTo = [], observed } = plan(policy, facts)
  // While a rule only observes it sends no copies.
  const decided = { rule, steps, alsoTo: observed === undefined ? alsoTo : [] }
  // Longer text in brackets is a piece of the subject, and not kept: had it been there, would another rule have decided?
  const odd = oddTags.find(
    (tag) =>
      plan(policy, { ...facts, mail: { ...facts.mail, subjectTags: [...facts.mail.subjectTags, tag] } }).rule.name !== decided.rule.name,
  )
  return odd === undefined ? { plan: decided } : { missing: [`subject-tag [${odd}]`] }
}
