/** Plans real mail by the policy revision stamped at its acceptance, and looks into its content at most once, when a rule needs that. */
import type { Logger } from 'pino'
import type { Detect } from '../detect/detect.ts'
import type { Header } from '../mail/header.ts'
import { looked } from '../routing/detectors.ts'
import type { PlanFacts } from '../routing/facts.ts'
import { decide } from '../routing/planner.ts'
import type { Policy } from '../routing/policy.ts'
import type { DeliveryParts } from './deliver.ts'

export type PlannerParts = {
  /** The policy of a revision; rejects when it is missing or was altered. */
  readonly policyOf: (revision: number) => Promise<Policy>
  readonly detect: Detect
  readonly log: Logger
}

type Detected = NonNullable<PlanFacts['detected']>

export function createPlanner({ policyOf, detect, log }: PlannerParts): DeliveryParts['planFor'] {
  // The recipients of a message are planned side by side: its header stands for it.
  const under = new WeakMap<Header, Promise<Detected>>()

  const lookInto = async (
    names: readonly string[],
    policy: Policy,
    { id, open }: Parameters<DeliveryParts['planFor']>[2],
  ): Promise<Detected> => {
    const answer = await detect.look(open(), looked(names, policy.detectors))
    if (answer.kind === 'found') return Object.fromEntries(answer.found.map(({ name, count }) => [name, count]))
    log.warn({ message: id, because: answer.because }, 'the content could not be looked into: every detector counts as found')
    return 'unreadable'
  }

  return async (revision, known, message) => {
    const policy = await policyOf(revision)
    return decide(policy, known, {
      header: message.header,
      detect: (names) => {
        const looking = under.get(message.header) ?? lookInto(names, policy, message)
        under.set(message.header, looking)
        return looking
      },
    })
  }
}
