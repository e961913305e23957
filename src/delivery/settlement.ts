/** Turns the ending of a walk into what the spool writes: state, decision record, audit detail. */
import type { Reason } from '../mail/outcome.ts'
import { sentence } from '../mail/outcome.ts'
import type { Plan, Step, StepResult } from '../mail/plan.ts'
import type { PlanFacts } from '../routing/facts.ts'
import { type DecisionRecord, decisionRecord, type Observed } from '../routing/record.ts'
import type { Frozen } from '../spool/frozen.ts'
import type { Settlement } from '../spool/settle.ts'
import { type Ending, isDamage, whyNotFirst } from './walk.ts'

/** An ending with the plan that led to it, and what is to be frozen anew; undefined: what is stored stays. */
export type Planned = Ending & { readonly plan: Plan; readonly frozen: Frozen | undefined; readonly observed?: Observed | undefined }

/** The ending of a walk along this plan. */
export const planned = (ending: Ending, plan: Plan): Planned => ({
  ...ending,
  plan,
  frozen: {
    plan,
    earlier: ending.resume?.earlier ?? ending.earlier,
    waits: ending.waits,
    ...(ending.recipient.frozen?.toldHeld && { toldHeld: true }),
  },
})

/** The settlement of one recipient. `facts`: those its plan was just made on; they are kept with the decision. */
export function settlementOf(ending: Planned, facts: PlanFacts | undefined, now: number): Settlement {
  const { recipient, outcome, plan, answer, method } = ending
  const reason = reasonOf(ending)
  const state = stateOf(ending)
  return {
    recipient,
    state,
    frozen: ending.frozen,
    step: ending.resume?.step ?? ending.step,
    stepSince: ending.stepSince,
    stepAttempts: ending.stepAttempts,
    nextAttemptAt: ending.nextAttemptAt ?? now,
    method: outcome.kind === 'failed' || method === 'bounce' ? null : method,
    reason,
    assurance: outcome.kind === 'delivered' ? outcome.assurance : null,
    proof: answer?.proof ?? null,
    lastReply: sentence(outcome),
    delayNoticed: recipient.delayNoticed,
    record: JSON.stringify(recordOf(ending, facts, now)),
    audit: {
      method,
      outcome: outcome.kind,
      reason,
      rule: plan.rule.name,
      revision: plan.revision,
      evidence: outcome.evidence,
      text: sentence(outcome),
    },
  }
}

function recordOf(ending: Planned, facts: PlanFacts | undefined, at: number): DecisionRecord {
  const { recipient, plan } = ending
  const attempt = recipient.attempts + 1
  const steps = stepsOf(ending)
  const outcome = stateOf(ending)
  const observed = ending.observed && { observed: ending.observed }
  if (facts !== undefined) return decisionRecord({ at, attempt, plan, facts, steps, outcome, ...observed })
  const { revision, fingerprint, rule, trace } = plan
  return { at, attempt, revision, fingerprint, rule, rulesLookedAt: trace, facts: null, steps, outcome, ...observed }
}

/** A walk that goes back once it is released came further than it goes on from: what was seen on that way is told as well. */
function stepsOf(ending: Planned): StepResult[] {
  const { plan, earlier, tried } = ending
  if (tried === undefined) return [...earlier, lastResult(ending), ...notTried(plan, ending.step)]
  return [...tried, lastResult(ending), ...notTried(plan, tried.length)]
}

/** In doubt once, in doubt until the end: it forbids every other way (walk.ts). */
function reasonOf({ outcome, earlier, recipient }: Ending): Reason | null {
  if (outcome.kind === 'delivered') return whyNotFirst(earlier) ?? null
  return recipient.inDoubt && !isDamage(outcome) ? 'in-doubt' : outcome.reason
}

function stateOf({ outcome, answer }: Ending): Settlement['state'] {
  switch (outcome.kind) {
    case 'delivered':
      return answer?.state ?? 'delivered'
    case 'deferred':
      return answer?.hold === undefined ? 'waiting' : 'held'
    case 'failed':
      return isDamage(outcome) ? 'held' : 'bounced'
  }
}

/** What became of the step at which the walk ended. */
export const lastResult = ({ outcome, method }: Pick<Ending, 'outcome' | 'method'>): StepResult => ({
  method,
  result: outcome.kind,
  reason: outcome.kind === 'delivered' ? null : outcome.reason,
  text: sentence(outcome),
  evidence: outcome.evidence,
})

const notTried = (plan: Plan, step: number): StepResult[] =>
  plan.steps.slice(step + 1).map(({ method, options }) => ({
    method,
    result: 'not-tried',
    reason: null,
    text: method === 'escrow' ? proofs(options) : '',
    evidence: {},
  }))

/** What a letter would ask of its reader. */
const proofs = ({ proof, 'on-downgrade': downgrade, 'on-clear-path': clearPath }: Step['options']): string =>
  proof === undefined ? '' : `proof ${proof}; ${clearPath} where no TLS works, ${downgrade} after a downgrade`
