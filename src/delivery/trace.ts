/** Reads what became of messages, in the stable JSON shapes that commands, console and API share. */
import { readFrozen } from '../spool/frozen.ts'
import { type Db, type Statement, sql } from '../store/db.ts'

export type RecipientTrace = {
  readonly to: string
  readonly state: string
  readonly method: string | null
  readonly reason: string | null
  readonly assurance: string | null
  readonly proof: string | null
  /** Milliseconds since 1970; null once settled. */
  readonly nextAttemptAt: number | null
  readonly attempts: number
  readonly rule: string | null
  /** The last answer or result, one sentence. */
  readonly lastReply: string | null
  readonly id: string
}

export type MessageTrace = {
  readonly id: string
  readonly messageId: string
  readonly from: string
  readonly headerFrom: string
  readonly acceptedAt: number
  readonly size: number
  readonly policyRevision: number
  readonly recipients: readonly RecipientTrace[]
}

export type MessageFilter = {
  readonly to?: string
  readonly from?: string
  readonly method?: string
  readonly reason?: string
  readonly limit?: number
  /** Only what comes after this one in the list. */
  readonly after?: { readonly at: number; readonly id: string }
}

/** Ordinary messages, newest first; mail of our own (notices, codes, DSNs) is left out. `to` and `from`: an address or a domain. */
export async function listMessages(db: Db, filter: MessageFilter = {}): Promise<MessageTrace[]> {
  const to = filter.to?.toLowerCase() ?? ''
  const from = filter.from?.toLowerCase() ?? ''
  const method = filter.method ?? ''
  const reason = filter.reason ?? ''
  const after = filter.after ?? beginning
  const rows = await db.read<{ id: string }>(sql`
    SELECT id FROM message WHERE kind = 'mail' AND (accepted_at < ${after.at} OR (accepted_at = ${after.at} AND id < ${after.id}))
      AND (${from} = '' OR LOWER(reverse_path) = ${from} OR LOWER(reverse_path) LIKE ${`%@${escapeLike(from)}`} ESCAPE '!' OR LOWER(header_from) = ${from})
      AND EXISTS (SELECT 1 FROM recipient WHERE recipient.message = message.id
        AND (${to} = '' OR LOWER(recipient.address) = ${to} OR recipient.domain = ${to})
        AND (${method} = '' OR recipient.method = ${method})
        AND (${reason} = '' OR recipient.reason = ${reason}))
    ORDER BY accepted_at DESC, id DESC LIMIT ${filter.limit ?? 1000}`)
  return traces(
    db,
    rows.map(({ id }) => id),
  )
}

/** Before every row of a list that shows the newest first. */
const beginning = { at: Number.MAX_SAFE_INTEGER, id: '' }

/** The messages that MESSAGE names: one by our id, or all that carry the Message-ID (with or without angle brackets). */
export async function findMessages(db: Db, name: string): Promise<MessageTrace[]> {
  const bracketed = name.startsWith('<') ? name : `<${name}>`
  const rows = await db.read<{ id: string }>(sql`
    SELECT id FROM message WHERE id = ${name.toLowerCase()} OR (message_id = ${bracketed} AND kind = 'mail') ORDER BY accepted_at DESC LIMIT 20`)
  return traces(
    db,
    rows.map(({ id }) => id),
  )
}

export type LetterTrace = {
  readonly id: string
  readonly reference: string
  readonly createdAt: number
  readonly to: string
  readonly from: string
  readonly state: string
  readonly notifiedAt: number | null
  readonly readAt: number | null
  readonly expiresAt: number
  readonly proof: string
}

/** All letters, newest first. */
export async function listLetters(
  db: Db,
  { after = beginning, limit = 1000 }: Pick<MessageFilter, 'after' | 'limit'> = {},
): Promise<LetterTrace[]> {
  const rows = await db.read<LetterRow>(sql`
    SELECT * FROM letter WHERE created_at < ${after.at} OR (created_at = ${after.at} AND id < ${after.id})
    ORDER BY created_at DESC, id DESC LIMIT ${limit}`)
  return rows.map((row) => ({
    id: row.id,
    reference: row.reference,
    createdAt: row.created_at,
    to: row.address,
    from: row.sender_address,
    state: letterState(row.state),
    notifiedAt: row.notified_at,
    readAt: row.read_at,
    expiresAt: row.expires_at,
    proof: row.proof,
  }))
}

export type QueueTrace = {
  readonly id: string
  readonly message: string
  readonly kind: string
  readonly to: string
  readonly domain: string
  readonly state: string
  readonly attempts: number
  /** Of held mail: when it was held, its place in the list. */
  readonly nextAttemptAt: number
  readonly lastReply: string | null
  readonly reason: string | null
  /** The rule that decided, and who may release what it holds; null before there is a plan. */
  readonly rule: string | null
  readonly approvers: readonly string[]
}

/** `domain`: canonical; `after`: the last one of the page before. */
export type QueueFilter = {
  readonly domain?: string | undefined
  readonly state?: 'waiting' | 'held' | undefined
  readonly after?: MessageFilter['after'] | undefined
  readonly limit?: number | undefined
}

/** What waits or is held, mail of our own included, the next due first; 10,000 of it when `limit` does not say. */
export async function listQueue(
  db: Db,
  { domain = '', state, after = { at: -1, id: '' }, limit = 10_000 }: QueueFilter = {},
): Promise<QueueTrace[]> {
  const [due, kept] = [state === 'held' ? 0 : limit, state === 'waiting' ? 0 : limit]
  // Each by its own index, which says the state in so many letters: together they would read and sort all of the queue for a page. In one
  // statement: what is held or released between two would be in neither answer, or in both.
  const found = await db.read<QueueRow>(sql`
    SELECT * FROM (
      SELECT recipient.*, message.kind FROM recipient JOIN message ON message.id = recipient.message
      WHERE recipient.state = 'waiting' AND (${domain} = '' OR recipient.domain = ${domain})
        AND recipient.next_attempt_at >= ${after.at} AND (recipient.next_attempt_at > ${after.at} OR recipient.id > ${after.id})
      ORDER BY recipient.next_attempt_at, recipient.id LIMIT ${due}) AS waiting
    UNION ALL
    SELECT * FROM (
      SELECT recipient.*, message.kind FROM recipient JOIN message ON message.id = recipient.message
      WHERE recipient.state = 'held' AND (${domain} = '' OR recipient.domain = ${domain})
        AND recipient.next_attempt_at >= ${after.at} AND (recipient.next_attempt_at > ${after.at} OR recipient.id > ${after.id})
      ORDER BY recipient.next_attempt_at, recipient.id LIMIT ${kept}) AS held`)
  return found
    .toSorted((a, b) => a.next_attempt_at - b.next_attempt_at || (a.id < b.id ? -1 : 1))
    .slice(0, limit)
    .map(queueTrace)
}

/** As JSON shows it: held mail has no next attempt. */
export const shownQueue = (queue: readonly QueueTrace[]) =>
  queue.map((one) => ({ ...one, nextAttemptAt: one.state === 'held' ? null : one.nextAttemptAt }))

/** What waits or is held of one message, or one recipient of it: `id` names either. */
export async function queuedOf(db: Db, id: string): Promise<QueueTrace[]> {
  const rows = await db.read<QueueRow>(sql`
    SELECT recipient.*, message.kind FROM recipient JOIN message ON message.id = recipient.message
    WHERE (recipient.id = ${id} OR recipient.message = ${id}) AND recipient.state IN ('waiting', 'held')
    ORDER BY recipient.next_attempt_at, recipient.id`)
  return rows.map(queueTrace)
}

const queueTrace = (row: QueueRow): QueueTrace => ({
  ...{ id: row.id, message: row.message, kind: row.kind, to: row.address, domain: row.domain, state: row.state },
  ...{ attempts: row.attempts, nextAttemptAt: row.next_attempt_at, lastReply: row.last_reply, reason: row.reason },
  ...heldBy(row.plan, row.state === 'held' ? row.reason : null),
})

function heldBy(text: string | null, reason: string | null): Pick<QueueTrace, 'rule' | 'approvers'> {
  const frozen = text === null ? undefined : readFrozen(text)
  const evidence = reason === 'held-by-rule' ? frozen?.earlier.at(-1)?.evidence : undefined
  const approvers = Array.isArray(evidence?.approvers) ? evidence.approvers.map(String) : []
  return { rule: frozen?.plan.rule.name ?? null, approvers }
}

/** The decision records of a recipient, oldest first, as stored. */
export async function recordsOf(db: Db, recipientId: string): Promise<string[]> {
  const rows = await db.read<{ record: string }>(sql`SELECT record FROM decision WHERE recipient = ${recipientId} ORDER BY attempt`)
  return rows.map(({ record }) => record)
}

async function traces(db: Db, ids: readonly string[]): Promise<MessageTrace[]> {
  const found = await Promise.all(ids.map((id) => trace(db, id)))
  return found.filter((one) => one !== undefined)
}

async function trace(db: Db, id: string): Promise<MessageTrace | undefined> {
  const [message] = await db.read<MessageRow>(sql`SELECT * FROM message WHERE id = ${id}`)
  if (message === undefined) return undefined
  const recipients = await db.read<RecipientRow>(recipientRows(id))
  return {
    id,
    messageId: message.message_id,
    from: message.reverse_path,
    headerFrom: message.header_from,
    acceptedAt: message.accepted_at,
    size: message.size,
    policyRevision: message.policy_revision,
    recipients: recipients.map(recipientTrace),
  }
}

/** A letter's state lives with the letter alone: a recipient's is read through it. */
const recipientRows = (message: string): Statement => sql`
  SELECT recipient.*, letter.state AS letter_state FROM recipient LEFT JOIN letter ON letter.recipient = recipient.id
  WHERE recipient.message = ${message} ORDER BY LENGTH(recipient.id), recipient.id`

const recipientTrace = (row: RecipientRow): RecipientTrace => ({
  id: row.id,
  to: row.address,
  state: row.letter_state === null ? row.state : letterState(row.letter_state),
  method: row.method,
  reason: row.reason,
  assurance: row.assurance,
  proof: row.proof,
  nextAttemptAt: row.state === 'waiting' ? row.next_attempt_at : null,
  attempts: row.attempts,
  rule: row.plan === null ? null : (readFrozen(row.plan)?.plan.rule.name ?? null),
  lastReply: row.last_reply,
})

const letterState = (state: string): string => (state === 'bounced' ? 'bounced' : `letter-${state}`)

const escapeLike = (text: string): string => text.replace(/[!%_]/g, '!$&')

type MessageRow = {
  message_id: string
  reverse_path: string
  header_from: string
  accepted_at: number
  size: number
  policy_revision: number
}
type RecipientRow = {
  id: string
  address: string
  state: string
  letter_state: string | null
  method: string | null
  reason: string | null
  assurance: string | null
  proof: string | null
  next_attempt_at: number
  attempts: number
  plan: string | null
  last_reply: string | null
}
type LetterRow = {
  id: string
  reference: string
  created_at: number
  address: string
  sender_address: string
  state: string
  notified_at: number | null
  read_at: number | null
  expires_at: number
  proof: string
}
type QueueRow = {
  id: string
  message: string
  kind: string
  address: string
  domain: string
  state: string
  attempts: number
  next_attempt_at: number
  last_reply: string | null
  reason: string | null
  plan: string | null
}
