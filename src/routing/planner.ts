/** Plans one recipient of a real message: reads from it what the policy asks, and looks into the content only when a rule needs it. */
import { decodeWords, fields, type Header } from '../mail/header.ts'
import type { Plan } from '../mail/plan.ts'
import { policyDetectors, policyHeaders } from './asked.ts'
import type { PlanFacts } from './facts.ts'
import { plan, undecided } from './plan.ts'
import type { Policy } from './policy.ts'

/** What a message is asked once a rule needs it. */
export type Asked = {
  readonly header: Header
  /** Look for these detectors of the policy in the decoded content; called at most once a message. */
  readonly detect: (names: readonly string[], policy: Policy) => Promise<NonNullable<PlanFacts['detected']>>
}

/** The plan, and the facts it was made on. */
export type Decided = { readonly plan: Plan; readonly facts: PlanFacts }

/** Decide by `policy`; `known` is what is known without looking into the content. */
export async function decide(policy: Policy, known: Omit<PlanFacts, 'headers' | 'detected'>, asked: Asked): Promise<Decided> {
  const facts = { ...known, headers: headersOf(asked.header, [...classification, ...policyHeaders(policy)]) }
  if (!undecided(policy, facts).includes('detect')) return { plan: plan(policy, facts), facts }
  const looked = { ...facts, detected: await asked.detect(policyDetectors(policy), policy) }
  return { plan: plan(policy, looked), facts: looked }
}

/** Fields by which mail is classified: kept with each decision, so that a rule that asks for them later can be simulated. */
export const classification = [
  'sensitivity',
  'importance',
  'priority',
  'x-priority',
  'precedence',
  'list-id',
  'content-class',
  'msip_labels',
  'x-classification',
]

const most = { values: 20, length: 2000 }

function headersOf(header: Header, names: readonly string[]): { [lowerCaseName: string]: readonly string[] } {
  return Object.fromEntries(
    [...new Set(names)].map((name) => [
      name,
      fields(header, name)
        .slice(0, most.values)
        .map((value) => decodeWords(value).slice(0, most.length)),
    ]),
  )
}
