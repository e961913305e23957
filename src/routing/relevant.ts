/** Leaves out of recorded facts what a policy does not ask about, so that equal cases are equal. Pure. */
import { domainOf } from '../mail/address.ts'
import { leavesOf, policyDetectors, policyHeaders, policyTags } from './asked.ts'
import { thresholdOf } from './detectors.ts'
import type { PlanFacts } from './facts.ts'
import type { Patterns } from './patterns.ts'
import { keptValues } from './planner.ts'
import type { Condition, Detector, Policy, Trait } from './policy.ts'
import { keptLength } from './record.ts'

/**
 * What of facts decides in this policy: the policy makes the same plan of it. `under` is the policy they were recorded under; what was recorded
 * in another sense than it is asked is left out.
 */
export function relevantTo(policy: Policy): (facts: PlanFacts, under: Policy | undefined) => PlanFacts {
  const leaves = policy.rules.flatMap(({ when }) => leavesOf(when))
  const asks = (...kinds: readonly string[]) => leaves.some(({ kind }) => kinds.includes(kind))
  const [detect, client] = [asks('detect'), asks('client', 'authenticated-as')]
  const headers = policyHeaders(policy)
  const detected = foundBy(policy)
  const mailOf = relevantMail(policy, leaves)
  // All sizes, and all times, between two bounds are alike.
  const sizes = leaves.flatMap((leaf) => (leaf.kind === 'size' ? [leaf.over ?? -1, leaf.under ?? -1] : [])).sort((a, b) => a - b)
  const ends = policy.overrides.map(({ until }) => until)
  const recipientOf = shortened([...patternsOf(leaves, 'to'), ...policy.overrides.map(({ to }) => to)])
  return ({ reversePath, recipient, mail, ...facts }, under) => ({
    ...mailOf(reversePath, mail),
    recipient: recipientOf(recipient),
    ...(sizes.length > 0 && facts.size !== undefined && { size: within(sizes, facts.size) }),
    ...(client && facts.client !== undefined && { client: facts.client }),
    ...(ends.length > 0 && facts.at !== undefined && { at: Math.max(0, ...ends.filter((until) => until <= (facts.at ?? 0))) }),
    ...(headers.length > 0 && facts.headers !== undefined && { headers: whole(facts.headers, headers) }),
    ...(detect && facts.detected !== undefined && { detected: detected(facts.detected, under) }),
  })
}

const patternsOf = (leaves: readonly Condition[], ...kinds: readonly string[]): Patterns[] =>
  leaves.flatMap((leaf) => ('patterns' in leaf && kinds.includes(leaf.kind) ? [leaf.patterns] : []))

/** Where no pattern names an address, domains alone are asked for; nothing at all where there is no pattern. '' stays: it names nobody. */
function shortened(asked: readonly Patterns[]): (address: string) => string {
  if (asked.some(({ lists }) => lists.some(({ address }) => address.size > 0))) return (address) => address
  return (address) => (address === '' ? '' : `@${domainOf(address)}`)
}

/** The null reverse-path means the header From in `from`; one that a forwarder rewrote counts for `is: forwarded`. */
function relevantMail(
  policy: Policy,
  leaves: readonly Condition[],
): (reversePath: string, mail: PlanFacts['mail']) => Pick<PlanFacts, 'reversePath' | 'mail'> {
  const traits = new Set<Trait>(leaves.flatMap((leaf) => (leaf.kind === 'is' ? leaf.traits : [])))
  const tags = policyTags(policy)
  const asks = (kind: Condition['kind']) => leaves.some((leaf) => leaf.kind === kind)
  const [from, headerFrom] = [asks('from'), asks('header-from')]
  const short = shortened(patternsOf(leaves, 'from', 'header-from'))
  return (reversePath, mail) => ({
    reversePath: traits.has('forwarded') ? reversePath : from ? short(reversePath) : '',
    mail: {
      headerFrom: headerFrom || (from && reversePath === '') ? short(mail.headerFrom) : '',
      subjectTags: tags.length === 0 ? [] : mail.subjectTags.filter((tag) => tags.includes(tag.toLowerCase())),
      autoSubmitted: traits.has('auto-submitted') && mail.autoSubmitted,
      dsn: traits.has('dsn') && mail.dsn,
      encrypted: traits.has('encrypted') && mail.encrypted,
      ...(traits.has('signed') && mail.signed !== undefined && { signed: mail.signed }),
      ...(traits.has('calendar') && mail.calendar !== undefined && { calendar: mail.calendar }),
      ...(traits.has('rights-managed') && mail.rightsManaged !== undefined && { rightsManaged: mail.rightsManaged }),
      ...(traits.has('forwarded') && mail.forwarded !== undefined && { forwarded: mail.forwarded }),
    },
  })
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

/** Finds up to the threshold, of detectors that are asked for and meant the same when they were counted. */
function foundBy(policy: Policy) {
  const asked = policyDetectors(policy)
  const known = new Map<Policy | undefined, readonly (readonly [name: string, threshold: number])[]>()
  const sameUnder = (under: Policy | undefined) => {
    const before = known.get(under)
    if (before !== undefined) return before
    const same = asked
      .filter((name) => looksFor(policy, name) === looksFor(under, name))
      .map((name) => [name, thresholdOf(name, policy.detectors)] as const)
    known.set(under, same)
    return same
  }
  return (detected: NonNullable<PlanFacts['detected']>, under: Policy | undefined): NonNullable<PlanFacts['detected']> => {
    if (detected === 'unreadable') return detected
    const found: { [name: string]: number } = {}
    for (const [name, threshold] of sameUnder(under))
      if (Object.hasOwn(detected, name)) found[name] = Math.min(detected[name] ?? 0, threshold)
    return found
  }
}

const looksFor = (policy: Policy | undefined, name: string): string => {
  const own: Detector | undefined = policy?.detectors.find((detector) => detector.name === name)
  return JSON.stringify([own?.words ?? [], own?.patterns ?? []])
}
