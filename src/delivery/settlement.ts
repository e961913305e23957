/** Turns the ending of a walk into what the spool writes: state, decision record, audit detail. */
import type { MailFacts } from '../mail/facts.ts'
import type { Reason } from '../mail/outcome.ts'
import { sentence } from '../mail/outcome.ts'
import type { Plan, StepResult } from '../mail/plan.ts'
import { decisionRecord } from '../routing/record.ts'
import type { ClaimedRecipient, Group } from '../spool/claim.ts'
import type { Settlement } from '../spool/settle.ts'
import { type Ending, whyNotFirst } from './walk.ts'

/** The settlement of one recipient after a walk. */
export function settlementOf(ending: Ending & { readonly plan: Plan }, group: Group, mail: MailFacts, now: number): Settlement {
  const { recipient, outcome, plan, answer, earlier, method } = ending
  const reason = reasonOf(ending)
  const state = stateOf(ending)
  return {
    recipient,
    state,
    frozen: { plan, earlier, waits: ending.waits },
    step: ending.step,
    stepSince: ending.stepSince,
    stepAttempts: ending.stepAttempts,
    nextAttemptAt: ending.nextAttemptAt ?? now,
    method: outcome.kind === 'failed' || method === 'bounce' ? null : method,
    reason,
    assurance: outcome.kind === 'delivered' ? outcome.assurance : null,
    proof: answer?.proof ?? null,
    lastReply: sentence(outcome),
    delayNoticed: recipient.delayNoticed,
    record: JSON.stringify(
      decisionRecord({
        at: now,
        attempt: recipient.attempts + 1,
        plan,
        facts: { reversePath: group.message.reversePath, recipient: recipient.address, mail },
        steps: [...earlier, lastResult(ending), ...notTried(ending)],
        outcome: state,
      }),
    ),
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

/** In doubt once, in doubt until the end: it forbids every other way (walk.ts). */
function reasonOf({ outcome, earlier, recipient }: Ending): Reason | null {
  if (outcome.kind === 'delivered') return whyNotFirst(earlier) ?? null
  return recipient.inDoubt ? 'in-doubt' : outcome.reason
}

function stateOf({ outcome, answer }: Ending): Settlement['state'] {
  switch (outcome.kind) {
    case 'delivered':
      return answer?.state ?? 'delivered'
    case 'deferred':
      return 'waiting'
    case 'failed':
      return 'bounced'
  }
}

const lastResult = ({ outcome, method }: Ending): StepResult => ({
  method,
  result: outcome.kind,
  reason: outcome.kind === 'delivered' ? null : outcome.reason,
  text: sentence(outcome),
  evidence: outcome.evidence,
})

const notTried = ({ plan, step }: Ending & { readonly plan: Plan }): StepResult[] =>
  plan.steps.slice(step + 1).map(({ method }) => ({ method, result: 'not-tried', reason: null, text: '', evidence: {} }))

/** Content or envelope that cannot be trusted: held for a human, never delivered, never deleted. */
export function damagedSettlement(recipient: ClaimedRecipient, { message }: Group, why: string, now: number): Settlement {
  const text = `held: ${why}`
  const plan: Plan = recipient.frozen?.plan ?? {
    revision: message.policyRevision,
    fingerprint: '',
    rule: { name: '', line: 0 },
    steps: [],
    trace: [],
  }
  const result: StepResult = { method: '', result: 'failed', reason: 'content-damaged', text, evidence: {} }
  return {
    recipient,
    state: 'held',
    frozen: { plan, earlier: recipient.frozen?.earlier ?? [] },
    step: recipient.step,
    stepSince: recipient.stepSince,
    stepAttempts: recipient.stepAttempts,
    nextAttemptAt: now,
    method: null,
    reason: 'content-damaged',
    assurance: null,
    proof: null,
    lastReply: text,
    delayNoticed: recipient.delayNoticed,
    record: JSON.stringify({
      at: now,
      attempt: recipient.attempts + 1,
      revision: plan.revision,
      rule: plan.rule,
      rulesLookedAt: plan.trace,
      steps: [result],
      outcome: 'held',
    }),
    audit: { reason: 'content-damaged', text },
  }
}
