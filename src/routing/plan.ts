/** Decides, for one recipient of one message, which rule applies and which steps are walked: pure, the same for delivery, explain and tests. */
import type { MailFacts } from '../mail/facts.ts'
import type { Looked, Plan, Step } from '../mail/plan.ts'
import { judge } from './match.ts'
import { bounce, type Policy } from './policy.ts'

/** What a rule may ask about. Addresses are canonical (mail/address.ts); a reverse-path of '' is the null reverse-path. */
export type PlanFacts = {
  readonly reversePath: string
  readonly recipient: string
  readonly mail: Pick<MailFacts, 'headerFrom' | 'subjectTags' | 'autoSubmitted' | 'dsn' | 'encrypted'>
}

/** The plan of the first rule that matches, else of default; its steps end with bounce, written or not. */
export function plan(policy: Policy, facts: PlanFacts): Plan {
  const { revision, fingerprint } = policy
  const trace: Looked[] = []
  for (const { name, line, when, steps } of policy.rules) {
    const { matched, because } = judge(when, facts)
    trace.push({ name, matched, because: `${matched ? 'yes' : 'no'}: ${because}` })
    if (matched) return { revision, fingerprint, rule: { name, line }, steps: closed(steps), trace: shortened(trace) }
  }
  const { line, steps, written } = policy.default
  trace.push({
    name: 'default',
    matched: true,
    because: written ? 'yes: no rule before it matched' : 'yes: no rule matched and the policy has no default, so mail is returned',
  })
  return { revision, fingerprint, rule: { name: 'default', line }, steps: closed(steps), trace: shortened(trace) }
}

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
