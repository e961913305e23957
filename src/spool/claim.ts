/** Takes due mail for ourselves for a while: a crash gives it back by itself. */

import type { MessageKind, Notify } from '../mail/envelope.ts'
import { failpoint } from '../ops/failpoint.ts'
import { SealBroken } from '../seal/payload.ts'
import { sql } from '../store/db.ts'
import { type Clear, type ContentRow, openRow } from './content.ts'
import { type DueGroup, dueGroups, type Wanted } from './due.ts'
import { isEnvelope } from './envelope-mac.ts'
import { type Frozen, isFrozen, readFrozen } from './frozen.ts'
import type { SpoolParts } from './parts.ts'
import { longestWait } from './schedule.ts'

export type ClaimedRecipient = {
  readonly id: string
  readonly address: string
  readonly orcpt?: string
  readonly notify: readonly Notify[]
  readonly bcc: boolean
  /** The frozen plan and what its earlier steps came to; undefined until routing was asked. */
  readonly frozen: Frozen | undefined
  readonly step: number
  readonly stepSince: number | undefined
  readonly attempts: number
  readonly stepAttempts: number
  readonly delayNoticed: boolean
  /** An earlier attempt ended in doubt (RFC 1047): the next hop may have it already. */
  readonly inDoubt: boolean
  /** An operator wants it returned to its sender. */
  readonly returning: boolean
  /** Tried whatever is known of its destination: an operator wants it, or the reader of a code waits for it. */
  readonly insist?: boolean
  readonly fence: number
  /** Attempts begun since the last one that was settled, this one not counted: each ended in a crash, or lost its claim. */
  readonly unended: number
}

export type ClaimedMessage = {
  readonly id: string
  readonly kind: MessageKind
  readonly about: string | undefined
  readonly messageId: string
  readonly reversePath: string
  readonly headerFrom: string
  readonly acceptedAt: number
  readonly size: number
  readonly policyRevision: number
  /** Who handed it in. */
  readonly client: { readonly address: string; readonly authenticatedAs: string | null }
  readonly envelope: { readonly body: '7bit' | '8bit'; readonly smtpUtf8: boolean; readonly ret?: 'FULL' | 'HDRS'; readonly envid?: string }
}

/** A message and its due recipients in one domain; what a worker attempts in one go. */
export type Group = {
  readonly message: ClaimedMessage
  readonly domain: string
  readonly recipients: readonly ClaimedRecipient[]
  /** Of mail that was accepted a moment ago: nobody could have altered it. */
  readonly fresh?: OpenedContent
}

/** The opened content of a claimed message, or why it cannot be trusted. */
export type Opened =
  | OpenedContent
  /** `vouched`: the envelope at least is the one that was accepted. */
  | { readonly kind: 'damaged'; readonly text: string; readonly vouched: boolean }

export type OpenedContent = Clear & { readonly kind: 'content'; readonly fileKey: Buffer; readonly payloadSha256: string }

/** Claim up to `limit` groups that are due; each claim raises the fence, so that an older one cannot settle any more. */
export async function claimGroups(parts: SpoolParts, limit: number, wanted: Wanted = {}): Promise<Group[]> {
  const claimed = await claimDue(parts, await dueGroups(parts.db, parts.clock(), limit, wanted))
  return claimed.filter((group) => group !== undefined)
}

/**
 * Claim these; undefined in the place of one that somebody else was faster with. What was under way at two crashes is claimed one at a time:
 * then the third tells the culprit from those that happened to be there.
 */
export async function claimDue({ db, clock, settings }: SpoolParts, due: readonly DueGroup[]): Promise<(Group | undefined)[]> {
  if (due.length === 0) return []
  const now = clock()
  failpoint('claim.before')
  // By the message: SQLite would go through all that waits for the domain, had it an index for that in sight.
  const answers = await db.write(
    ...due.flatMap(({ message, domain }) => [
      sql`UPDATE recipient SET claimed_until = ${now + settings['limits.claim']}, fence = fence + 1, unended = unended + 1
        WHERE message = ${message} AND domain || '' = ${domain} AND state = 'waiting' AND next_attempt_at <= ${now} AND claimed_until <= ${now}
          AND (unended < 2 OR NOT EXISTS (SELECT 1 FROM recipient AS other
            WHERE other.state = 'waiting' AND other.unended >= 2 AND other.claimed_until > ${now} AND other.message <> ${message}))
        RETURNING *`,
      sql`SELECT * FROM message WHERE id = ${message}`,
    ]),
  )
  failpoint('claim.committed')
  return due.map(({ domain }, index) => {
    const recipients = (answers[2 * index] ?? []) as RecipientRow[]
    const message = answers[2 * index + 1]?.[0] as MessageRow | undefined
    if (message === undefined || recipients.length === 0) return undefined
    return { message: readMessage(message), domain, recipients: recipients.map((row) => readRecipient(row, message.kind)) }
  })
}

/** Keep a claim while a long attempt goes on; false when nothing of it is ours any more. */
export async function renewClaim({ db, clock, settings }: SpoolParts, group: Group): Promise<boolean> {
  const renewed = await db.write(
    ...group.recipients.map(
      ({ id, fence }) =>
        sql`UPDATE recipient SET claimed_until = ${clock() + settings['limits.claim']} WHERE id = ${id} AND fence = ${fence} AND claimed_until > 0
          RETURNING id`,
    ),
  )
  return renewed.some(({ length }) => length > 0)
}

/** Forget all claims: only for the one serving process of an embedded database, at its start. Elsewhere they lapse. */
export async function dropClaims({ db }: SpoolParts): Promise<void> {
  await db.write(sql`UPDATE recipient SET claimed_until = 0 WHERE state = 'waiting' AND claimed_until > 0`)
  failpoint('start.claims-dropped')
}

/**
 * Nothing is put off for so long but by a clock that ran ahead and is right again: that is due now, or it would wait for the wrong time. Call it
 * at the start and now and then.
 */
export async function bringNear({ db, clock, settings }: SpoolParts): Promise<void> {
  const now = clock()
  const waits = [...settings['retry.schedule'], ...settings['retry.code'], settings['retry.tls.soft'], longestWait]
  const most = now + 2 * Math.max(...waits)
  const [near] = await db.read(sql`SELECT id FROM recipient WHERE state = 'waiting' AND next_attempt_at > ${most} LIMIT 1`)
  if (near !== undefined)
    await db.write(sql`UPDATE recipient SET next_attempt_at = ${now} WHERE state = 'waiting' AND next_attempt_at > ${most}`)
}

/** What is claimed was due and stands first: behind so many rows there is one that is not, or all places everywhere are taken. */
const looked = 200

/** When the next recipient is due, milliseconds since 1970; undefined when nothing waits. */
export async function nextDue({ db }: SpoolParts): Promise<number | undefined> {
  const [row] = await db.read<{ due: number | null }>(sql`
    SELECT MIN(CASE WHEN claimed_until > next_attempt_at THEN claimed_until ELSE next_attempt_at END) AS due FROM
      (SELECT claimed_until, next_attempt_at FROM recipient WHERE state = 'waiting' ORDER BY next_attempt_at LIMIT ${looked}) AS earliest`)
  return row?.due ?? undefined
}

/** Unwrap the file key and open the payload, after the envelope's MAC and the payload's place were checked. */
export async function openClaimed(parts: SpoolParts, messageId: string): Promise<Opened> {
  const { db, keyring } = parts
  // Asked side by side: each question is a round trip to PostgreSQL.
  const [[message], recipients] = await Promise.all([
    db.read<
      MessageRow & ContentRow & { payload_sha256: string }
    >(sql`SELECT message.*, content.payload_sha256, content.inline_payload, content.blob
      FROM message JOIN content ON content.message = message.id WHERE message.id = ${messageId}`),
    db.read<Pick<RecipientRow, 'id' | 'address' | 'bcc' | 'plan' | 'step'>>(
      sql`SELECT id, address, bcc, plan, step FROM recipient WHERE message = ${messageId}`,
    ),
  ])
  if (message === undefined) return { ...damaged('its content is missing'), vouched: false }
  const envelope = {
    id: messageId,
    kind: message.kind,
    about: message.about,
    messageId: message.message_id,
    reversePath: message.reverse_path,
    headerFrom: message.header_from,
    payloadSha256: message.payload_sha256,
    policyRevision: message.kind === 'mail' ? message.policy_revision : 0,
    acceptedAt: message.accepted_at,
    size: message.size,
    client: readClient(message.client),
    recipients: recipients.map(({ id, address, bcc }) => ({ id, address, bcc: bcc === 1 })),
  }
  if (!isEnvelope(keyring, envelope, message.mac)) return { ...damaged('its envelope was altered in the database'), vouched: false }
  // Mail of ours has its plan from the start: one without was to be planned by rules that are not meant for it.
  if (recipients.some(({ id, plan, step }) => (plan === null ? message.kind !== 'mail' : !isFrozen(keyring, id, step, plan))))
    return damaged('its plan was altered in the database')
  if (message.epoch === null || message.wrap === null) return damaged('its key is missing')
  const fileKey = keyring.unwrap(message.epoch, message.wrap)
  if (fileKey === undefined) return damaged(`its key cannot be opened: epoch key ${message.epoch} is missing or was changed`)
  try {
    return { kind: 'content', fileKey, payloadSha256: message.payload_sha256, ...openRow(parts, message, fileKey) }
  } catch (error) {
    if (error instanceof SealBroken) return damaged('its content was altered')
    throw error
  }
}

const damaged = (text: string) => ({ kind: 'damaged', text, vouched: true }) as const

type MessageRow = {
  id: string
  kind: MessageKind
  about: string | null
  message_id: string
  reverse_path: string
  header_from: string
  accepted_at: number
  size: number
  policy_revision: number
  body: '7bit' | '8bit'
  smtp_utf8: number
  ret: 'FULL' | 'HDRS' | null
  envid: string | null
  client: string
  mac: Buffer
  epoch: string | null
  wrap: Buffer | null
}

type RecipientRow = {
  id: string
  address: string
  orcpt: string | null
  notify: string
  bcc: number
  plan: string | null
  step: number
  step_since: number | null
  attempts: number
  step_attempts: number
  reason: string | null
  delay_noticed: number
  request: string | null
  fence: number
  unended: number
}

/** What is not as we wrote it does not pass the MAC. */
function readClient(json: string): ClaimedMessage['client'] {
  try {
    const { address, authenticatedAs } = JSON.parse(json) as Partial<ClaimedMessage['client']>
    return { address: String(address), authenticatedAs: authenticatedAs == null ? null : String(authenticatedAs) }
  } catch {
    return { address: '', authenticatedAs: null }
  }
}

const readMessage = (row: MessageRow): ClaimedMessage => ({
  id: row.id,
  kind: row.kind,
  about: row.about ?? undefined,
  messageId: row.message_id,
  reversePath: row.reverse_path,
  headerFrom: row.header_from,
  acceptedAt: row.accepted_at,
  size: row.size,
  policyRevision: row.policy_revision,
  client: readClient(row.client),
  envelope: {
    body: row.body,
    smtpUtf8: row.smtp_utf8 === 1,
    ...(row.ret !== null && { ret: row.ret }),
    ...(row.envid !== null && { envid: row.envid }),
  },
})

const readRecipient = (row: RecipientRow, kind: MessageKind): ClaimedRecipient => ({
  id: row.id,
  address: row.address,
  ...(row.orcpt !== null && { orcpt: row.orcpt }),
  notify: row.notify === '' ? [] : (row.notify.split(',') as Notify[]),
  bcc: row.bcc === 1,
  frozen: row.plan === null ? undefined : readFrozen(row.plan),
  step: row.step,
  stepSince: row.step_since ?? undefined,
  attempts: row.attempts,
  stepAttempts: row.step_attempts,
  delayNoticed: row.delay_noticed === 1,
  inDoubt: row.reason === 'in-doubt',
  returning: row.request === 'bounce',
  ...((row.request === 'retry' || kind === 'code') && { insist: true }),
  fence: row.fence,
  unended: row.unended - 1,
})
