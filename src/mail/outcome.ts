/** What an attempt at one recipient came to: the only vocabulary a delivery method may answer in. */

/** Trouble with the channel: whether it counts depends on what is asked of it. RFC 8460 §4.3 result types wherever one exists. */
export const tlsReasons = [
  'starttls-not-supported',
  'validation-failure',
  'certificate-not-trusted',
  'certificate-host-mismatch',
  'certificate-expired',
  'tlsa-invalid',
  'dnssec-invalid',
  'sts-policy-fetch-error',
  'sts-policy-invalid',
  'sts-webpki-invalid',
  'assurance-too-low',
] as const

/** Reason codes: reports, explain and alerts speak one language. */
export const reasons = [
  ...tlsReasons,
  'dns-temporary',
  'domain-not-found',
  'null-mx',
  'mx-unresolvable',
  'mail-loop',
  'address-not-allowed',
  'unreachable',
  'remote-temporary',
  'remote-refused',
  'recipient-refused',
  'recipient-deferred',
  'message-too-large',
  'content-refused',
  'connection-lost',
  'in-doubt',
  'smtputf8-unsupported',
  'eightbit-unsupported',
  'downgrade-suspected',
  'local-fault',
  'no-key',
  'key-unusable',
  'no-certificate',
  'not-encryptable',
  'already-encrypted',
  'not-available',
  'rule-says-bounce',
  'held-by-rule',
  'returned-by-operator',
  'notice-undeliverable',
  'expired-in-queue',
  'content-damaged',
  'restored',
  'attempt-crashed',
] as const
export type Reason = (typeof reasons)[number]

/** What was proven about the channel that carried a message, weakest first. */
export const assurances = ['none', 'encrypted', 'verified', 'authenticated', 'dane', 'pinned'] as const
export type Assurance = (typeof assurances)[number]

/** Facts kept with a decision: host, address, protocol, cipher, certificate, reply. Never content, subject, code or secret. */
export type Evidence = { readonly [name: string]: Fact }
export type Fact = string | number | boolean | null | readonly Fact[] | { readonly [name: string]: Fact }

/** When a deferred step is tried again, and what becomes of it when patience ends. */
export type Retry = {
  /** Milliseconds after the step's first deferral with this same retry, ascending; absent: the ordinary schedule (`retry.schedule`). */
  readonly offsets?: readonly number[]
  /** Milliseconds, counted likewise and at most `retry.lifetime`. Absent: `retry.lifetime`, from acceptance ('unsuitable': the step's start). */
  readonly until?: number
  /** What a deferral past the last offset or `until` becomes. */
  readonly then: 'unsuitable' | 'failed'
  /** With `then: 'unsuitable'`: the reason it becomes, where that says more than what happened last (`cause` in the evidence). */
  readonly as?: Reason
}

/**
 * - delivered:  the next hop, or the vault, took responsibility (RFC 5321 §6.1).
 * - unsuitable: this method cannot serve this recipient; take the next step of the plan.
 * - deferred:   try this same step again later.
 * - failed:     nobody can deliver it; report to the reverse-path.
 *
 * `text` is one sentence for a human: what happened, to what, until when. `status` is an RFC 3463 code.
 */
export type Outcome =
  | { readonly kind: 'delivered'; readonly assurance: Assurance; readonly text: string; readonly evidence: Evidence }
  | { readonly kind: 'unsuitable'; readonly reason: Reason; readonly text: string; readonly evidence: Evidence }
  | {
      readonly kind: 'deferred'
      readonly reason: Reason
      readonly text: string
      /** What we do next, without a full stop: `we try again for 60 minutes before another way is taken`. */
      readonly next?: string
      readonly evidence: Evidence
      readonly retry: Retry
      readonly status?: string
    }
  | { readonly kind: 'failed'; readonly reason: Reason; readonly text: string; readonly evidence: Evidence; readonly status: string }

/** The whole sentence of an outcome: what happened and, while it waits, what comes next. */
export const sentence = (outcome: Outcome): string =>
  outcome.kind === 'deferred' && outcome.next !== undefined ? `${outcome.text}; ${outcome.next}` : outcome.text
