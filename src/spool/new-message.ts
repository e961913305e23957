/** The rows of a new message: what the queue keeps of it, sealed and under its MAC. */
import { createHash } from 'node:crypto'
import { entry } from '../audit/audit.ts'
import { domainOf } from '../mail/address.ts'
import type { Envelope } from '../mail/envelope.ts'
import { newId } from '../mail/id.ts'
import { counted } from '../ops/counters.ts'
import { newFileKey, sealWhole } from '../seal/age.ts'
import { count } from '../store/count.ts'
import { expecting, type Statement, sql } from '../store/db.ts'
import { envelopeMac } from './envelope-mac.ts'
import { sealFrozen } from './frozen.ts'
import type { SpoolParts } from './parts.ts'
import type { Acceptance, Original } from './spool.ts'

/** The statements that queue a small mail of ours, sealed like any other. */
export function draftOriginal(parts: SpoolParts, mail: Original): { id: string; statements: Statement[] } {
  const id = newId()
  const fileKey = newFileKey()
  const payload = sealWhole(fileKey, mail.content)
  const content = { inline: payload, blob: null, payloadSize: payload.length, sha256: createHash('sha256').update(payload).digest('hex') }
  const client = { address: 'internal', name: parts.settings.hostname, authenticatedAs: null, tls: null }
  const statements = messageRows(parts, {
    ...mail,
    id,
    size: mail.content.length,
    fileKey,
    content,
    client,
    policyRevision: 0,
    now: parts.clock(),
  })
  fileKey.fill(0)
  return { id, statements }
}

export type NewMessage = Omit<Acceptance, 'envelope'> & {
  readonly envelope: Envelope
  readonly id: string
  readonly kind: string
  readonly about: string | null
  readonly size: number
  readonly fileKey: Buffer
  readonly content: { readonly inline: Buffer | null; readonly blob: string | null; readonly payloadSize: number; readonly sha256: string }
  /** The one in force at acceptance; 0 for mail of ours. */
  readonly policyRevision: number
  /** The frozen plan of a mail of ours; null: routing plans it. */
  readonly steps: Original['steps'] | null
  /** Milliseconds since 1970. */
  readonly now: number
  /** Domains that delivery has begun with by the time others see the rows. */
  readonly claimed?: { readonly has: (domain: string) => boolean }
}

/** The statements that put it into the queue. */
export function messageRows({ keyring, settings }: SpoolParts, mail: NewMessage): Statement[] {
  const { id, now, envelope, content } = mail
  const { epoch, wrap } = keyring.wrap(mail.fileKey)
  const recipients = envelope.recipients.map((recipient, index) => ({
    ...recipient,
    id: recipientId(id, index),
    domain: domainOf(recipient.address),
  }))
  const isClaimed = (domain: string) => mail.claimed?.has(domain) === true
  const sealed = {
    id,
    kind: mail.kind,
    about: mail.about,
    messageId: mail.messageId,
    reversePath: envelope.reversePath,
    headerFrom: mail.headerFrom,
    payloadSha256: content.sha256,
    policyRevision: mail.policyRevision,
    acceptedAt: now,
    size: mail.size,
    client: mail.client,
    recipients,
  }
  const plan = (recipient: string) => mail.steps && sealFrozen(keyring, recipient, 0, { plan: ownPlan(mail.steps), earlier: [] })
  return [
    // Not under a key that is about to go: nobody could open it again (epochs.ts).
    expecting(
      1,
      sql`INSERT INTO message (id, kind, about, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8,
        ret, envid, client, mac, epoch, wrap)
      SELECT ${id}, ${mail.kind}, ${mail.about}, ${mail.messageId}, ${envelope.reversePath}, ${mail.headerFrom}, ${now}, ${mail.size},
        ${mail.policyRevision}, ${envelope.body}, ${envelope.smtpUtf8 ? 1 : 0},
        ${envelope.ret ?? null}, ${envelope.envid ?? null}, ${JSON.stringify(mail.client)}, ${envelopeMac(keyring, sealed)}, ${epoch}, ${wrap}
      WHERE NOT EXISTS (SELECT 1 FROM epoch_destroyed WHERE epoch = ${epoch})`,
    ),
    sql`INSERT INTO content (message, inline_payload, blob, payload_size, payload_sha256)
      VALUES (${id}, ${content.inline}, ${content.blob}, ${content.payloadSize}, ${content.sha256})`,
    ...recipients.map(
      (
        recipient,
      ) => sql`INSERT INTO recipient (id, message, address, domain, orcpt, notify, bcc, state, plan, step, attempts, step_attempts,
          next_attempt_at, claimed_until, fence, unended, delay_noticed, sender, code)
        VALUES (${recipient.id}, ${id}, ${recipient.address}, ${recipient.domain}, ${recipient.orcpt ?? null},
          ${recipient.notify.join(',')}, ${recipient.bcc ? 1 : 0}, 'waiting', ${plan(recipient.id)}, 0, 0, 0, ${now},
          ${isClaimed(recipient.domain) ? now + settings['limits.claim'] : 0}, ${isClaimed(recipient.domain) ? 1 : 0}, ${isClaimed(recipient.domain) ? 1 : 0}, 0,
          ${mail.headerFrom}, ${mail.kind === 'code' ? 1 : 0})`,
    ),
    entry(now, {
      actor: mail.client.authenticatedAs ?? mail.client.address,
      action: `${mail.kind}.accepted`,
      object: id,
      detail: {
        from: envelope.reversePath,
        to: recipients.map(({ address }) => address),
        size: mail.size,
        about: mail.about,
        tls: mail.client.tls,
      },
    }),
    ...(mail.kind === 'mail' ? count([counted('letterlock_messages_accepted_total', {})]) : []),
  ]
}

/** The id of a message's recipient by its place in the envelope. */
export const recipientId = (message: string, index: number): string => `${message}-${index + 1}`

const ownPlan = (steps: Original['steps']) => ({ revision: 0, fingerprint: '', rule: { name: 'own mail', line: 0 }, steps, trace: [] })
