/** Records what an attempt came to: states, decision records, audit entries and follow-up mail in one transaction. */

import { entry } from '../audit/audit.ts'
import type { Assurance, Reason } from '../mail/outcome.ts'
import { failpoint } from '../ops/failpoint.ts'
import { deletingSealed, expecting, type Statement, sql } from '../store/db.ts'
import type { ClaimedRecipient, Group } from './claim.ts'
import { type Frozen, sealFrozen } from './frozen.ts'
import type { SpoolParts } from './parts.ts'

/** What becomes of one recipient after one attempt. */
export type Settlement = {
  readonly recipient: ClaimedRecipient
  readonly state: 'waiting' | 'held' | 'delivered' | 'bounced' | 'letter-waiting'
  /** Undefined: the plan stays as it stands, trusted or not; then `step` stays too. */
  readonly frozen: Frozen | undefined
  readonly step: number
  readonly stepSince: number | undefined
  readonly stepAttempts: number
  readonly nextAttemptAt: number
  readonly method: string | null
  readonly reason: Reason | null
  readonly assurance: Assurance | null
  readonly proof: string | null
  /** The sentence shown in `queue list`. */
  readonly lastReply: string
  readonly delayNoticed: boolean
  /** JSON of the decision record. */
  readonly record: string
  /** Told to the audit. */
  readonly audit: { readonly [name: string]: unknown }
}

export type Settled = {
  /** The last recipient is settled: the queue's key to the content is destroyed. */
  readonly finished: boolean
}

/**
 * Write the settlements of a group, and `more` statements with them, or nothing: rejects with Unexpected when the claim was lost meanwhile.
 * With the last waiting recipient the queue's wrap of the file key goes; the content goes too unless a letter still needs it.
 */
export async function settleGroup(
  parts: SpoolParts,
  group: Group,
  settlements: readonly Settlement[],
  more: readonly Statement[],
): Promise<Settled> {
  const { db, blobs, clock } = parts
  const id = group.message.id
  const now = clock()
  failpoint('settle.before')
  const answers = await db.write(
    ...settlements.flatMap((settlement) => [
      settleRecipient(parts, settlement, now),
      keepRecord(settlement, group, now),
      tellAudit(settlement, group, now),
    ]),
    ...more,
    sql`UPDATE message SET epoch = NULL, wrap = NULL WHERE id = ${id} AND epoch IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ${id} AND state IN ('waiting', 'held')) RETURNING id`,
    group.message.size > worthSparing ? deletingSealed(dropContent(id)) : dropContent(id),
  )
  failpoint('settle.committed')
  const [finished, dropped] = answers.slice(-2)
  await removeBlobs(blobs, dropped ?? [])
  failpoint('settle.content-removed')
  return { finished: (finished?.length ?? 0) > 0 }
}

/** The statement that deletes a message's content once no waiting recipient and no letter needs it; returns the blob's name. */
export const dropContent = (messageId: string): Statement => sql`DELETE FROM content WHERE message = ${messageId}
  AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ${messageId} AND state IN ('waiting', 'held'))
  AND NOT EXISTS (SELECT 1 FROM letter_header JOIN letter ON letter.id = letter_header.letter WHERE letter.message = ${messageId})
  RETURNING blob`

/** Octets of content from which it pays to spare its pages: the switching costs as much as overwriting some. */
const worthSparing = 65_536

/** Delete a message's content and its blob file, unless somebody still needs it. */
export async function forgetContent({ db, blobs }: Pick<SpoolParts, 'db' | 'blobs'>, messageId: string): Promise<void> {
  const [dropped] = await db.write(dropContent(messageId))
  await removeBlobs(blobs, dropped ?? [])
}

async function removeBlobs(blobs: SpoolParts['blobs'], rows: readonly Record<string, unknown>[]): Promise<void> {
  for (const { blob } of rows) if (typeof blob === 'string') await blobs.remove(blob).catch(() => undefined) // the sweep finds it again
}

function settleRecipient({ keyring }: SpoolParts, settlement: Settlement, now: number): Statement {
  const { recipient, state, frozen } = settlement
  const plan = frozen === undefined ? null : sealFrozen(keyring, recipient.id, settlement.step, frozen)
  return expecting(
    1,
    sql`UPDATE recipient SET state = ${state}, plan = COALESCE(${plan}, plan), step = ${settlement.step},
      step_since = ${settlement.stepSince ?? null}, attempts = attempts + 1, step_attempts = ${settlement.stepAttempts},
      next_attempt_at = ${settlement.nextAttemptAt}, claimed_until = 0,
      unended = unended * ${settlement.reason === 'attempt-crashed' ? 1 : 0}, request = NULLIF(request, 'retry'), method = ${settlement.method}, reason = ${settlement.reason},
      assurance = ${settlement.assurance}, proof = ${settlement.proof}, last_reply = ${settlement.lastReply},
      delay_noticed = ${settlement.delayNoticed ? 1 : 0}, settled_at = ${state === 'waiting' || state === 'held' ? null : now}
    WHERE id = ${recipient.id} AND fence = ${recipient.fence} AND state = 'waiting' AND claimed_until > 0`,
  )
}

const keepRecord = ({ recipient, record }: Settlement, { message }: Group, now: number): Statement =>
  sql`INSERT INTO decision (recipient, attempt, at, policy_revision, record)
    VALUES (${recipient.id}, ${recipient.attempts + 1}, ${now}, ${message.policyRevision}, ${record})`

const tellAudit = ({ recipient, state, audit }: Settlement, { message }: Group, now: number): Statement =>
  entry(now, {
    actor: 'delivery',
    action: `recipient.${state}`,
    object: recipient.id,
    detail: { message: message.id, to: recipient.address, ...audit },
  })
