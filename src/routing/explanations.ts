/** Reads what explain needs of one message from the database. */
import { parseAddress } from '../mail/address.ts'
import type { Reason } from '../mail/outcome.ts'
import { systemClock } from '../ops/clock.ts'
import { defaultSettings, type Settings } from '../ops/settings.ts'
import { readFrozen } from '../spool/frozen.ts'
import { type Db, sql } from '../store/db.ts'
import { type Explanation, explain } from './explain.ts'
import { readRecords } from './record.ts'
import { readSurroundings } from './replay.ts'
import { PolicyAltered } from './signature.ts'
import type { SimulationSettings } from './simulate.ts'
import type { PolicyStore } from './store.ts'

type MessageRow = { id: string; message_id: string; reverse_path: string; policy_revision: number; accepted_at: number }
type RecipientRow = {
  id: string
  address: string
  state: string
  plan: string | null
  attempts: number
  next_attempt_at: number
  method: string | null
  reason: Reason | null
  assurance: string | null
  proof: string | null
  letter_state: string | null
}

/** `settings`: those that decide what would be done; absent: those of a fresh installation. */
export type ExplainParts = {
  readonly db: Db
  readonly policies: Pick<PolicyStore, 'at'>
  readonly settings?: SimulationSettings & Pick<Settings, 'tls.ratchet'>
}

/**
 * One explanation for each recipient (or for `to` alone) of the message with this id or Message-ID, with or without its angle brackets.
 * Empty when there is no such message or recipient.
 */
export async function readExplanations(parts: ExplainParts, message: string, to?: string): Promise<Explanation[]> {
  const { db } = parts
  const bracketed = message.startsWith('<') ? message : `<${message}>`
  const messages = await db.read<MessageRow>(sql`
    SELECT id, message_id, reverse_path, policy_revision, accepted_at FROM message WHERE id = ${message} OR message_id = ${bracketed} ORDER BY accepted_at, id`)
  const found = await Promise.all(messages.map((row) => explainMessage(parts, row, to)))
  return found.flat()
}

async function explainMessage(
  { db, policies, settings = defaultSettings({}) }: ExplainParts,
  message: MessageRow,
  to: string | undefined,
): Promise<Explanation[]> {
  const rows = await db.read<RecipientRow>(sql`
    SELECT recipient.id, recipient.address, recipient.state, recipient.plan, recipient.attempts, recipient.next_attempt_at, recipient.method,
      recipient.reason, recipient.assurance, recipient.proof, letter.state AS letter_state
    FROM recipient LEFT JOIN letter ON letter.recipient = recipient.id WHERE recipient.message = ${message.id} ORDER BY recipient.id`)
  const wanted = to === undefined ? undefined : (parseAddress(to) ?? to)
  const chosen = rows.filter(({ address }) => wanted === undefined || address.toLowerCase() === wanted.toLowerCase())
  const revision =
    chosen.length === 0 || message.policy_revision < 1 ? undefined : await policies.at(message.policy_revision).catch(untrusted)
  return Promise.all(
    chosen.map(async (row) =>
      explain({
        message: {
          id: message.id,
          messageId: message.message_id,
          reversePath: message.reverse_path,
          policyRevision: message.policy_revision,
          acceptedAt: message.accepted_at,
        },
        recipient: readRecipient(row),
        records: await readRecords(db, row.id),
        around: await readSurroundings(db, systemClock(), settings['tls.ratchet'], row.address),
        settings,
        ...(revision && { policy: revision.policy }),
      }),
    ),
  )
}

/** What was decided stands in the records; only what a policy that is not ours would say is left out. */
function untrusted(error: unknown): undefined {
  if (!(error instanceof PolicyAltered)) throw error
}

function readRecipient({ address, state, plan, attempts, next_attempt_at, method, reason, assurance, proof, letter_state }: RecipientRow) {
  const now = letter_state === null ? state : letter_state === 'bounced' ? 'bounced' : `letter-${letter_state}`
  return {
    address,
    state: now,
    method,
    reason,
    assurance,
    proof,
    attempts,
    nextAttemptAt: state === 'waiting' ? next_attempt_at : null,
    plan: plan === null ? null : (readFrozen(plan)?.plan ?? null),
  }
}
