/** The decision table of spec transport: what each trouble means for the recipient. Pure: no clock, no network. */
import type { Evidence, Outcome, Reason, Retry } from '../mail/outcome.ts'
import type { Published, Row, Trouble } from './trouble.ts'

export type Circumstances = {
  /** What binds us at the domain, or at its hosts. */
  readonly published: Published
  /** `clear`: the message may travel without TLS where nothing is published; what fails is retried, and there is nothing to fall back for. */
  readonly need: 'forced' | 'clear'
  /** `retry.tls.soft`, `.ratchet` and `.enforced` in milliseconds: how long before falling back. */
  readonly soft: number
  readonly ratchet: number
  readonly enforced: number
  /** The rule's own patience, in milliseconds: it replaces `soft`, and lengthens the others (a short one must not undo what the domain asks). */
  readonly patience: number | undefined
  /** When verified TLS was last seen there: the ratchet. */
  readonly verifiedAt?: number | undefined
}

/**
 * The cells of the table.
 * - now: fall back at once. - now-if-forced: the same, but where clear text is allowed only time helps: an offered STARTTLS is never skipped.
 * - soft, once-more, held, enforced: tried again for `retry.tls.soft`; once after five minutes; for `.ratchet`; for `.enforced`. Then fall back.
 * - ordinary: by `retry.schedule`, then a bounce. Never a fall back: the notice could not arrive either. - hours, a-day: the same, but not so long.
 * - bounce: at once. - in-doubt: one more attempt, never another method: the message may have arrived (RFC 1047).
 */
type Cell = 'now' | 'now-if-forced' | 'soft' | 'once-more' | 'held' | 'enforced' | 'ordinary' | 'hours' | 'a-day' | 'bounce' | 'in-doubt'

type Line = {
  readonly reason: Reason
  /** RFC 3463. */
  readonly status: string
  /** One cell for every column, or each its own; what STS testing fails is judged as if nothing were published. */
  readonly cells: Cell | { readonly none: Cell; readonly ratchet: Cell; readonly sts: Cell; readonly dane: Cell }
}

/** A line of TLS trouble: how it is taken where nothing is published; whoever is bound waits. */
const tls = (reason: Reason, none: Cell): Line => ({
  reason,
  status: '4.7.0',
  cells: { none, ratchet: 'held', sts: 'enforced', dane: 'enforced' },
})
const same = (cells: Cell, reason: Reason, status: string): Line => ({ reason, status, cells })

/** The table, row by row. */
const table: Record<Row, Line> = {
  'starttls-not-offered': tls('starttls-not-supported', 'now-if-forced'),
  'starttls-4yz': tls('starttls-not-supported', 'soft'),
  'starttls-5yz': tls('starttls-not-supported', 'once-more'),
  'no-shared-tls': tls('validation-failure', 'now-if-forced'),
  'tls-broken': tls('validation-failure', 'soft'),
  'not-trusted': tls('certificate-not-trusted', 'now'),
  'name-mismatch': tls('certificate-host-mismatch', 'now'),
  expired: tls('certificate-expired', 'soft'),
  'mx-not-in-policy': tls('validation-failure', 'enforced'),
  'tlsa-mismatch': tls('validation-failure', 'enforced'),
  'tlsa-invalid': tls('tlsa-invalid', 'enforced'),
  'dnssec-invalid': tls('dnssec-invalid', 'enforced'),
  'too-low': same('now', 'assurance-too-low', '5.7.10'),
  'dns-temporary': same('ordinary', 'dns-temporary', '4.4.3'),
  'domain-not-found': same('bounce', 'domain-not-found', '5.1.2'),
  'null-mx': same('bounce', 'null-mx', '5.1.10'),
  'mx-unresolvable': same('hours', 'mx-unresolvable', '5.4.4'),
  'address-not-allowed': same('hours', 'address-not-allowed', '5.4.4'),
  'mail-loop': same('bounce', 'mail-loop', '5.4.6'),
  unreachable: same('ordinary', 'unreachable', '4.4.1'),
  'remote-4yz': same('ordinary', 'remote-temporary', '4.4.1'),
  'greeting-5yz': same('a-day', 'remote-refused', '5.3.0'),
  'sender-5yz': same('bounce', 'remote-refused', '5.1.0'),
  'recipient-5yz': same('bounce', 'recipient-refused', '5.1.1'),
  'recipient-4yz': same('ordinary', 'recipient-deferred', '4.2.0'),
  'too-large': same('now', 'message-too-large', '5.3.4'),
  'content-5yz': same('bounce', 'content-refused', '5.6.0'),
  'content-damaged': same('bounce', 'content-damaged', '5.6.0'),
  'connection-lost': same('ordinary', 'connection-lost', '4.4.2'),
  'in-doubt': same('in-doubt', 'in-doubt', '4.4.2'),
  smtputf8: same('bounce', 'smtputf8-unsupported', '5.6.7'),
  eightbit: same('now', 'eightbit-unsupported', '5.6.3'),
  'local-fault': same('ordinary', 'local-fault', '4.3.0'),
}

/** What one trouble means: the outcome of the table, with a sentence for a human. */
export function verdict(trouble: Trouble, circumstances: Circumstances): Outcome {
  const { row } = trouble
  const { reason, status } = table[row]
  const cell = cellOf(row, circumstances)
  const text = cell === 'held' ? suspicion(trouble.text, circumstances) : trouble.text
  const evidence = { ...trouble.evidence, ...boundBy(circumstances) }
  const ruling = ruled(cell, circumstances)
  switch (ruling.kind) {
    case 'unsuitable':
      return { kind: 'unsuitable', reason, text, evidence }
    case 'failed':
      return { kind: 'failed', reason, text, evidence, status: trouble.status?.startsWith('5') ? trouble.status : status }
    case 'deferred':
      return {
        kind: 'deferred',
        reason,
        text,
        next: ruling.so,
        evidence: {
          ...evidence,
          row,
          ...(ruling.retry.as && { cause: reason }),
          // RFC 8461 §5, RFC 7672 §2.2: who publishes how its TLS must be wants to hear that it is not.
          ...(cell === 'enforced' && circumstances.published !== 'none' && { policyFailed: true }),
        },
        retry: ruling.retry,
        // RFC 3464 §2.3.4: a temporary status stays one in the delay notice; the final one is the table's.
        status: trouble.status ?? status,
      }
  }
}

/** The reason code of a row when it is trouble with TLS (RFC 8460 §4.3), for the tallies; undefined for all else. */
export const tlsFailure = (row: Row): Reason | undefined => (typeof table[row].cells === 'string' ? undefined : table[row].reason)

/** N1: mail of ours is not held where nothing is published, even when verified TLS was there before; published policies bind it (N2). */
function cellOf(row: Row, { published, need }: Circumstances): Cell {
  const { cells } = table[row]
  if (typeof cells === 'string') return cells
  switch (published) {
    case 'none':
    case 'sts-testing':
      return cells.none
    case 'ratchet':
      return need === 'clear' ? cells.none : cells.ratchet
    case 'sts-enforce':
      return cells.sts
    case 'dane':
      return cells.dane
  }
}

const suspicion = (text: string, { verifiedAt }: Circumstances): string =>
  `${text}, though verified TLS was seen there${verifiedAt === undefined ? '' : ` on ${new Date(verifiedAt).toISOString().slice(0, 10)}`}: a downgrade is suspected`

/** For the record: which column it was, where it was not the first. */
const boundBy = ({ published, verifiedAt }: Circumstances): Evidence =>
  published === 'none'
    ? {}
    : { published, ...(published === 'ratchet' && verifiedAt !== undefined && { verifiedAt: new Date(verifiedAt).toISOString() }) }

type Ruling = { readonly kind: 'unsuitable' | 'failed' } | Waiting
type Waiting = { readonly kind: 'deferred'; readonly retry: Retry; readonly so: string }

function ruled(cell: Cell, { published, need, soft, ratchet, enforced, patience }: Circumstances): Ruling {
  switch (cell) {
    case 'now':
      return { kind: 'unsuitable' }
    case 'now-if-forced':
      return need === 'clear' ? clearly : { kind: 'unsuitable' }
    case 'soft':
      return need === 'clear' ? clearly : fallBackAfter(rounds(patience ?? soft))
    case 'once-more':
      return need === 'clear' ? clearly : fallBackAfter([0, Math.round(Math.min(1, soft / hour) * 5 * minute)])
    case 'held':
      return fallBackAfter(rounds(Math.max(patience ?? 0, ratchet)), 'downgrade-suspected')
    case 'enforced':
      if (need === 'clear') return published === 'none' ? { ...clearly, so: 'we try again' } : bound
      return fallBackAfter(rounds(Math.max(patience ?? 0, enforced)))
    case 'ordinary':
      return { kind: 'deferred', retry: { then: 'failed' }, so: 'we try again' }
    case 'hours':
      return forAtMost(4 * hour)
    case 'a-day':
      return forAtMost(day)
    case 'bounce':
      return { kind: 'failed' }
    case 'in-doubt':
      return {
        kind: 'deferred',
        retry: { offsets: [0, 30 * minute], then: 'failed' },
        so: 'it may have been delivered; we ask once more in 30 minutes',
      }
  }
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

function fallBackAfter(offsets: readonly number[], as?: Reason): Ruling {
  const time = span(offsets.at(-1) ?? 0)
  const so = offsets.length === 2 ? `we ask once more in ${time}` : `we try again for ${time}`
  return { kind: 'deferred', retry: { offsets, then: 'unsuitable', ...(as && { as }) }, so: `${so} before another way is taken` }
}

const forAtMost = (until: number): Ruling => ({
  kind: 'deferred',
  retry: { until, then: 'failed' },
  so: `we try again for up to ${span(until)}`,
})

/** An offered STARTTLS that fails is never replaced by clear text: only time helps. */
const clearly: Waiting = { kind: 'deferred', retry: { then: 'unsuitable' }, so: 'we try again, and not in clear text' }

/** N2: what may travel in clear elsewhere obeys the policy of a domain that publishes one (RFC 8461 §5, RFC 7672 §2.2). */
const bound: Waiting = { ...clearly, so: 'we try again, as its domain lets mail in only over TLS that it vouches for' }

/** Rounds at 0, 1, 5, 15, 30, 60 min, drawn together to end at `until`; a longer patience goes on hourly. */
export function rounds(until: number): readonly number[] {
  const usual = [0, 1, 5, 15, 30, 60].map((minutes) => minutes * minute)
  if (until <= hour) return usual.map((offset) => Math.round((offset * until) / hour))
  const hours = Array.from({ length: Math.ceil(until / hour) - 2 }, (_, i) => (i + 2) * hour)
  return [...usual, ...hours, until]
}

function span(milliseconds: number): string {
  const [size, unit] = (
    [
      [day, 'day'],
      [hour, 'hour'],
      [minute, 'minute'],
      [1000, 'second'],
    ] as const
  ).find(([length]) => milliseconds >= 2 * length || milliseconds === length) ?? [1000, 'second']
  const count = Math.max(1, Math.round(milliseconds / size))
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
