/** What an admin must hear of at once: TLS that was there and is gone, and TLS that a domain demands and does not offer. */
import { entry } from '../audit/audit.ts'
import type { Reason } from '../mail/outcome.ts'
import type { Statement } from '../store/db.ts'
import type { Planned } from './settlement.ts'

export type Alarm = {
  /** `downgrade-suspected`: mail stopped waiting for the TLS it was used to. `policy-failed`: mail begins to wait for what the domain publishes. */
  readonly action: 'domain.downgrade-suspected' | 'domain.policy-failed'
  readonly domain: string
  readonly reason: Reason
  readonly text: string
}

/** At most one of a kind for an attempt, whatever the number of its recipients. */
export function alarmsOf(domain: string, endings: readonly Planned[]): readonly Alarm[] {
  const alarms = endings.flatMap((ending) => [...suspicionIn(domain, ending), ...failureIn(domain, ending)])
  return alarms.filter(({ action }, index) => alarms.findIndex((one) => one.action === action) === index)
}

const suspicionOf: Reason = 'downgrade-suspected'

function suspicionIn(domain: string, { recipient, earlier, outcome, answer }: Planned): Alarm[] {
  const action = 'domain.downgrade-suspected'
  if (answer?.hold !== undefined) return [{ action, domain, reason: suspicionOf, text: outcome.text }]
  const fresh = earlier.slice(recipient.frozen?.earlier.length ?? 0).find(({ reason }) => reason === suspicionOf)
  return fresh ? [{ action, domain, reason: suspicionOf, text: fresh.text }] : []
}

/** Once a step: what waits is attempted many times. */
const failureIn = (domain: string, { outcome, stepAttempts }: Planned): Alarm[] =>
  outcome.kind === 'deferred' && outcome.evidence.policyFailed === true && stepAttempts === 1
    ? [{ action: 'domain.policy-failed', domain, reason: outcome.reason, text: outcome.text }]
    : []

/** For the same write as the settlements. */
export const alarmEntries = (alarms: readonly Alarm[], now: number): Statement[] =>
  alarms.map(({ action, domain, reason, text }) => entry(now, { actor: 'delivery', action, object: domain, detail: { reason, text } }))
