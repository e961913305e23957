/** Records what an attempt came to, with all that follows from it, in one transaction. */

import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { MessageKind } from '../mail/envelope.ts'
import type { MailFacts } from '../mail/facts.ts'
import type { Header } from '../mail/header.ts'
import { type Outcome, sentence } from '../mail/outcome.ts'
import type { Plan } from '../mail/plan.ts'
import { failpoint } from '../ops/failpoint.ts'
import type { PlanFacts } from '../routing/facts.ts'
import type { ClaimedRecipient, Group } from '../spool/claim.ts'
import { nextAttempt } from '../spool/schedule.ts'
import { settleGroup } from '../spool/settle.ts'
import { count } from '../store/count.ts'
import { mayPass } from '../store/passing.ts'
import { alarmEntries, alarmsOf } from './alarms.ts'
import type { DeliveryParts } from './deliver.ts'
import { type FollowUps, followUps } from './follow-ups.ts'
import { withoutQuotes } from './quotes.ts'
import { type Planned, settlementOf } from './settlement.ts'
import { tally } from './tally.ts'
import { isDamage } from './walk.ts'

/** What is known of the message: all of its header, its facts and a way to open it, or none of both where it could not be read. */
export type About = {
  readonly header: Header
  readonly facts: MailFacts | undefined
  readonly open?: () => Readable
  /** On what was decided just now, by recipient. */
  readonly decided?: ReadonlyMap<string, PlanFacts>
}

/** Mail with links, codes or words in it. */
const carriesSecrets: readonly MessageKind[] = ['notice', 'code', 'sender-mail']

/** Settle these recipients of the group; reports, letters' next states and what methods want written go with it. */
export async function conclude(
  parts: DeliveryParts,
  group: Group,
  ended: readonly Planned[],
  about: About,
  signal: AbortSignal,
): Promise<void> {
  const { message } = group
  const walked = message.kind === 'notice' || message.kind === 'code' ? ended.map(withoutQuotes) : ended
  const { endings, ...follow } = await followed(parts, group, walked, about, signal)
  const alarms = alarmsOf(group.domain, endings)

  const writes = endings.flatMap(({ answer, outcome }) => (outcome.kind === 'delivered' ? (answer?.writes ?? []) : []))
  const more = [
    ...writes,
    ...follow.statements,
    ...alarmEntries(alarms, parts.clock()),
    ...count(tally(message.kind, endings, follow.settlements)),
  ]
  const { finished } = await surely(parts, group, signal, () => settleGroup(parts.spoolParts, group, follow.settlements, more))
  if (writes.length > 0) failpoint('settle.letter')
  if (follow.statements.length > 0) failpoint('settle.bounce')
  for (const ending of endings) tell(parts, group, ending)
  if (message.kind === 'mail') time(parts, message.acceptedAt, endings)
  for (const { action, ...alarm } of alarms) parts.log.warn({ message: message.id, ...alarm }, action)
  await Promise.all(endings.map(({ answer }) => answer?.settled?.()))
  if (!finished || writes.length > 0 || follow.statements.length > 0) parts.spool.wake()
  if (finished && (carriesSecrets.includes(message.kind) || writes.length > 0)) void scrub(parts)
}

type Followed = FollowUps & { readonly endings: readonly Planned[] }

/**
 * What follows from the endings. Where that cannot be worked out, a bug of ours, what was delivered is recorded all the same, or it would be
 * delivered again; all others wait: their senders must hear of them yet.
 */
async function followed(
  parts: DeliveryParts,
  group: Group,
  endings: readonly Planned[],
  about: About,
  signal: AbortSignal,
): Promise<Followed> {
  const settlementsOf = (some: readonly Planned[]) =>
    some.map((ending) => settlementOf(ending, about.decided?.get(ending.recipient.id), parts.clock()))
  try {
    return { endings, ...(await surely(parts, group, signal, () => followUps(parts, group, endings, settlementsOf(endings), about))) }
  } catch (error) {
    parts.log.error({ err: error, message: group.message.id }, 'what follows from an attempt could not be written')
    const text = 'the gateway could not write what follows from the attempt, a fault of ours'
    const kept = endings.map((ending) => (ending.outcome.kind === 'delivered' ? ending : postponed(parts, group, ending.recipient, text)))
    return { endings: kept, settlements: settlementsOf(kept), statements: [] }
  }
}

/** A fault of ours stood in the way: the recipient waits, without an end. `text` says what could not be done. */
export function postponed({ clock, settings }: DeliveryParts, group: Group, recipient: ClaimedRecipient, text: string): Planned {
  const now = clock()
  const retry = { then: 'failed' } as const
  const outcome = { kind: 'deferred', reason: 'local-fault', text, next: 'it is kept and tried again', evidence: {}, retry } as const
  const timing = {
    ...{ schedule: settings['retry.schedule'], lifetime: Number.POSITIVE_INFINITY, jitter: Math.random() },
    ...{ acceptedAt: group.message.acceptedAt, stepAttempts: recipient.stepAttempts + 1, stepSince: now, now },
  }
  const next = nextAttempt({ retry, waits: [], ...timing })
  return unwalked(recipient, group, outcome, { now, nextAttemptAt: next.kind === 'again' ? next.at : now })
}

/** The ending of a recipient that walked nowhere: its plan stays as it stands in the database, for it may not be trustworthy. */
export const unwalked = (
  recipient: ClaimedRecipient,
  { message }: Group,
  outcome: Planned['outcome'],
  { now, nextAttemptAt }: { readonly now: number; readonly nextAttemptAt?: number },
): Planned => ({
  recipient,
  outcome,
  nextAttemptAt,
  answer: undefined,
  frozen: undefined,
  method: '',
  step: recipient.step,
  stepSince: recipient.stepSince ?? now,
  stepAttempts: recipient.stepAttempts + 1,
  waits: recipient.frozen?.waits ?? [],
  earlier: recipient.frozen?.earlier ?? [],
  plan: recipient.frozen?.plan ?? unplanned(message.policyRevision),
})

/** Stands for the plan of a message that has none. */
export const unplanned = (revision: number): Plan => ({ revision, fingerprint: '', rule: { name: '', line: 0 }, steps: [], trace: [] })

/** What can be told of a message whose content cannot be read: its Message-ID stands in the envelope. */
export const unread = ({ message }: Group): About => ({
  header: [{ name: 'Message-ID', value: message.messageId, raw: Buffer.from(`Message-ID: ${message.messageId}\r\n`) }],
  facts: undefined,
})

function tell({ log }: DeliveryParts, { message }: Group, { recipient, outcome, method }: Planned): void {
  const why = sentence(outcome)
  const mail = { message: message.id, recipient: recipient.id, to: recipient.address }
  if (isDamage(outcome)) log.error({ ...mail, why }, 'a message is held, and nothing is tried until an operator decides')
  else if (message.kind === 'request' && outcome.kind === 'failed') log.warn({ ...mail, why }, 'an approver could not be asked')
  else log.info({ ...mail, method, outcome: outcome.kind satisfies Outcome['kind'], why }, 'attempt')
}

function time({ timed, clock }: DeliveryParts, acceptedAt: number, endings: readonly Planned[]): void {
  for (const { outcome, method } of endings) if (outcome.kind === 'delivered') timed?.(method, Math.max(0, clock() - acceptedAt))
}

/**
 * Everything is settled whether or not the log of the database can be emptied now; the hourly rotation empties it again. Nobody waits for it:
 * it is done within a quarter of a second for all that settled meanwhile.
 */
async function scrub({ spoolParts, log }: DeliveryParts): Promise<void> {
  await spoolParts.db
    .scrub()
    .catch((error: unknown) => log.error({ err: error }, 'deleted secrets may still stand in the log of the database; it is emptied later'))
}

/** Milliseconds between two tries to record what was done. */
const betweenTries = 1000

/**
 * What was done must be recorded, or it is done again: while the disk is full or fails, or the database is away, the attempt keeps its claim
 * and waits.
 */
async function surely<T>({ log }: DeliveryParts, { message }: Group, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (signal.aborted || !mayPass(error)) throw error
      log.error({ err: error, message: message.id }, 'the result of an attempt cannot be recorded; trying again in a second')
      await pause(betweenTries, undefined, { signal }).catch(() => undefined)
    }
  }
}
