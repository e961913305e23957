/** The decision table: what each trouble means for the recipient. Pure: no clock, no network. */
import type { Evidence, Outcome, Reason, Retry } from '../mail/outcome.ts'
import type { Row, Trouble } from './trouble.ts'

/** What the domain publishes, or is known for: the columns of the table. Only the first is due in this version. */
export type Published = 'none'

export type Circumstances = {
  readonly published: Published
  /** `clear`: the message may travel without TLS; what fails is retried, and there is nothing to fall back for. */
  readonly need: 'forced' | 'clear'
  /** `retry.tls.soft` in milliseconds. */
  readonly soft: number
  /** The rule's own patience, in milliseconds: it replaces `soft`. */
  readonly patience: number | undefined
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** What one trouble means: the outcome of spec transport's table, with a sentence for a human. */
export function verdict(trouble: Trouble, circumstances: Circumstances): Outcome {
  const ruling = column(circumstances)[trouble.row]
  const { text, evidence } = trouble
  const reason = ruling.reason
  switch (ruling.kind) {
    case 'unsuitable':
      return { kind: 'unsuitable', reason, text, evidence }
    case 'failed':
      return { kind: 'failed', reason, text, evidence, status: trouble.status?.startsWith('5') ? trouble.status : ruling.status }
    case 'deferred':
      return {
        kind: 'deferred',
        reason,
        text,
        next: ruling.so,
        evidence: withRow(evidence, trouble.row),
        retry: ruling.retry,
        // RFC 3464 §2.3.4: a temporary status stays one in the delay notice; the final one is the ruling's.
        status: trouble.status ?? ruling.status,
      }
  }
}

type Ruling =
  | { readonly kind: 'unsuitable'; readonly reason: Reason }
  | { readonly kind: 'failed'; readonly reason: Reason; readonly status: string }
  | { readonly kind: 'deferred'; readonly reason: Reason; readonly retry: Retry; readonly status: string; readonly so: string }

const withRow = (evidence: Evidence, row: Row): Evidence => ({ ...evidence, row })

function column(circumstances: Circumstances): Record<Row, Ruling> {
  switch (circumstances.published) {
    case 'none':
      return nothingPublished(circumstances)
  }
}

/** "Nothing published" of the table, row by row. */
function nothingPublished(circumstances: Circumstances): Record<Row, Ruling> {
  const soft = softly(circumstances)
  return {
    'starttls-not-offered': unsuitable('starttls-not-supported'),
    'starttls-4yz': soft('starttls-not-supported'),
    'starttls-5yz': onceMore('starttls-not-supported', circumstances),
    'no-shared-tls': circumstances.need === 'clear' ? soft('validation-failure') : unsuitable('validation-failure'),
    'tls-broken': soft('validation-failure'),
    'not-trusted': unsuitable('certificate-not-trusted'),
    'name-mismatch': unsuitable('certificate-host-mismatch'),
    expired: soft('certificate-expired'),
    'too-low': unsuitable('assurance-too-low'),
    'dns-temporary': ordinary('dns-temporary', '4.4.3'),
    'domain-not-found': failed('domain-not-found', '5.1.2'),
    'null-mx': failed('null-mx', '5.1.10'),
    'mx-unresolvable': forAtMost(4 * hour, 'mx-unresolvable', '5.4.4'),
    'address-not-allowed': forAtMost(4 * hour, 'address-not-allowed', '5.4.4'),
    'mail-loop': failed('mail-loop', '5.4.6'),
    unreachable: ordinary('unreachable', '4.4.1'),
    'remote-4yz': ordinary('remote-temporary', '4.4.1'),
    'greeting-5yz': forAtMost(day, 'remote-refused', '5.3.0'),
    'sender-5yz': failed('remote-refused', '5.1.0'),
    'recipient-5yz': failed('recipient-refused', '5.1.1'),
    'recipient-4yz': ordinary('recipient-deferred', '4.2.0'),
    'too-large': unsuitable('message-too-large'),
    'content-5yz': failed('content-refused', '5.6.0'),
    'content-damaged': failed('content-damaged', '5.6.0'),
    'connection-lost': ordinary('connection-lost', '4.4.2'),
    'in-doubt': inDoubt,
    smtputf8: failed('smtputf8-unsupported', '5.6.7'),
    eightbit: unsuitable('eightbit-unsupported'),
    'local-fault': ordinary('local-fault', '4.3.0'),
  }
}

const unsuitable = (reason: Reason): Ruling => ({ kind: 'unsuitable', reason })
const failed = (reason: Reason, status: string): Ruling => ({ kind: 'failed', reason, status })

/** `retry.schedule` until `retry.lifetime`, then a bounce. Never a fall back: the notice could not arrive either. */
const ordinary = (reason: Reason, status: string): Ruling => ({
  kind: 'deferred',
  reason,
  status,
  retry: { then: 'failed' },
  so: 'we try again',
})

const forAtMost = (until: number, reason: Reason, status: string): Ruling => ({
  kind: 'deferred',
  reason,
  status,
  retry: { until, then: 'failed' },
  so: `we try again for up to ${span(until)}`,
})

/** One more attempt, never another method: the message may have arrived (RFC 1047). */
const inDoubt: Ruling = {
  kind: 'deferred',
  reason: 'in-doubt',
  status: '4.4.2',
  retry: { offsets: [0, 30 * minute], then: 'failed' },
  so: 'it may have been delivered; we ask once more in 30 minutes',
}

type Softly = (reason: Reason) => Ruling

/** Trouble that passes: rounds, then the next step. Where clear text is allowed there is no next step to hurry to. */
function softly({ need, soft, patience }: Circumstances): Softly {
  if (need === 'clear') return clearly
  const until = patience ?? soft
  return (reason) => ({
    kind: 'deferred',
    reason,
    status: '4.7.0',
    retry: { offsets: rounds(until), then: 'unsuitable' },
    so: `we try again for ${span(until)} before another way is taken`,
  })
}

/** An offered STARTTLS that fails is never replaced by clear text: only time helps. */
const clearly: Softly = (reason) => ({
  kind: 'deferred',
  reason,
  status: '4.7.0',
  retry: { then: 'unsuitable' },
  so: 'we try again, and not in clear text',
})

function onceMore(reason: Reason, { need, soft }: Circumstances): Ruling {
  if (need === 'clear') return clearly(reason)
  const pause = Math.round(Math.min(1, soft / hour) * 5 * minute)
  return {
    kind: 'deferred',
    reason,
    status: '4.7.0',
    retry: { offsets: [0, pause], then: 'unsuitable' },
    so: `we ask once more in ${span(pause)} before another way is taken`,
  }
}

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
