/** Receives one message: seals it while it streams in, and makes it durable before anybody says 250. */

import { createHash } from 'node:crypto'
import { entry } from '../audit/audit.ts'
import { domainOf } from '../mail/address.ts'
import type { Envelope } from '../mail/envelope.ts'
import { newId } from '../mail/id.ts'
import { failpoint } from '../ops/failpoint.ts'
import { newFileKey, sealer } from '../seal/age.ts'
import type { BlobWriter } from '../store/blobs.ts'
import { type Db, OutcomeUnknown, type Statement, sql } from '../store/db.ts'
import { envelopeMac } from './envelope-mac.ts'
import { sealFrozen } from './frozen.ts'
import type { SpoolParts } from './parts.ts'
import type { Acceptance, Intake, Original } from './spool.ts'

/** Open an intake; small payloads wait in memory and go with the row, larger ones stream into a blob file. */
export function openIntake(parts: SpoolParts, wake: () => void): Intake {
  const { db, blobs, settings } = parts
  const id = newId()
  const fileKey = newFileKey()
  const seal = sealer(fileKey)
  const hash = createHash('sha256')
  let kept: Buffer[] = []
  let size = 0
  let payloadSize = 0
  let writer: BlobWriter | undefined

  const store = async (sealed: Buffer[]): Promise<void> => {
    for (const piece of sealed) {
      hash.update(piece)
      payloadSize += piece.length
    }
    kept.push(...sealed)
    if (writer === undefined && payloadSize <= settings['limits.inlineContent']) return
    writer ??= blobs.write()
    const pieces = kept
    kept = []
    for (const piece of pieces) await writer.write(piece)
  }

  return {
    id,
    write: async (chunk) => {
      size += chunk.length
      const sealed = seal.push(chunk)
      if (sealed.length > 0) await store(sealed)
    },
    commit: async (acceptance) => {
      await store(seal.end())
      const blob = writer === undefined ? null : (await writer.finish()).name
      const content = { inline: blob === null ? Buffer.concat(kept) : null, blob, payloadSize, sha256: hash.digest('hex') }
      try {
        failpoint('accept.before-commit')
        const own = { id, kind: 'mail', about: null, size, fileKey, content, policyRevision: await revisionInForce(db), steps: null }
        await db.write(...messageRows(parts, { ...own, ...acceptance }))
      } catch (error) {
        // It may be queued for all that we know; else the sweep finds the blob.
        if (blob !== null && !(error instanceof OutcomeUnknown)) await blobs.remove(blob).catch(() => undefined)
        throw error
      }
      failpoint('accept.committed')
      fileKey.fill(0)
      wake()
    },
    abort: async () => {
      kept = []
      fileKey.fill(0)
      await writer?.abort()
    },
  }
}

/** The policy that a message accepted now is planned by; 0 before there is any. */
async function revisionInForce(db: Db): Promise<number> {
  const [row] = await db.read<{ revision: number }>(sql`SELECT COALESCE(MAX(revision), 0) AS revision FROM policy_revision`)
  return row?.revision ?? 0
}

/** The statements that queue a small mail of ours, sealed like any other. */
export function draftOriginal(parts: SpoolParts, mail: Original): { id: string; statements: Statement[] } {
  const id = newId()
  const fileKey = newFileKey()
  const seal = sealer(fileKey)
  const payload = Buffer.concat([...seal.push(mail.content), ...seal.end()])
  const content = { inline: payload, blob: null, payloadSize: payload.length, sha256: createHash('sha256').update(payload).digest('hex') }
  const client = { address: 'internal', name: parts.settings.hostname, authenticatedAs: null, tls: null }
  const statements = messageRows(parts, { ...mail, id, size: mail.content.length, fileKey, content, client, policyRevision: 0 })
  fileKey.fill(0)
  return { id, statements }
}

type NewMessage = Omit<Acceptance, 'envelope'> & {
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
}

function messageRows({ keyring, clock }: SpoolParts, mail: NewMessage): Statement[] {
  const now = clock()
  const { id, envelope, content } = mail
  const { epoch, wrap } = keyring.wrap(mail.fileKey)
  const recipients = envelope.recipients.map((recipient, index) => ({ ...recipient, id: `${id}-${index + 1}` }))
  const sealed = {
    id,
    kind: mail.kind,
    about: mail.about,
    messageId: mail.messageId,
    reversePath: envelope.reversePath,
    headerFrom: mail.headerFrom,
    payloadSha256: content.sha256,
    policyRevision: mail.policyRevision,
    recipients,
  }
  const plan = (recipient: string) => mail.steps && sealFrozen(keyring, recipient, 0, { plan: ownPlan(mail.steps), earlier: [] })
  return [
    sql`INSERT INTO message (id, kind, about, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8,
        ret, envid, client, mac, epoch, wrap)
      VALUES (${id}, ${mail.kind}, ${mail.about}, ${mail.messageId}, ${envelope.reversePath}, ${mail.headerFrom}, ${now}, ${mail.size},
        ${mail.policyRevision}, ${envelope.body}, ${envelope.smtpUtf8 ? 1 : 0},
        ${envelope.ret ?? null}, ${envelope.envid ?? null}, ${JSON.stringify(mail.client)}, ${envelopeMac(keyring, sealed)}, ${epoch}, ${wrap})`,
    sql`INSERT INTO content (message, inline_payload, blob, payload_size, payload_sha256)
      VALUES (${id}, ${content.inline}, ${content.blob}, ${content.payloadSize}, ${content.sha256})`,
    ...recipients.map(
      (
        recipient,
      ) => sql`INSERT INTO recipient (id, message, address, domain, orcpt, notify, bcc, state, plan, step, attempts, step_attempts,
          next_attempt_at, claimed_until, fence, delay_noticed)
        VALUES (${recipient.id}, ${id}, ${recipient.address}, ${domainOf(recipient.address)}, ${recipient.orcpt ?? null},
          ${recipient.notify.join(',')}, ${recipient.bcc ? 1 : 0}, 'waiting', ${plan(recipient.id)}, 0, 0, 0, ${now}, 0, 0, 0)`,
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
  ]
}

const ownPlan = (steps: Original['steps']) => ({ revision: 0, fingerprint: '', rule: { name: 'own mail', line: 0 }, steps, trace: [] })
