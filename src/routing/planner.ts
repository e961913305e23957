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

/** The plan, and the facts it was made on, as far as they are kept. */
export type Decided = { readonly plan: Plan; readonly facts: PlanFacts }

/** Decide by `policy`; `known` is what is known without looking into the content. */
export async function decide(policy: Policy, known: Omit<PlanFacts, 'headers' | 'detected'>, asked: Asked): Promise<Decided> {
  const facts = { ...known, headers: headersOf(asked.header, [...classification, ...policyHeaders(policy)]) }
  const looks = undecided(policy, facts).includes('detect')
  const whole = looks ? { ...facts, detected: await asked.detect(policyDetectors(policy), policy) } : facts
  return { plan: plan(policy, whole), facts: { ...whole, headers: shortened(whole.headers) } }
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

type Headers = NonNullable<PlanFacts['headers']>

/** All of them: a rule must not be got round by a field that is given often, or long. */
const headersOf = (header: Header, names: readonly string[]): Headers =>
  Object.fromEntries([...new Set(names)].map((name) => [name, fields(header, name).map(decodeWords)]))

/** What is kept of them with the decision. Where there may have been more, nobody can say later what another rule would have found. */
export const keptValues = 20
const keptText = 2000

const shortened = (headers: Headers): Headers =>
  Object.fromEntries(
    Object.entries(headers).map(([name, values]) => [name, values.slice(0, keptValues).map((value) => value.slice(0, keptText))]),
  )
