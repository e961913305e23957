/** Decides, for one recipient of one message, which rule applies and which steps are walked: pure, the same for delivery, explain and tests. */
import type { Looked, Plan, Step } from '../mail/plan.ts'
import { understood } from '../methods/opportunistic/opportunistic.ts'
import type { PlanFacts } from './facts.ts'
import { judge } from './match.ts'
import { overridden } from './overrides.ts'
import { bounce, type Ladder, type Policy, type Rule } from './policy.ts'

export type { PlanFacts } from './facts.ts'

/**
 * The plan of the first rule that matches, else of default; its steps end with bounce, written or not. What is not known counts as matched:
 * ask `undecided` first where that matters.
 */
export function plan(policy: Policy, facts: PlanFacts): Plan {
  const trace: Looked[] = []
  for (const rule of policy.rules) {
    const { matched, because } = judge(rule.when, facts, policy)
    trace.push({ name: rule.name, matched: matched !== false, because: `${matched === false ? 'no' : 'yes'}: ${because}` })
    if (matched !== false) return planOf(policy, rule, trace, facts)
  }
  const { line, written } = policy.default
  trace.push({
    name: 'default',
    matched: true,
    because: written ? 'yes: no rule before it matched' : 'yes: no rule matched and the policy has no default, so mail is returned',
  })
  return planOf(policy, { ...policy.default, name: 'default', line }, trace, facts)
}

/** What must be known before the plan is certain: words of `unknown` verdicts that stand before the first certain match. */
export function undecided(policy: Policy, facts: PlanFacts): readonly string[] {
  const missing: string[] = []
  for (const { when } of policy.rules) {
    const { matched, missing: more = [] } = judge(when, facts, policy)
    if (matched === 'unknown') missing.push(...more)
    if (matched === true) break
  }
  return [...new Set(missing)]
}

type Decider = Ladder & Pick<Rule, 'name' | 'line'>

function planOf(policy: Policy, decider: Decider, trace: readonly Looked[], facts: PlanFacts): Plan {
  const { revision, fingerprint } = policy
  const { name, line, alsoTo } = decider
  const { steps: own, override } = overridden(policy.overrides, decider.steps, facts)
  const observing = policy.observe || decider.observe
  return {
    revision,
    fingerprint,
    rule: { name, line },
    steps: stepsOf(policy, decider, own),
    trace: shortened(override === undefined ? trace : [...trace, override]),
    ...(observing ? { observed: closed(own) } : {}),
    ...(alsoTo.length > 0 ? { alsoTo } : {}),
  }
}

/** The steps that are walked: those of the ladder, ended by a bounce; or, while a rule only observes, how it was before. */
export const stepsOf = (policy: Pick<Policy, 'observe'>, { observe }: Pick<Ladder, 'observe'>, steps: readonly Step[]): readonly Step[] =>
  policy.observe || observe ? [asBefore, bounce] : closed(steps)

/** How mail travelled before there was a gateway. */
const asBefore: Step = { method: 'opportunistic', options: { 'i-understand': understood } }

/** What follows a bounce is never reached; a ladder without one ends in it. */
function closed(steps: readonly Step[]): Step[] {
  const end = steps.findIndex(({ method }) => method === bounce.method)
  const reached = (end < 0 ? steps : steps.slice(0, end)).map(({ method, options }) => ({ method, options }))
  return [...reached, bounce]
}

const longestTrace = 60

/** A trace is stored with every recipient: of hundreds of rules looked at, the middle is left out and counted. */
function shortened(trace: readonly Looked[]): Looked[] {
  if (trace.length <= longestTrace) return [...trace]
  const half = longestTrace / 2
  const left = trace.length - 2 * half
  return [...trace.slice(0, half), { name: '…', matched: false, because: `no: ${left} more rules` }, ...trace.slice(-half)]
}
