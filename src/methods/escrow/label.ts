/** Why a message became a letter, and what that demands of its reader: read from the answers of the steps before. Pure. */

/**
 * - by-rule:      the rule wants a letter; nothing else was tried.
 * - too-large:    the recipient's server takes no message of this size.
 * - clear-path:   no TLS is offered, so whoever taps this mail path could read the notice's link and the code.
 * - broken-tls:   TLS is offered but does not work; notice and code may travel in clear.
 * - unproven-tls: the mail path is encrypted, but to whom was not proven (certificate), or not as well as the rule asks.
 * - no-key:       the rule asks for a key or certificate of the recipient, and none is known.
 * - handed-over:  whatever it was, the notice could not be delivered, and the sender gave the reader link and words.
 */
export const letterLabels = ['by-rule', 'too-large', 'clear-path', 'broken-tls', 'unproven-tls', 'no-key', 'handed-over'] as const
export type LetterLabel = (typeof letterLabels)[number]

type Earlier = readonly { readonly method: string; readonly reason: string }[]

/** The label for the reasons with which earlier steps declined, in order. */
export function labelFor(earlier: Earlier): LetterLabel {
  const known = earlier.flatMap(({ reason }) => labelOfReason(reason) ?? [])
  return known.find((label) => label !== 'no-key') ?? known[0] ?? 'by-rule'
}

function labelOfReason(reason: string): LetterLabel | undefined {
  if (reason === 'starttls-not-supported') return 'clear-path'
  if (reason === 'validation-failure') return 'broken-tls'
  if (reason.startsWith('certificate-') || reason === 'assurance-too-low') return 'unproven-tls'
  if (reason === 'message-too-large') return 'too-large'
  if (['no-key', 'key-unusable', 'no-certificate', 'not-encryptable'].includes(reason)) return 'no-key'
  return undefined
}

/** What a page says: a notice that went over any TLS is labelled better than one in clear. */
export function labelShown(label: string, noticeAssurance: string | null): LetterLabel {
  const known = letterLabels.find((one) => one === label) ?? 'by-rule'
  const encrypted = noticeAssurance !== null && noticeAssurance !== 'none'
  return encrypted && (known === 'clear-path' || known === 'broken-tls') ? 'unproven-tls' : known
}

/**
 * Reasons that look like an attack on the recipient's mail path: whoever strips TLS also reads the notice and the code, so a code proves
 * nothing (spec "Why it fell back sets the proof").
 */
const attacked = [
  'downgrade-suspected',
  'sts-policy-fetch-error',
  'sts-policy-invalid',
  'sts-webpki-invalid',
  'tlsa-invalid',
  'dnssec-invalid',
]

/** The first earlier answer after which a mailed code is no proof; undefined when there is none. */
export const attackSign = <Step extends { readonly reason: string }>(earlier: readonly Step[]): Step | undefined =>
  earlier.find(({ reason }) => attacked.includes(reason))
