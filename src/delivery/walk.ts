/** Walks one group of recipients along their plan until each has an answer other than "unsuitable". */
import type { Evidence, Outcome, Reason } from '../mail/outcome.ts'
import type { Plan, Step, StepResult } from '../mail/plan.ts'
import type { Answer, Attempt } from '../methods/method.ts'
import type { ClaimedRecipient } from '../spool/claim.ts'
import { counted, type Next, nextAttempt, type Waits } from '../spool/schedule.ts'
import { alike } from './alike.ts'

/** Recipients that share a plan and stand at the same step of it. */
export type Party = { readonly plan: Plan; readonly step: number; readonly recipients: readonly ClaimedRecipient[] }

/** Where a recipient's walk ended for now. */
export type Ending = {
  readonly recipient: ClaimedRecipient
  /** Where the walk goes on. */
  readonly step: number
  /** Of the step that gave the outcome. */
  readonly method: string
  readonly outcome: Exclude<Outcome, { kind: 'unsuitable' }>
  readonly answer: Answer | undefined
  readonly earlier: readonly StepResult[]
  /** What the steps before it came to, where some of that is forgotten because the walk goes back to one of them. */
  readonly tried?: readonly StepResult[]
  /** Undefined: the step begins with its next attempt. */
  readonly stepSince: number | undefined
  readonly stepAttempts: number
  readonly waits: Waits
  /** Where the walk goes on once held mail is released; absent: at `step`. */
  readonly resume?: { readonly step: number; readonly earlier: readonly StepResult[] }
  /** Set when deferred. */
  readonly nextAttemptAt: number | undefined
}

export type Timing = { readonly schedule: readonly number[]; readonly lifetime: number }

/** What a walk needs to know of the world. */
export type WalkParts = {
  readonly attempt: (step: Step, context: Pick<Attempt<unknown>, 'recipients' | 'earlier'>) => Promise<ReadonlyMap<string, Answer>>
  readonly now: () => number
  readonly jitter: () => number
  readonly timing: Timing
  readonly acceptedAt: number
}

/** Walk the party from its step on. Every recipient of it is in the answer exactly once. */
export async function walk(party: Party, parts: WalkParts): Promise<Ending[]> {
  const endings: Ending[] = []
  let walkers = party.recipients.map((recipient) => startWalker(recipient, parts.now()))
  for (let index = party.step; walkers.length > 0; index++) {
    const step = party.plan.steps[index] ?? { method: 'bounce', options: {} }
    const next: Walker[] = []
    for (const [came, answer] of await attemptStep(step, walkers, parts)) {
      const walker = waited(came, answer.outcome, parts.now())
      const verdict = judge(walker, answer, parts)
      if (verdict.kind === 'onward') next.push(passOn(walker, step, verdict.outcome, parts.now()))
      else
        endings.push({
          ...whereFrom(walker, party.plan, index, step, answer, parts.now()),
          outcome: verdict.outcome,
          nextAttemptAt: verdict.at,
        })
    }
    walkers = next
  }
  return endings
}

/**
 * Content or envelope that cannot be trusted, and what ends the process whenever it is attempted: not delivered, not returned, not deleted, but
 * held for a human.
 */
export const isDamage = (outcome: Outcome): boolean =>
  outcome.kind !== 'delivered' && (outcome.reason === 'content-damaged' || outcome.reason === 'attempt-crashed')

/** The outcome of what is held. */
export const held = (why: string, evidence: Evidence = {}, reason: 'content-damaged' | 'attempt-crashed' = 'content-damaged') =>
  ({ kind: 'failed', reason, text: `held: ${why}`, evidence, status: '5.6.0' }) as const satisfies Outcome

type Walker = { recipient: ClaimedRecipient; earlier: readonly StepResult[]; stepSince: number; stepAttempts: number; waits: Waits }

const startWalker = (recipient: ClaimedRecipient, now: number): Walker => ({
  recipient,
  earlier: recipient.frozen?.earlier ?? [],
  stepSince: recipient.stepSince ?? now,
  stepAttempts: recipient.stepAttempts + 1,
  waits: recipient.frozen?.waits ?? [],
})

const waited = (walker: Walker, outcome: Outcome, now: number): Walker =>
  outcome.kind === 'deferred' ? { ...walker, waits: counted(walker.waits, outcome.retry, now) } : walker

async function attemptStep(step: Step, walkers: readonly Walker[], parts: WalkParts): Promise<[Walker, Answer][]> {
  if (step.method === 'bounce') return walkers.map((walker) => [walker, { outcome: bounceOutcome(walker) }])
  const parties = alike(walkers, ({ earlier }) => earlier.map(({ reason }) => reason).join())
  const attempts = parties.map(async (party) => {
    const earlier = (party[0]?.earlier ?? []).map(({ method, reason, text }) => ({ method, reason: reason ?? '', text }))
    const answers = await parts.attempt(step, { recipients: party.map(({ recipient }) => recipient), earlier })
    return party.map((walker): [Walker, Answer] => [walker, answers.get(walker.recipient.id) ?? { outcome: forgotten(step) }])
  })
  return (await Promise.all(attempts)).flat()
}

type Verdict =
  | { readonly kind: 'onward'; readonly outcome: Outcome & { kind: 'unsuitable' } }
  | { readonly kind: 'ended'; readonly outcome: Exclude<Outcome, { kind: 'unsuitable' }>; readonly at: number | undefined }

/** A deferral whose patience has ended becomes what its retry says. */
function judge(walker: Walker, { outcome, hold }: Answer, parts: WalkParts): Verdict {
  if (isDamage(outcome)) return { kind: 'ended', outcome: held(outcome.text, outcome.evidence), at: undefined }
  const doubted = inDoubt(walker, outcome, parts)
  if (doubted !== undefined) return doubted
  if (outcome.kind === 'unsuitable') return { kind: 'onward', outcome }
  // What waits for a person has no end of its own.
  if (outcome.kind !== 'deferred' || hold !== undefined) return { kind: 'ended', outcome, at: undefined }
  const next = nextOf(walker, outcome.retry, parts)
  if (next.kind === 'again') return { kind: 'ended', outcome, at: next.at }
  const { reason, text, evidence } = outcome
  if (next.then === 'unsuitable')
    return { kind: 'onward', outcome: { kind: 'unsuitable', reason: outcome.retry.as ?? reason, text, evidence } }
  return { kind: 'ended', outcome: { kind: 'failed', reason, text, evidence, status: outcome.status ?? '4.4.7' }, at: undefined }
}

/**
 * RFC 1047: a message whose end was sent and never answered may have arrived. It is tried once more, whatever came before, and never another
 * way: it would be there twice. When that does not deliver it either, its sender is told that it may have arrived all the same.
 */
function inDoubt(walker: Walker, outcome: Outcome, parts: WalkParts): Verdict | undefined {
  if (outcome.kind === 'delivered') return undefined
  const { inDoubt: before } = walker.recipient
  const again = outcome.kind === 'deferred' && outcome.reason === 'in-doubt'
  if (again && !before) return { kind: 'ended', outcome, at: parts.now() + (outcome.retry.offsets?.at(-1) ?? halfAnHour) }
  if (!before || (outcome.kind === 'deferred' && !again && nextOf(walker, outcome.retry, parts).kind === 'again')) return undefined
  const { text, evidence } = outcome
  const status = outcome.kind === 'failed' ? outcome.status : '5.4.2'
  const told = `${text}; an earlier attempt broke off when the whole message had been sent, so it may have been delivered all the same`
  return { kind: 'ended', outcome: { kind: 'failed', reason: 'in-doubt', text: told, evidence, status }, at: undefined }
}

const halfAnHour = 30 * 60_000

const nextOf = ({ stepAttempts, stepSince, waits }: Walker, retry: Parameters<typeof nextAttempt>[0]['retry'], parts: WalkParts): Next =>
  nextAttempt({
    retry,
    waits,
    stepAttempts,
    stepSince,
    acceptedAt: parts.acceptedAt,
    now: parts.now(),
    jitter: parts.jitter(),
    ...parts.timing,
  })

const passOn = (walker: Walker, { method }: Step, { reason, text, evidence }: Outcome & { kind: 'unsuitable' }, now: number): Walker => ({
  recipient: walker.recipient,
  earlier: [...walker.earlier, { method, result: 'unsuitable', reason, text, evidence }],
  stepSince: now,
  stepAttempts: 1,
  waits: [],
})

const ending = ({ recipient, earlier, stepSince, stepAttempts, waits }: Walker, step: number, { method }: Step, answer: Answer) => ({
  recipient,
  step,
  method,
  answer,
  earlier,
  stepSince,
  stepAttempts,
  waits,
})

/** Held mail goes on behind the step that held it once it is released; or starts again at an earlier one, as if that had never been tried. */
function whereFrom(
  walker: Walker,
  plan: Plan,
  index: number,
  step: Step,
  answer: Answer,
  now: number,
): Omit<Ending, 'outcome' | 'nextAttemptAt'> {
  if (answer.hold !== undefined && 'onward' in answer.hold) {
    const released = { kind: 'unsuitable', reason: 'held-by-rule', text: 'released', evidence: answer.outcome.evidence } as const
    const { earlier } = passOn(walker, step, released, now)
    return {
      ...ending(walker, index, step, answer),
      stepSince: undefined,
      stepAttempts: 0,
      waits: [],
      resume: { step: index + 1, earlier },
    }
  }
  if (answer.hold === undefined || plan.steps[answer.hold.backTo] === undefined) return ending(walker, index, step, answer)
  const { backTo } = answer.hold
  const again = { ...walker, earlier: walker.earlier.slice(0, backTo), stepSince: now, stepAttempts: 0, waits: [] }
  return { ...ending(again, backTo, step, answer), tried: walker.earlier }
}

/** The reason that people ask for: why the first way was not taken, not that a later one had no key either. */
export const whyNotFirst = (earlier: readonly StepResult[]): Reason | undefined =>
  declined(earlier).find(({ reason }) => reason !== null)?.reason ?? undefined

/** What held the mail and was released has not declined it. */
const declined = (earlier: readonly StepResult[]): readonly StepResult[] => earlier.filter(({ reason }) => reason !== 'held-by-rule')

/** The outcome of `queue bounce`. */
export const returnedByOperator = {
  kind: 'failed',
  reason: 'returned-by-operator',
  status: '5.7.1',
  evidence: {},
  text: 'an administrator of the mail gateway returned it',
} as const satisfies Outcome

/** The end of every plan: nobody may carry it, so the sender is told what was tried. */
function bounceOutcome({ earlier, recipient }: Walker): Outcome {
  if (recipient.returning) return returnedByOperator
  const reason = whyNotFirst(earlier)
  if (reason === undefined)
    return {
      kind: 'failed',
      reason: 'rule-says-bounce',
      status: '5.7.1',
      evidence: {},
      text: 'the rule for this recipient says: return it to the sender',
    }
  const tried = declined(earlier)
    .map(({ method, text }) => `${method}: ${text}`)
    .join('; ')
  return {
    kind: 'failed',
    reason,
    status: '5.7.10',
    evidence: {},
    text: `no protected way reaches this recipient (${tried})`,
  }
}

const forgotten = ({ method }: Step): Outcome => ({
  kind: 'deferred',
  reason: 'local-fault',
  evidence: {},
  retry: { then: 'failed' },
  text: `the method ${method} gave no answer for this recipient; we try again`,
})
