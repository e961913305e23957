/** Tells what another policy would have made of stored decisions: what changes, for whom, and who would newly be asked to the portal. Pure. */
import { domainOf } from '../mail/address.ts'
import type { Step } from '../mail/plan.ts'
import type { Proofs } from '../methods/escrow/proof.ts'
import type { Settings } from '../ops/settings.ts'
import { createDecider, type Decider } from './decider.ts'
import { type Foretold, foretell } from './foretell.ts'
import type { Policy } from './policy.ts'
import type { Replayed, Surroundings } from './replay.ts'
import { type SeenSettings, seenSide, type Witness } from './seen.ts'
import { changedTerms, type Term } from './terms.ts'

/** The JSON of `policy simulate`; fields may be added. */
export type Simulated = {
  readonly decisions: number
  readonly changed: number
  /** Most frequent first; `from` and `to` are methods, `clear`, `hold`, `wait`; a letter with another proof is `escrow, proof code`. */
  readonly byChange: readonly { readonly from: string; readonly to: string; readonly count: number }[]
  /** Recipients whose mail goes the same way, where the step asks something else; one may count in several terms. */
  readonly otherTerms: { readonly count: number; readonly terms: readonly (Term & { readonly count: number })[] }
  /** Addresses that get more or fewer copies (`also-to`), most changes first. */
  readonly copies: readonly { readonly to: string; readonly before: number; readonly next: number }[]
  /** Domains with changes, most changes first. */
  readonly byDomain: readonly { readonly domain: string; readonly decisions: number; readonly changed: number }[]
  /** Addresses that would get a letter and got none in that time; `addresses` are some of them, by name. */
  readonly peopleNewlyAsked: { readonly count: number; readonly addresses: readonly string[] }
  /** Decisions whose records do not tell what would become of them; none of them is counted as changed. */
  readonly cannotTell: { readonly count: number; readonly missing: readonly { readonly what: string; readonly count: number }[] }
}

export type SimulationSettings = SeenSettings & Proofs & Pick<Settings, 'delivery.routes' | 'organisation.domains'>

export type SimulationParts = {
  readonly next: Policy
  /** What it is compared with: the policy that decided then, or one for all. Undefined: it cannot be read. */
  readonly before: (revision: number) => Policy | undefined
  /** The policy that decided then. */
  readonly then: (revision: number) => Policy | undefined
  readonly around: Surroundings
  readonly settings: SimulationSettings
}

export type Simulation = { readonly add: (decision: Replayed) => void; readonly result: () => Simulated }

const listed = { domains: 1000, addresses: 1000 }

/** Add decisions one by one; the result may be asked for at any time. */
export function createSimulation(parts: SimulationParts): Simulation {
  const deciders = new Map<Policy, Decider>()
  const deciderOf = (policy: Policy): Decider => {
    const decider = deciders.get(policy) ?? createDecider(policy)
    deciders.set(policy, decider)
    return decider
  }
  const [changes, missing] = [new Map<string, number>(), new Map<string, number>()]
  const domains = new Map<string, { decisions: number; changed: number }>()
  const [askedBefore, askedNext] = [new Set<string>(), new Set<string>()]
  const terms = new Map<string, number>()
  const copies = new Map<string, { before: number; next: number }>()
  let [decisions, changed, untold, otherTerms] = [0, 0, 0, 0]
  const copied = (addresses: readonly string[], when: 'before' | 'next') => {
    for (const address of addresses) {
      const number = copies.get(address) ?? { before: 0, next: 0 }
      copies.set(address, number)
      number[when] += 1
    }
  }

  const add = (decision: Replayed) => {
    decisions += 1
    const { recipient } = decision.facts
    const domain = domains.get(domainOf(recipient)) ?? { decisions: 0, changed: 0 }
    domains.set(domainOf(recipient), domain)
    domain.decisions += 1
    const pair = compare(decision, parts, deciderOf)
    if ('missing' in pair) {
      untold += 1
      for (const what of pair.missing) count(missing, what)
      return
    }
    copied(pair.copies.before, 'before')
    copied(pair.copies.next, 'next')
    if (isLetter(pair.before)) askedBefore.add(recipient)
    if (isLetter(pair.next)) askedNext.add(recipient)
    const [from, to] = words(pair)
    if (from === to) {
      const { before, next } = pair
      const other = before.step && next.step ? changedTerms(before.step, next.step, parts.settings) : []
      for (const { what, from, to } of other) count(terms, `${what}\n${from}\n${to}`)
      if (other.length > 0) otherTerms += 1
      return
    }
    changed += 1
    domain.changed += 1
    count(changes, `${from}\n${to}`)
  }
  return {
    add,
    result: () => {
      const newly = [...askedNext].filter((address) => !askedBefore.has(address)).sort()
      return {
        decisions,
        changed,
        byChange: ranked(changes).map(([key, number]) => {
          const [from = '', to = ''] = key.split('\n')
          return { from, to, count: number }
        }),
        otherTerms: {
          count: otherTerms,
          terms: ranked(terms).map(([key, number]) => {
            const [what = '', from = '', to = ''] = key.split('\n')
            return { what, from, to, count: number }
          }),
        },
        copies: [...copies]
          .filter(([, { before, next }]) => before !== next)
          .map(([to, numbers]) => ({ to, ...numbers }))
          .sort((a, b) => Math.abs(b.next - b.before) - Math.abs(a.next - a.before) || (a.to < b.to ? -1 : 1)),
        byDomain: [...domains]
          .filter(([, one]) => one.changed > 0)
          .sort(([a, one], [b, other]) => other.changed - one.changed || (a < b ? -1 : 1))
          .slice(0, listed.domains)
          .map(([domain, one]) => ({ domain, ...one })),
        peopleNewlyAsked: { count: newly.length, addresses: newly.slice(0, listed.addresses) },
        cannotTell: { count: untold, missing: ranked(missing).map(([what, number]) => ({ what, count: number })) },
      }
    },
  }
}

const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1)
const ranked = (counts: ReadonlyMap<string, number>) => [...counts].sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))

type Pair = {
  readonly before: Foretold
  readonly next: Foretold
  readonly copies: { readonly before: readonly string[]; readonly next: readonly string[] }
}

function compare(
  decision: Replayed,
  { next, before, then, around, settings }: SimulationParts,
  deciderOf: (policy: Policy) => Decider,
): Pair | { readonly missing: readonly string[] } {
  const { facts, revision } = decision
  const [policy, under] = [before(revision), then(revision)]
  if (policy === undefined) return { missing: [`policy revision ${revision}`] }
  const asBefore = deciderOf(policy)(facts, under)
  if ('missing' in asBefore) return asBefore
  const asNext = deciderOf(next)(facts, under)
  if ('missing' in asNext) return asNext
  const asThen = under === policy ? asBefore : under && deciderOf(under)(facts, under)
  const planned = asThen && 'plan' in asThen ? asThen.plan.steps : []
  const side = seenSide(witnessOf(decision, planned, around, settings), settings)
  const told = foretell(asBefore.plan.steps, side, settings)
  const pair = {
    before: told,
    next: sameSteps(asBefore.plan, asNext.plan) ? told : foretell(asNext.plan.steps, side, settings),
    copies: { before: asBefore.plan.alsoTo, next: asNext.plan.alsoTo },
  }
  const missing = [pair.before.missing, pair.next.missing].filter((what) => what !== null)
  return missing.length > 0 ? { missing: [...new Set(missing)] } : pair
}

/** Plans are kept by their deciders: each pair is compared once. */
const compared = new WeakMap<object, WeakMap<object, boolean>>()

function sameSteps(one: { readonly steps: readonly Step[] }, other: { readonly steps: readonly Step[] }): boolean {
  const pairs = compared.get(one) ?? new WeakMap<object, boolean>()
  compared.set(one, pairs)
  const known = pairs.get(other)
  if (known !== undefined) return known
  const same = JSON.stringify(one.steps) === JSON.stringify(other.steps)
  pairs.set(other, same)
  return same
}

/** `planned`: the steps of the plan that was walked; what was asked of them is not in the record. */
export function witnessOf(
  { facts, steps }: Pick<Replayed, 'facts' | 'steps'>,
  planned: readonly Step[],
  around: Surroundings,
  settings: Pick<SimulationSettings, 'delivery.routes' | 'organisation.domains'>,
): Witness {
  const { recipient, mail, size } = facts
  const domain = domainOf(recipient)
  const routes = settings['delivery.routes']
  const own = settings['organisation.domains'].includes(domain) && Object.hasOwn(routes, domain)
  return {
    steps,
    asked: steps.map(({ method }, i) => (planned[i]?.method === method ? planned[i].options : undefined)),
    encrypted: mail.encrypted,
    size,
    probed: around.probed.get(domain),
    verifiedAt: around.verifiedAt.get(domain),
    hasKey: ({ trust }) => {
      const known = around.keys.get(recipient.toLowerCase())
      return known !== undefined && (trust !== 'direct' || known === 'direct')
    },
    route: Object.hasOwn(routes, domain) ? routes[domain] : routes['*'],
    own,
  }
}

const isLetter = ({ method, held }: Foretold): boolean => method === 'escrow' && !held

/** One word each, and the proof of letters where only that differs. */
function words({ before, next }: Pair): readonly [string, string] {
  if (isLetter(before) && isLetter(next) && before.proof !== next.proof)
    return [`escrow, proof ${before.proof}`, `escrow, proof ${next.proof}`]
  return [word(before), word(next)]
}

const word = ({ method, clear, held }: Foretold): string => (clear ? 'clear' : held ? 'hold' : method)
