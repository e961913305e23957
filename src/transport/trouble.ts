/** What can go wrong with one candidate or one recipient: the rows of the decision table in spec transport, by name. */
import type { Evidence } from '../mail/outcome.ts'

/** The rows, the most hopeful first: the class of an attempt is its most hopeful trouble over all candidates. */
export const rows = [
  // Nothing else may be tried while it is unknown whether the message has arrived.
  'in-doubt',
  'recipient-5yz',
  'recipient-4yz',
  'local-fault',
  'connection-lost',
  'remote-4yz',
  'unreachable',
  'dns-temporary',
  'content-5yz',
  'sender-5yz',
  'content-damaged',
  'starttls-4yz',
  'tls-broken',
  'expired',
  'starttls-5yz',
  'too-large',
  'eightbit',
  'no-shared-tls',
  'not-trusted',
  'name-mismatch',
  'too-low',
  'starttls-not-offered',
  'greeting-5yz',
  'smtputf8',
  'mx-unresolvable',
  'address-not-allowed',
  'mail-loop',
  'null-mx',
  'domain-not-found',
] as const
export type Row = (typeof rows)[number]

export type Trouble = {
  readonly row: Row
  /** One sentence without its full stop: what happened, to what. */
  readonly text: string
  /** RFC 3463 status that the other side gave. */
  readonly status?: string
  /** Who it happened with, and what was seen. */
  readonly evidence: Evidence
}

/** The trouble that decides the attempt; the first of equals. */
export function mostHopeful(troubles: readonly [Trouble, ...Trouble[]]): Trouble {
  const [first, ...others] = troubles.filter((one) => !isOtherAddress(one, troubles))
  return others.reduce((best, one) => (rows.indexOf(one.row) < rows.indexOf(best.row) ? one : best), first ?? troubles[0])
}

// A host that was reached at one address is not unreachable because another one is dead: we may simply have no IPv6.
const isOtherAddress = ({ row, evidence }: Trouble, troubles: readonly Trouble[]): boolean =>
  row === 'unreachable' && troubles.some((other) => other.row !== 'unreachable' && other.evidence.host === evidence.host)

/** Trouble that clear text would not have: under N1 a mail of ours goes without TLS then. */
export const isTlsTrouble = ({ row }: Trouble): boolean =>
  row === 'starttls-4yz' || row === 'starttls-5yz' || row === 'tls-broken' || row === 'no-shared-tls'
