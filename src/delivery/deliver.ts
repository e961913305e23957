/** One attempt at one claimed group: open it, plan it, walk it, settle it. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Envelope } from '../mail/envelope.ts'
import { type MailFacts, messageFacts } from '../mail/facts.ts'
import { type Header, parseHeader } from '../mail/header.ts'
import { sentence } from '../mail/outcome.ts'
import type { Plan, Step } from '../mail/plan.ts'
import type { Answer, Attempt } from '../methods/method.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { PlanFacts } from '../routing/plan.ts'
import { type ClaimedRecipient, type Group, type Opened, openClaimed } from '../spool/claim.ts'
import type { SpoolParts } from '../spool/parts.ts'
import { type Settled, type Settlement, settleGroup } from '../spool/settle.ts'
import type { Spool } from '../spool/spool.ts'
import { type Statement, sql } from '../store/db.ts'
import { alike } from './alike.ts'
import { followUps } from './follow-ups.ts'
import { type Head, readHead } from './head.ts'
import { withoutQuotes } from './quotes.ts'
import { damagedSettlement, settlementOf } from './settlement.ts'
import { type Ending, type Party, walk } from './walk.ts'

export type DeliveryParts = {
  readonly spoolParts: SpoolParts
  readonly spool: Spool
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  /** The plan for one recipient by the policy revision stamped at acceptance. */
  readonly planFor: (revision: number, facts: PlanFacts) => Promise<Plan>
  /** Attempt one step with the method it names. */
  readonly attemptStep: (step: Step, attempt: Omit<Attempt<unknown>, 'options'>) => Promise<ReadonlyMap<string, Answer>>
}

type Content = Opened & { kind: 'content' } & { readonly head: Head; readonly header: Header; readonly facts: MailFacts }

/** Attempt a group and settle every recipient of it, with all that follows from it, in one transaction. */
export async function deliverGroup(parts: DeliveryParts, group: Group, signal: AbortSignal): Promise<void> {
  const { spoolParts } = parts
  const opened = await openClaimed(spoolParts, group.message.id)
  const head = opened.kind === 'content' ? await readHead(opened.open) : opened
  if (opened.kind === 'damaged' || head.kind === 'damaged')
    return quarantine(parts, group, opened.kind === 'damaged' ? opened.text : 'its content was altered')

  const header = parseHeader(head.header)
  const facts = messageFacts(header, head.bodyStart)
  const parties = await planParties(parts, group, facts)
  const content = { ...opened, head, header, facts }
  // Each settles when its own walk has ended: a slow host must not hold up the letter of a neighbour, nor lose what was done for others.
  const done = await Promise.allSettled(parties.map((party) => deliverParty(parts, group, party, content, signal)))
  opened.fileKey.fill(0)
  const broken = done.find((one) => one.status === 'rejected')
  if (broken !== undefined) throw broken.reason
}

async function deliverParty(parts: DeliveryParts, group: Group, party: Party, content: Content, signal: AbortSignal): Promise<void> {
  const { message } = group
  const walked = await walkParty(parts, group, party, content, { signal, lifetime: await lifetimeOf(parts, group) })
  const endings = message.kind === 'notice' || message.kind === 'code' ? walked.map(withoutQuotes) : walked
  const settlements = endings.map((ending) => settlementOf(ending, group, content.facts, parts.clock()))
  const follow = await followUps(parts, group, endings, settlements, content.header)

  const writes = endings.flatMap(({ answer, outcome }) => (outcome.kind === 'delivered' ? (answer?.writes ?? []) : []))
  const { finished } = await settleSurely(parts, group, follow.settlements, [...writes, ...follow.statements], signal)
  for (const { recipient, outcome, method } of endings)
    parts.log.info(
      { message: message.id, recipient: recipient.id, to: recipient.address, method, outcome: outcome.kind, why: sentence(outcome) },
      'attempt',
    )
  await Promise.all(endings.map(({ answer }) => answer?.settled?.()))
  if (writes.length > 0 || follow.statements.length > 0) parts.spool.wake()
  if (finished && (message.kind === 'notice' || message.kind === 'code' || writes.length > 0)) await scrub(parts)
}

/** Everything is settled whether or not the log of the database can be emptied now; the hourly rotation empties it again. */
async function scrub({ spoolParts, log }: DeliveryParts): Promise<void> {
  await spoolParts.db
    .scrub()
    .catch((error: unknown) => log.error({ err: error }, 'deleted secrets may still stand in the log of the database; it is emptied later'))
}

/** Milliseconds between two tries to record what was done. */
const betweenSettles = 1000

/** What was done must be recorded, or it is done again: while the disk is full or fails, the attempt keeps its claim and waits. */
async function settleSurely(
  parts: DeliveryParts,
  group: Group,
  settlements: readonly Settlement[],
  statements: readonly Statement[],
  signal: AbortSignal,
): Promise<Settled> {
  for (;;) {
    try {
      return await settleGroup(parts.spoolParts, group, settlements, statements)
    } catch (error) {
      if (signal.aborted || !isDiskTrouble(error)) throw error
      parts.log.error({ err: error, message: group.message.id }, 'the result of an attempt cannot be recorded; trying again in a second')
      await pause(betweenSettles, undefined, { signal }).catch(() => undefined)
    }
  }
}

const isDiskTrouble = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^SQLITE_(?:FULL|IOERR|BUSY|READONLY|CANTOPEN)/.test(String(error.code))

/** Altered or unreadable content is never delivered and never deleted: it is held, and the alarm is in log and audit. */
async function quarantine({ spoolParts, log, clock }: DeliveryParts, group: Group, text: string): Promise<void> {
  log.error({ message: group.message.id, why: text }, 'a message is held: its stored form cannot be trusted')
  await settleGroup(
    spoolParts,
    group,
    group.recipients.map((recipient) => damagedSettlement(recipient, group, text, clock())),
    [],
  )
}

/** First time only: facts → plan; then recipients that share plan and step go together. */
async function planParties(parts: DeliveryParts, { message, recipients }: Group, mail: MailFacts): Promise<Party[]> {
  const planned = await Promise.all(
    recipients.map(async (recipient) => {
      const facts = { reversePath: message.reversePath, recipient: recipient.address, mail }
      return { recipient, plan: recipient.frozen?.plan ?? (await parts.planFor(message.policyRevision, facts)) }
    }),
  )
  return alike(planned, ({ plan, recipient }) => JSON.stringify([plan.rule, plan.steps, recipient.step, recipient.returning])).flatMap(
    (party) => {
      const first = party[0]
      return first
        ? [
            {
              plan: first.plan,
              step: first.recipient.returning ? first.plan.steps.length : first.recipient.step,
              recipients: party.map(({ recipient }) => recipient),
            },
          ]
        : []
    },
  )
}

/** Milliseconds after acceptance. A notice is given up when its letter ends: after that nobody would tell the sender that it never arrived. */
async function lifetimeOf({ settings, spoolParts }: DeliveryParts, { message }: Group): Promise<number> {
  const usual = settings['retry.lifetime']
  if (message.kind !== 'notice') return usual
  const [letter] = await spoolParts.db.read<{ expires_at: number }>(sql`SELECT expires_at FROM letter WHERE id = ${message.about ?? ''}`)
  return letter === undefined ? usual : Math.min(usual, letter.expires_at - message.acceptedAt)
}

function walkParty(
  parts: DeliveryParts,
  group: Group,
  party: Party,
  content: Content,
  { signal, lifetime }: { readonly signal: AbortSignal; readonly lifetime: number },
): Promise<(Ending & { plan: Plan })[]> {
  const { settings, clock, log } = parts
  const { message, domain } = group
  const { head, open, fileKey, payloadSha256 } = content
  const schedule = message.kind === 'code' ? settings['retry.code'] : settings['retry.schedule']
  return walk(party, {
    attempt: async (step, context) => {
      const attempt = {
        ...context,
        message: { ...message, envelope: message.envelope as Pick<Envelope, 'ret' | 'envid' | 'body' | 'smtpUtf8'> },
        domain,
        recipients: context.recipients.map(bare),
        content: { header: async () => head.header, open, fileKey, payloadSha256 },
        signal,
      }
      try {
        return await parts.attemptStep(step, attempt)
      } catch (error) {
        // A bug of ours: no answer is a deferral, which has its schedule and its end.
        log.error({ err: error, message: message.id, domain, method: step.method }, 'a method broke off; the mail waits')
        return new Map()
      }
    },
    now: clock,
    jitter: Math.random,
    timing: { schedule, lifetime },
    acceptedAt: message.acceptedAt,
  }).then((endings) => endings.map((ending) => ({ ...ending, plan: party.plan })))
}

const bare = ({ id, address, orcpt, notify, bcc }: Attempt<unknown>['recipients'][number] | ClaimedRecipient) => ({
  id,
  address,
  notify,
  bcc,
  ...(orcpt !== undefined && { orcpt }),
})
