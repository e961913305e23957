/** The MAC over a queued envelope: a row planted or altered in the database is not delivered. */
import type { Keyring } from '../seal/keyring.ts'

export type SealedEnvelope = {
  readonly id: string
  readonly kind: string
  readonly about: string | null
  readonly messageId: string
  readonly reversePath: string
  readonly headerFrom: string
  readonly payloadSha256: string
  /** By which the message is planned; 0 for mail of ours, whose plan is frozen from the start. */
  readonly policyRevision: number
  /** Milliseconds since 1970. */
  readonly acceptedAt: number
  /** Bytes in clear. */
  readonly size: number
  readonly client: { readonly address: string; readonly authenticatedAs: string | null }
  readonly recipients: readonly { readonly id: string; readonly address: string; readonly bcc: boolean }[]
}

/** First byte of a MAC that covers all that a policy may ask of an envelope. Those before it were 32 bytes without a version, and did not. */
const version = 2

/** 33 bytes: the version and HMAC-SHA-256 by the queue's MAC key. The order of the recipients does not matter. */
export const envelopeMac = (keyring: Keyring, envelope: SealedEnvelope): Buffer =>
  Buffer.concat([Buffer.of(version), keyring.mac('envelope v2', ...askedParts(envelope), ...envelopeParts(envelope))])

/** Was the envelope with this MAC accepted like this? Mail accepted before version 2 has the shorter MAC, and still opens. */
export function isEnvelope(keyring: Keyring, envelope: SealedEnvelope, mac: Buffer): boolean {
  if (mac.length === 32) return mac.equals(keyring.mac('envelope', ...envelopeParts(envelope)))
  return mac.equals(envelopeMac(keyring, envelope))
}

const askedParts = ({ policyRevision, acceptedAt, size, client }: SealedEnvelope): string[] => [
  ...[String(policyRevision), String(acceptedAt), String(size), client.address],
  ...(client.authenticatedAs === null ? ['without AUTH'] : ['as', client.authenticatedAs]),
]

function envelopeParts({ id, kind, about, messageId, reversePath, headerFrom, payloadSha256, recipients }: SealedEnvelope): string[] {
  const named = recipients.map((recipient) => `${recipient.id} ${recipient.bcc ? 'bcc' : 'named'} ${recipient.address}`).sort()
  return [id, kind, about ?? '', messageId, reversePath, headerFrom, payloadSha256, ...named]
}
