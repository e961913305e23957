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
  'dnssec-invalid',
  'starttls-4yz',
  'tls-broken',
  'expired',
  'starttls-5yz',
  'too-large',
  'eightbit',
  'no-shared-tls',
  'not-trusted',
  'name-mismatch',
  'tlsa-mismatch',
  'tlsa-invalid',
  'too-low',
  'starttls-not-offered',
  'mx-not-in-policy',
  'greeting-5yz',
  'smtputf8',
  'mx-unresolvable',
  'address-not-allowed',
  'mail-loop',
  'null-mx',
  'domain-not-found',
] as const
export type Row = (typeof rows)[number]

/**
 * What binds a delivery to a host: the columns of the table.
 * - ratchet: its domain had verified TLS lately (posture.ts). - sts-…: its domain's MTA-STS policy (RFC 8461).
 * - dane: the host itself has TLSA records that DNSSEC proves (RFC 7672).
 */
export type Published = (typeof columns)[number]

/** The laxest first: over several hosts the strictest counts. `sts-testing` asks for nothing. */
export const columns = ['none', 'sts-testing', 'ratchet', 'sts-enforce', 'dane'] as const

/** The strictest of several columns. */
export const strictest = (several: readonly (Published | undefined)[]): Published =>
  columns.findLast((column) => several.includes(column)) ?? 'none'

export type Trouble = {
  readonly row: Row
  /** What binds us at this host, where that is more than what binds us at the whole domain. */
  readonly published?: Published
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

/** Trouble that an operator should hear of: somebody may be in between, or the domain has broken what it publishes. */
export const isAlarming = ({ row }: Trouble): boolean => row === 'tlsa-mismatch' || row === 'dnssec-invalid' || row === 'mx-not-in-policy'
