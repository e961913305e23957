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
  readonly recipients: readonly { readonly id: string; readonly address: string; readonly bcc: boolean }[]
}

/** 32 bytes of HMAC-SHA-256 by the queue's MAC key. The order of the recipients does not matter. */
export function envelopeMac(keyring: Keyring, envelope: SealedEnvelope): Buffer {
  const { id, kind, about, messageId, reversePath, headerFrom, payloadSha256, recipients } = envelope
  const named = recipients.map((recipient) => `${recipient.id} ${recipient.bcc ? 'bcc' : 'named'} ${recipient.address}`).sort()
  return keyring.mac('envelope', id, kind, about ?? '', messageId, reversePath, headerFrom, payloadSha256, ...named)
}
