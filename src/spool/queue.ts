/** What an operator may do to mail that waits: try now, hold, release, return. */
import { entry } from '../audit/audit.ts'
import { type Db, type Statement, sql } from '../store/db.ts'

export type QueueAction = 'retry' | 'hold' | 'release' | 'bounce'

/** Which recipients: one, all of a message, all of a domain, or all that have a reason code. */
export type QueueChoice =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'domain'; readonly domain: string }
  | { readonly kind: 'reason'; readonly reason: string }

export type QueueDone = {
  /** Recipient ids that were changed. */
  readonly changed: readonly string[]
  /** Recipient ids that were chosen but are being attempted just now, or are not in a state for it. */
  readonly left: readonly string[]
}

/** `comment`: why, for the audit. `now`: milliseconds since 1970. */
export type Operator = { readonly actor: string; readonly now: number; readonly dryRun: boolean; readonly comment?: string | undefined }

/**
 * Do it, with audit entries in the same write. What is being attempted at this moment is left alone: its attempt decides. `retry` wants waiting
 * mail, `hold` too, `release` held mail, `bounce` either: its report goes out with the next attempt, at once. What a rule holds is not released with
 * all of its domain: each was to be looked at.
 */
export async function operate(db: Db, action: QueueAction, choice: QueueChoice, by: Operator): Promise<QueueDone> {
  const chosen = await db.read<{ id: string; state: string; reason: string | null; claimed_until: number }>(chosenRows(choice))
  const fit = chosen
    .filter(({ state, claimed_until }) => fits[action].includes(state) && (action === 'retry' || claimed_until <= by.now))
    .filter(({ reason }) => !(action === 'release' && choice.kind === 'domain' && reason === 'held-by-rule'))
    .map(({ id }) => id)
  const changed = by.dryRun ? fit : await change(db, action, fit, by)
  if (changed.length > 0 && !by.dryRun) db.wakeOthers()
  return { changed, left: chosen.map(({ id }) => id).filter((id) => !changed.includes(id)) }
}

const fits: { readonly [A in QueueAction]: readonly string[] } = {
  retry: ['waiting'],
  hold: ['waiting'],
  release: ['held'],
  bounce: ['waiting', 'held'],
}

function chosenRows(choice: QueueChoice): Statement {
  switch (choice.kind) {
    case 'id':
      return sql`SELECT id, state, reason, claimed_until FROM recipient WHERE (id = ${choice.id} OR message = ${choice.id}) AND state IN ('waiting', 'held') ORDER BY id`
    case 'domain':
      return sql`SELECT id, state, reason, claimed_until FROM recipient WHERE domain = ${choice.domain} AND state IN ('waiting', 'held') ORDER BY id`
    case 'reason':
      return sql`SELECT id, state, reason, claimed_until FROM recipient WHERE reason = ${choice.reason} AND state IN ('waiting', 'held') ORDER BY id`
  }
}

async function change(db: Db, action: QueueAction, ids: readonly string[], { actor, now, comment }: Operator): Promise<string[]> {
  if (ids.length === 0) return []
  const answers = await db.write(
    ...ids.flatMap((id) => [
      update(action, id, now),
      entry(now, { actor, action: `recipient.${action}`, object: id, detail: comment ? { comment } : {} }),
    ]),
  )
  return ids.filter((_, index) => (answers[2 * index]?.length ?? 0) > 0)
}

function update(action: QueueAction, id: string, now: number): Statement {
  switch (action) {
    case 'retry':
      return sql`UPDATE recipient SET next_attempt_at = ${now}, request = COALESCE(request, 'retry') WHERE id = ${id} AND state = 'waiting' RETURNING id`
    case 'hold':
      return sql`UPDATE recipient SET state = 'held' WHERE id = ${id} AND state = 'waiting' AND claimed_until <= ${now} RETURNING id`
    case 'release':
      return sql`UPDATE recipient SET state = 'waiting', next_attempt_at = ${now}, unended = 0 WHERE id = ${id} AND state = 'held' RETURNING id`
    case 'bounce':
      return sql`UPDATE recipient SET state = 'waiting', request = 'bounce', next_attempt_at = ${now}
        WHERE id = ${id} AND state IN ('waiting', 'held') AND claimed_until <= ${now} RETURNING id`
  }
}
