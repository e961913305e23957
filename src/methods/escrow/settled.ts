/** What the end of a notice or code mail means for its letter: statements that delivery writes with the settlement. */
import { entry } from '../../audit/audit.ts'
import type { Assurance } from '../../mail/outcome.ts'
import { type Statement, sql } from '../../store/db.ts'
import { codeLife } from './code.ts'

/** How a mail about a letter ended. */
export type MailEnd = {
  readonly letter: string
  /** The next hop took it. */
  readonly delivered: boolean
  /** Of the channel that carried it. */
  readonly assurance: Assurance
  /** One sentence: what happened. */
  readonly text: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/**
 * After the notice's `250` the letter is notified; a letter already read stays so. A notice that nobody takes shreds the letter: without
 * its header nobody can open it (the payload goes when the vault looks next).
 */
export function noticeSettled({ letter, delivered, assurance, text, at }: MailEnd): Statement[] {
  if (!delivered) return bounceLetter(letter, text, at)
  return [
    sql`UPDATE letter SET notified_at = ${at}, notice_assurance = ${assurance} WHERE id = ${letter} AND notified_at IS NULL`,
    sql`UPDATE letter SET state = 'notified' WHERE id = ${letter} AND state = 'waiting'`,
    sql`UPDATE recipient SET state = 'letter-notified' WHERE state = 'letter-waiting' AND id = (SELECT recipient FROM letter WHERE id = ${letter})`,
    entry(at, { actor: 'delivery', action: 'letter.notified', object: letter, detail: { assurance } }),
  ]
}

/** A code works for ten minutes from its `250`; one that never left is worth nothing. `code` is the id of the code mail's message. */
export function codeSettled(code: string, { delivered, at }: MailEnd): Statement[] {
  if (!delivered) return [sql`UPDATE code SET spent = 1 WHERE id = ${code}`]
  return [sql`UPDATE code SET valid_until = ${at + codeLife} WHERE id = ${code} AND valid_until IS NULL`]
}

/** Only while it waits: a letter that was read although its notice seemed lost, or that has ended meanwhile, stays what it is. */
const bounceLetter = (letter: string, text: string, at: number): Statement[] => [
  sql`DELETE FROM letter_header WHERE letter = (SELECT id FROM letter WHERE id = ${letter} AND state = 'waiting')`,
  sql`DELETE FROM portal_session WHERE letter = (SELECT id FROM letter WHERE id = ${letter} AND state = 'waiting')`,
  sql`UPDATE recipient SET state = 'bounced', reason = 'notice-undeliverable', last_reply = ${text}
    WHERE id = (SELECT recipient FROM letter WHERE id = ${letter} AND state = 'waiting')`,
  sql`UPDATE letter SET state = 'bounced', ended_at = ${at} WHERE id = ${letter} AND state = 'waiting'`,
  entry(at, { actor: 'delivery', action: 'letter.notice-failed', object: letter, detail: { reason: 'notice-undeliverable', text } }),
]
