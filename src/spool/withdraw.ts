/** Takes mail of our own back that still waits: what it says is no longer true. */
import { type Db, expecting, type Statement, sql } from '../store/db.ts'

/** A mail of ours in the queue. */
export type Waiting = {
  readonly message: string
  readonly recipient: string
  /** It is being attempted at this moment. */
  readonly claimed: boolean
  readonly lastReply: string | null
  /** Milliseconds since 1970. */
  readonly nextAttemptAt: number
}

/** The mail of this kind about something that still waits or is held; undefined when none does. */
export async function waitingOriginal(db: Db, kind: 'notice', about: string, now: number): Promise<Waiting | undefined> {
  const [row] = await db.read<{
    message: string
    id: string
    claimed_until: number
    last_reply: string | null
    next_attempt_at: number
  }>(sql`
    SELECT recipient.message, recipient.id, recipient.claimed_until, recipient.last_reply, recipient.next_attempt_at
    FROM message JOIN recipient ON recipient.message = message.id
    WHERE message.kind = ${kind} AND message.about = ${about} AND recipient.state IN ('waiting', 'held')`)
  return (
    row && {
      message: row.message,
      recipient: row.id,
      claimed: row.claimed_until > now,
      lastReply: row.last_reply,
      nextAttemptAt: row.next_attempt_at,
    }
  )
}

/**
 * The statements that take it back: the queue's key to it is destroyed, and an attempt under way can no longer be recorded. With `unlessClaimed`
 * nothing is written while it is attempted. Call `spool.forget` afterwards.
 */
export const withdraw = ({ message, recipient }: Waiting, { unlessClaimed }: { readonly unlessClaimed?: number }): Statement[] => [
  unlessClaimed === undefined
    ? sql`DELETE FROM recipient WHERE id = ${recipient} AND state IN ('waiting', 'held')`
    : expecting(
        1,
        sql`DELETE FROM recipient WHERE id = ${recipient} AND state IN ('waiting', 'held') AND claimed_until <= ${unlessClaimed}`,
      ),
  sql`UPDATE message SET epoch = NULL, wrap = NULL WHERE id = ${message} AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ${message})`,
]
