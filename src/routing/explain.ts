/** Says why a recipient's mail went as it went, and what would have changed it: pure, from the stored evidence. */
import type { Reason } from '../mail/outcome.ts'
import type { Looked, Plan, Step, StepResult } from '../mail/plan.ts'
import { defaultSettings } from '../ops/settings.ts'
import { counterfactuals, type WouldBe } from './counterfactuals.ts'
import type { PlanFacts } from './facts.ts'
import { bounce, type Policy } from './policy.ts'
import type { DecisionRecord, Observed } from './record.ts'
import type { Surroundings } from './replay.ts'
import type { SimulationSettings } from './simulate.ts'

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
  /** The revision in force at acceptance, for what another rule would have done; absent: not asked. */
  readonly policy?: Policy
  /** What is known of its domain and its keys; absent: nothing. */
  readonly around?: Surroundings
  /** Absent: those of a fresh installation. */
  readonly settings?: SimulationSettings
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
  /** Of each step what was asked of it: `verified` of a TLS channel; null: nothing to tell. */
  readonly asked: readonly (string | null)[]
  readonly wouldBe: readonly WouldBe[]
  readonly assurance: string | null
  readonly proof: string | null
  readonly acceptedAt: number
  readonly attempts: number
  readonly nextAttemptAt: number | null
  /** Where the rule only observes: what it would have done. */
  readonly observed?: Observed
}

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
    wouldBe: changes(known, steps),
    asked: askedOf(steps, plannedSteps(known, steps)),
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

/** Another rule would help only where a rule decided: not a host that is down, nor an address that does not exist (it must not become a letter). */
const isOpen = (state: string, steps: readonly StepResult[]): boolean =>
  state === 'bounced' ? steps.at(-1)?.method === bounce.method : state !== 'waiting' && state !== 'held'

/** What was asked of each step, in a word: `verified` of a TLS channel. */
function askedOf(steps: readonly StepResult[], planned: readonly Step[]): (string | null)[] {
  return steps.map(({ method }, i) => {
    const asked = planned[i]
    const level = asked?.method === method && method === 'tls' ? asked.options.level : undefined
    return typeof level === 'string' ? level : null
  })
}

const nowhere: Surroundings = { probed: new Map(), verifiedAt: new Map(), keys: new Map() }

function changes(known: Case, steps: readonly StepResult[]): WouldBe[] {
  const { policy, recipient, records, message, around = nowhere, settings = defaultSettings({}) } = known
  const facts = records.findLast((record) => record.facts !== null)?.facts ?? unknownFacts(message.reversePath, recipient.address)
  const waits = steps.find(({ result }) => result === 'deferred')?.method
  const method = recipient.method ?? waits ?? bounce.method
  const walked = plannedSteps(known, steps)
  return counterfactuals(
    { facts, steps, planned: walked, method, policy, around, settings },
    isOpen(recipient.state, steps) && facts.at !== 0,
  )
}

/** Of mail that no policy was asked about. `at: 0` marks them. */
const unknownFacts = (reversePath: string, recipient: string): PlanFacts => ({
  ...{ reversePath, recipient, at: 0 },
  mail: { headerFrom: '', subjectTags: [], autoSubmitted: false, dsn: false, encrypted: false },
})

/** With their options, where the frozen plan is the one that was walked. */
function plannedSteps({ recipient }: Case, steps: readonly StepResult[]): readonly Step[] {
  const frozen = recipient.plan?.steps ?? []
  return steps.every(({ method }, i) => frozen[i]?.method === method) ? frozen : steps.map(({ method }) => ({ method, options: {} }))
}
