/** Hands mail that is just being accepted straight to delivery: its rows are claimed from the start, and its content need not be read again. */
import { domainOf } from '../mail/address.ts'
import type { Group } from './claim.ts'
import type { DueGroup } from './due.ts'
import type { Acceptance } from './spool.ts'

/** A place among the attempts, kept while the rows are written: then `begin` or `leave` is called, once. */
export type Berth = {
  /** What the rows will say: it may be planned, but nothing of it be written or sent before `begin`. Absent: nobody plans ahead. */
  readonly foresee?: (group: Group) => void
  /** The rows are durable, and claimed with fence 1. */
  readonly begin: (group: Group) => void
  /** They are not. */
  readonly leave: () => void
}

/** Asks delivery for a place; undefined when there is none, or when others wait for it: then the mail goes to the queue like any other. */
export type Berths = (group: DueGroup) => Berth | undefined

/** The berths of one message by domain; a domain without one waits in the queue. */
export function berthsFor(berths: Berths, message: string, { headerFrom: sender, envelope }: Acceptance): ReadonlyMap<string, Berth> {
  const found = new Map<string, Berth>()
  for (const domain of new Set(envelope.recipients.map(({ address }) => domainOf(address)))) {
    const berth = berths({ message, domain, sender })
    if (berth !== undefined) found.set(domain, berth)
  }
  return found
}
