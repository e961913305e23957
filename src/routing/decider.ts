/** Plans stored decisions by one policy, each different case once, and says what their records cannot answer. Pure. */
import { domainOf } from '../mail/address.ts'
import type { Plan } from '../mail/plan.ts'
import { leavesOf, policyHeaders, policyTags } from './asked.ts'
import type { PlanFacts } from './facts.ts'
import { plan, undecided } from './plan.ts'
import { keptValues } from './planner.ts'
import type { Detector, Policy } from './policy.ts'
import { isWord, keptLength } from './record.ts'

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

/** Only what the policy asks about, so that equal cases are equal; what was recorded in another sense than it is asked is left out. */
function relevantTo(policy: Policy): (facts: PlanFacts, under: Policy | undefined) => PlanFacts {
  const leaves = policy.rules.flatMap(({ when }) => leavesOf(when))
  const asks = (...kinds: readonly string[]) => leaves.some(({ kind }) => kinds.includes(kind))
  const [detect, client, senders] = [asks('detect'), asks('client', 'authenticated-as'), asks('from', 'header-from', 'is')]
  const headers = policyHeaders(policy)
  const changed = changedDetectors(policy)
  // All sizes, and all times, between two bounds are alike.
  const sizes = leaves.flatMap((leaf) => (leaf.kind === 'size' ? [leaf.over ?? -1, leaf.under ?? -1] : [])).sort((a, b) => a - b)
  const ends = policy.overrides.map(({ until }) => until)
  const shortRecipient = recipientOf(policy)
  return ({ reversePath, recipient, mail, ...facts }, under) => ({
    ...(senders ? { reversePath, mail } : { reversePath: '', mail: { ...mail, headerFrom: '' } }),
    recipient: shortRecipient(recipient),
    ...(sizes.length > 0 && facts.size !== undefined && { size: within(sizes, facts.size) }),
    ...(client && facts.client !== undefined && { client: facts.client }),
    ...(ends.length > 0 && facts.at !== undefined && { at: Math.max(0, ...ends.filter((until) => until <= (facts.at ?? 0))) }),
    ...(headers.length > 0 && facts.headers !== undefined && { headers: whole(facts.headers, headers) }),
    ...(detect && facts.detected !== undefined && { detected: without(facts.detected, changed(under)) }),
  })
}

/** A policy that names no address of a recipient asks for domains alone. */
function recipientOf({ rules, overrides }: Policy): (recipient: string) => string {
  const asked = [
    ...rules.flatMap(({ when }) => leavesOf(when)).flatMap((leaf) => (leaf.kind === 'to' ? [leaf.patterns] : [])),
    ...overrides.map(({ to }) => to),
  ]
  return asked.some(({ lists }) => lists.some(({ address }) => address.size > 0))
    ? (recipient) => recipient
    : (recipient) => `@${domainOf(recipient)}`
}

/** The same answer to every bound: the bound itself, or between two of them. */
function within(bounds: readonly number[], size: number): number {
  const below = bounds.findLast((bound) => bound <= size) ?? -2
  return below === size ? size : below + 0.5
}

/** A value that was cut when it was kept may have held more; and of very many only the first were kept. */
const whole = (headers: NonNullable<PlanFacts['headers']>, names: readonly string[]): NonNullable<PlanFacts['headers']> =>
  Object.fromEntries(
    names.flatMap((name) => {
      const values = headers[name]
      return values === undefined || values.length >= keptValues || values.some(({ length }) => length >= keptLength)
        ? []
        : [[name, values]]
    }),
  )

/** Detectors of this policy whose finds meant something else under the other one. */
function changedDetectors(policy: Policy): (under: Policy | undefined) => readonly string[] {
  const known = new Map<Policy | undefined, readonly string[]>()
  return (under) => {
    const before = known.get(under)
    if (before !== undefined) return before
    const changed = [...policy.detectors, ...(under?.detectors ?? [])]
      .map(({ name }) => name)
      .filter((name) => looksFor(policy, name) !== looksFor(under, name))
    known.set(under, changed)
    return changed
  }
}

const looksFor = (policy: Policy | undefined, name: string): string => {
  const own: Detector | undefined = policy?.detectors.find((detector) => detector.name === name)
  return JSON.stringify([own?.words ?? [], own?.patterns ?? []])
}

const without = (detected: NonNullable<PlanFacts['detected']>, names: readonly string[]): NonNullable<PlanFacts['detected']> =>
  detected === 'unreadable' || names.length === 0
    ? detected
    : Object.fromEntries(Object.entries(detected).filter(([name]) => !names.includes(name)))
