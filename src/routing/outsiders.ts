/** Refuses a policy that would let others know: copies and approvals go to addresses of the organisation, and to no other. Pure. */
import { domainOf } from '../mail/address.ts'
import type { Policy } from './policy.ts'
import type { Problem } from './problem.ts'

/** Mistakes, in order of place. Without `domains` (`organisation.domains`) nothing can be said here; delivery looks again at each message. */
export function outsiders({ rules, default: last }: Policy, domains: readonly string[]): Problem[] {
  if (domains.length === 0) return []
  const isOutside = (address: unknown): address is string => typeof address === 'string' && !domains.includes(domainOf(address))
  const hint = `organisation.domains: ${domains.join(', ')}`
  const refused = (place: { readonly line: number; readonly column: number }, what: string, address: string): Problem => ({
    line: Math.max(1, place.line),
    column: place.column,
    text: `${what} ${address} is no address of the organisation`,
    hint,
  })
  return [...rules, { ...last, column: 1 }].flatMap((ladder) => [
    ...ladder.alsoTo.filter(isOutside).map((address) => refused(ladder, 'also-to:', address)),
    ...ladder.steps.flatMap((step) =>
      approversOf(step.options)
        .filter(isOutside)
        .map((address) => refused(step, 'approver', address)),
    ),
  ])
}

const approversOf = ({ approvers }: { readonly [name: string]: unknown }): readonly unknown[] => (Array.isArray(approvers) ? approvers : [])
