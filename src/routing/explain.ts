/** Says why a recipient's mail went as it went, and what would have changed it: pure, from the stored evidence. */
import { domainOf } from '../mail/address.ts'
import type { Reason } from '../mail/outcome.ts'
import type { Looked, Plan, StepResult } from '../mail/plan.ts'
import { policyTags } from './asked.ts'
import { plan } from './plan.ts'
import { bounce, type Policy } from './policy.ts'
import type { DecisionRecord, Observed } from './record.ts'
import { remedy } from './remedy.ts'

/** What is known of one recipient of one message. */
export type Case = {
  readonly message: {
    readonly id: string
    readonly messageId: string
    readonly reversePath: string
    readonly policyRevision: number
    /** Milliseconds since 1970. */
    readonly acceptedAt: number
  }
  readonly recipient: {
    readonly address: string
    readonly state: string
    readonly method: string | null
    readonly reason: Reason | null
    readonly assurance: string | null
    readonly proof: string | null
    readonly attempts: number
    /** Milliseconds since 1970; null once nothing more is tried. */
    readonly nextAttemptAt: number | null
    readonly plan: Plan | null
  }
  /** First attempt first; empty while nothing was tried. */
  readonly records: readonly DecisionRecord[]
  /** The revision in force at acceptance, for what another subject tag would have done; absent: not asked. */
  readonly policy?: Policy
}

/** The JSON of `explain`; fields may be added. Times in milliseconds since 1970. */
export type Explanation = {
  readonly message: string
  readonly messageId: string
  readonly from: string
  readonly to: string
  readonly outcome: string
  readonly method: string | null
  readonly reason: Reason | null
  readonly policy: { readonly revision: number; readonly fingerprint: string }
  readonly rule: Plan['rule']
  readonly rulesLookedAt: readonly Looked[]
  readonly steps: readonly StepResult[]
  readonly wouldBe: readonly WouldBe[]
  readonly assurance: string | null
  readonly proof: string | null
  readonly acceptedAt: number
  readonly attempts: number
  readonly nextAttemptAt: number | null
  /** Where the rule only observes: what it would have done. */
  readonly observed?: Observed
}
/** The method that would have served, and the one change that it takes. */
export type WouldBe = { readonly method: string; readonly if: string }

export function explain(known: Case): Explanation {
  const { message, recipient, records } = known
  const last = records.at(-1)
  const { revision, fingerprint, rule, rulesLookedAt } = last ?? planned(recipient.plan, message.policyRevision)
  const steps = withoutImpliedEnd(last?.steps ?? untried(recipient.plan))
  return {
    message: message.id,
    messageId: message.messageId,
    from: message.reversePath,
    to: recipient.address,
    outcome: recipient.state,
    method: recipient.method,
    reason: recipient.reason,
    policy: { revision, fingerprint },
    rule,
    rulesLookedAt,
    steps,
    wouldBe: [...remedies(recipient, steps), ...(isOpen(recipient.state, steps) ? otherTags(known, steps) : [])],
    assurance: recipient.assurance,
    proof: recipient.proof,
    acceptedAt: message.acceptedAt,
    attempts: recipient.attempts,
    nextAttemptAt: recipient.nextAttemptAt,
    ...(last?.observed && { observed: last.observed }),
  }
}

type Decided = Pick<DecisionRecord, 'revision' | 'fingerprint' | 'rule' | 'rulesLookedAt'>

/** Before the first attempt there may be a plan (mail of ours) or none yet. */
const planned = (frozen: Plan | null, revision: number): Decided =>
  frozen === null
    ? { revision, fingerprint: '', rule: { name: '', line: 0 }, rulesLookedAt: [] }
    : { revision: frozen.revision, fingerprint: frozen.fingerprint, rule: frozen.rule, rulesLookedAt: frozen.trace }

const untried = (frozen: Plan | null): StepResult[] =>
  (frozen?.steps ?? []).map(({ method }) => ({ method, result: 'not-tried', reason: null, text: '', evidence: {} }))

/** The bounce that ends every plan is worth a line only when it was reached. */
const withoutImpliedEnd = (steps: readonly StepResult[]): readonly StepResult[] =>
  steps.length > 1 && steps.at(-1)?.method === bounce.method && steps.at(-1)?.result === 'not-tried' ? steps.slice(0, -1) : steps

function remedies({ address }: Case['recipient'], steps: readonly StepResult[]): WouldBe[] {
  return steps.flatMap((step) => {
    const change = step.result === 'unsuitable' || step.result === 'deferred' ? remedy(step, address, domainOf(address)) : undefined
    return change === undefined ? [] : [{ method: step.method, if: change }]
  })
}

/** Another rule would help only where a rule decided: not a host that is down, nor an address that does not exist (it must not become a letter). */
const isOpen = (state: string, steps: readonly StepResult[]): boolean =>
  state === 'bounced' ? steps.at(-1)?.method === bounce.method : state !== 'waiting' && state !== 'held'

const mostTags = 3

/** Ask the plan again as if the subject carried each tag that the policy knows: what would be the first step not known to be unsuitable? */
function otherTags({ policy, recipient, records }: Case, steps: readonly StepResult[]): WouldBe[] {
  const facts = records.findLast((record) => record.facts !== null)?.facts
  if (policy === undefined || !facts) return []
  const ruledOut = new Set(steps.filter(({ result }) => result === 'unsuitable').map(({ method }) => method))
  const used = recipient.method ?? steps.find(({ result }) => result === 'deferred')?.method ?? bounce.method
  const before = plan(policy, facts).rule.name
  return policyTags(policy)
    .filter((tag) => !facts.mail.subjectTags.includes(tag))
    .flatMap((tag): WouldBe[] => {
      const other = plan(policy, { ...facts, mail: { ...facts.mail, subjectTags: [...facts.mail.subjectTags, tag] } })
      const method = other.steps.find((step) => !ruledOut.has(step.method))?.method
      return method === undefined || method === used || method === bounce.method || other.rule.name === before
        ? []
        : [{ method, if: `the subject carries [${tag}] (rule "${other.rule.name}", line ${other.rule.line})` }]
    })
    .slice(0, mostTags)
}
