/** One attempt at one claimed group: open it, plan it, walk it, settle it. */

import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { Envelope } from '../mail/envelope.ts'
import { type MailFacts, messageFacts } from '../mail/facts.ts'
import { type Header, parseHeader } from '../mail/header.ts'
import type { Plan, Step } from '../mail/plan.ts'
import { codeLife } from '../methods/escrow/code.ts'
import { asked } from '../methods/escrow/proof.ts'
import { type Answer, type Attempt, contentFault } from '../methods/method.ts'
import type { Clock } from '../ops/clock.ts'
import { failpoint } from '../ops/failpoint.ts'
import type { Settings } from '../ops/settings.ts'
import type { PlanFacts } from '../routing/facts.ts'
import type { Decided } from '../routing/planner.ts'
import { PolicyAltered } from '../routing/signature.ts'
import { SealBroken } from '../seal/payload.ts'
import { type ClaimedRecipient, type Group, type Opened, type OpenedContent, openClaimed } from '../spool/claim.ts'
import type { SpoolParts } from '../spool/parts.ts'
import type { Spool } from '../spool/spool.ts'
import { sql, Unexpected } from '../store/db.ts'
import { alike } from './alike.ts'
import { conclude, postponed, unplanned, unread, unwalked } from './conclude.ts'
import { CopyRefused, copiesOf, keptCopy, makeCopies } from './copies.ts'
import type { Foresight } from './foresight.ts'
import { type Head, readHead } from './head.ts'
import { observedOf } from './observed.ts'
import { type Planned, planned } from './settlement.ts'
import type { Leave } from './turns.ts'
import { held, type Party, returnedByOperator, walk } from './walk.ts'

export type DeliveryParts = {
  readonly spoolParts: SpoolParts
  readonly spool: Spool
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  /** False while the clock seems to have jumped: then no mail is given up for its age. Absent: it always is believed. */
  readonly clockBelieved?: () => boolean
  /** Told of each delivery of submitted mail once it is recorded: by which method, and how many milliseconds after its acceptance. */
  readonly timed?: (method: string, milliseconds: number) => void
  /** The plan for one recipient by the policy revision stamped at acceptance, and the facts that decided. */
  readonly planFor: (
    revision: number,
    facts: PlanFacts,
    message: { readonly id: string; readonly header: Header; readonly open: () => Readable },
  ) => Promise<Decided>
  /** Attempt one step with the method it names. */
  readonly attemptStep: (step: Step, attempt: Omit<Attempt<unknown>, 'options'>) => Promise<ReadonlyMap<string, Answer>>
}

type Content = Opened & { kind: 'content' } & {
  readonly head: Head
  readonly header: Header
  readonly facts: MailFacts
  /** On what was decided just now, by recipient; empty where the plans were frozen before. */
  readonly decided: ReadonlyMap<string, PlanFacts>
  /** The plan of each recipient: those of a party have the same steps, but each was decided on its own. */
  readonly plans: ReadonlyMap<string, Plan>
}

/**
 * Attempt a group and settle every recipient of it, with all that follows from it, in one transaction. Opened and planned it waits for `turn`,
 * and ends that when the last of its parties has walked.
 */
export async function deliverGroup(
  parts: DeliveryParts,
  claimed: Group,
  signal: AbortSignal,
  turn: () => Promise<Leave> = async () => () => {},
  planning?: Planning,
): Promise<void> {
  const sound = await withoutCrashers(parts, claimed, signal)
  if (sound.length === 0) return
  const group = { ...claimed, recipients: sound }
  const prepared = await prepare(parts, group, signal, planning).catch((error: unknown) => postpone(parts, group, error, signal))
  if (prepared === undefined) return
  failpoint('deliver.planned')
  const done = await walkParties(parts, group, prepared, { signal, turn }).finally(() => prepared.content.fileKey.fill(0))
  const broken = done.find((one) => one.status === 'rejected')
  if (broken !== undefined) throw broken.reason
}

/** All parties at once, when it is their turn, which ends when the last has walked. Each settles when its own walk has ended. */
async function walkParties(
  parts: DeliveryParts,
  group: Group,
  { parties, content }: Prepared,
  { signal, turn }: { readonly signal: AbortSignal; readonly turn: () => Promise<Leave> },
): Promise<PromiseSettledResult<void>[]> {
  const leave = await turn()
  let walking = parties.length
  const walked = () => {
    walking -= 1
    if (walking === 0) leave()
  }
  // A slow host must not hold up the letter of a neighbour, nor lose what was done for others.
  const done = await Promise.allSettled(parties.map((party) => deliverParty(parts, group, party, content, { signal, walked })))
  leave() // one that broke off has not said so
  return done
}

/** A message that ended the process so often is not looked at again. */
const mostCrashes = 3

/** Hold what has crashed too often, before anything of it is opened; the others. */
async function withoutCrashers(parts: DeliveryParts, group: Group, signal: AbortSignal): Promise<readonly ClaimedRecipient[]> {
  const isCrasher = ({ unended }: ClaimedRecipient) => unended >= mostCrashes
  const crashers = group.recipients.filter(isCrasher)
  const text = `the gateway ended ${mostCrashes} times while it attempted this message`
  if (crashers.length > 0) await hold(parts, { ...group, recipients: crashers }, held(text, {}, 'attempt-crashed'), signal)
  return group.recipients.filter((recipient) => !isCrasher(recipient))
}

type Prepared = { readonly parties: readonly Party[]; readonly content: Content }

type Planning = Promise<Prepared | Damage>

/**
 * Plan a group whose rows are being written: the time of a commit is enough. The answer delivers it, and need not be called: nothing is written
 * or sent before.
 */
export function foresee(
  parts: DeliveryParts,
  group: Group,
  plan: NonNullable<Foresight['plan']>,
): (signal: AbortSignal, turn?: () => Promise<Leave>) => Promise<void> {
  const planning = plan(() => openAndPlan(parts, group))
  // Told to who delivers it.
  planning.catch(() => undefined)
  return (signal, turn) => deliverGroup(parts, group, signal, turn, planning)
}

/** The plan, and the copies that it wants; undefined when the message is damaged, and settled so. */
async function prepare(
  parts: DeliveryParts,
  group: Group,
  signal: AbortSignal,
  planning = openAndPlan(parts, group),
): Promise<Prepared | undefined> {
  const planned = await planning
  const withCopies = async (prepared: Prepared) => {
    const { fileKey, plans, open } = prepared.content
    await orWiped(fileKey, () => makeCopies(parts, group, copiesOf(group, plans), open))
    return prepared
  }
  const prepared = 'text' in planned ? planned : await orDamage(() => withCopies(planned))
  if (!('text' in prepared)) return prepared
  await quarantine(parts, group, prepared, signal)
  return undefined
}

/** Reads only. */
async function openAndPlan(parts: DeliveryParts, group: Group): Promise<Prepared | Damage> {
  const opened = group.fresh ?? (await openClaimed(parts.spoolParts, group.message.id))
  return opened.kind === 'damaged' ? opened : orDamage(() => orWiped(opened.fileKey, () => planOpened(parts, group, opened)))
}

async function planOpened(parts: DeliveryParts, group: Group, opened: OpenedContent): Promise<Prepared> {
  const head = await readHead(opened)
  if (head.kind === 'damaged') throw new SealBroken(altered)
  failpoint('deliver.opened')
  const header = parseHeader(head.header)
  const facts = messageFacts(header, head.bodyStart)
  const { parties, ...known } = await planParties(parts, group, { header, facts, open: opened.open })
  return { parties, content: { ...opened, head, header, facts, ...known } }
}

const altered = 'its content was altered'

/** Without a plan nobody needs the key. */
async function orWiped<T>(fileKey: Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    fileKey.fill(0)
    throw error
  }
}

async function orDamage<T>(work: () => Promise<T>): Promise<T | Damage> {
  try {
    return await work()
  } catch (error) {
    const text = damageOf(error)
    if (text === undefined) throw error
    return { text, vouched: true }
  }
}

/** What shows while it is planned, where a rule looks into all of the content. */
function damageOf(error: unknown): string | undefined {
  if (error instanceof PolicyAltered) return error.message
  return error instanceof SealBroken ? altered : undefined
}

/** Nothing was sent, and no way is known yet: the mail is kept, without an end, and says why it waits. */
async function postpone(parts: DeliveryParts, group: Group, error: unknown, signal: AbortSignal): Promise<undefined> {
  if (error instanceof Unexpected || signal.aborted) throw error
  const { message } = group
  parts.log.error({ err: error, message: message.id, domain: group.domain }, 'a message could not be opened and planned; it waits')
  const text =
    error instanceof CopyRefused ? error.message : `the gateway could not open and plan the message (${shortly(error)}), a fault of ours`
  const endings = group.recipients.map((recipient) => postponed(parts, group, recipient, text))
  await conclude(parts, group, endings, unread(group), signal)
}

/** Its code where the system gave one: the text may name files, and this is told to senders. */
function shortly(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error ? String(error.code) : error.message
}

async function deliverParty(
  parts: DeliveryParts,
  group: Group,
  party: Party,
  content: Content,
  { signal, walked }: { readonly signal: AbortSignal; readonly walked: () => void },
): Promise<void> {
  const lifetime = await lifetimeOf(parts, group)
  const endings = await walkParty(parts, group, party, content, { signal, lifetime }).finally(walked)
  await conclude(parts, group, endings, content, signal)
}

/**
 * Altered or unreadable content is never delivered and never deleted: it is held, and the alarm is in log and audit, until an operator has it
 * returned. Then its sender hears of it, unless nothing vouches for who that is.
 */
async function quarantine(parts: DeliveryParts, group: Group, { text, vouched }: Damage, signal: AbortSignal): Promise<void> {
  const message = vouched ? group.message : { ...group.message, reversePath: '' }
  const unreported = `${returnedByOperator.text}; nobody is told, for its envelope was altered`
  const returned = vouched ? returnedByOperator : { ...returnedByOperator, text: unreported }
  await hold(parts, { ...group, message }, held(text), signal, returned)
}

/** Settle all without having walked: held, or `returned` where an operator wants that. */
async function hold(
  parts: DeliveryParts,
  group: Group,
  outcome: ReturnType<typeof held>,
  signal: AbortSignal,
  returned: Planned['outcome'] = returnedByOperator,
): Promise<void> {
  const now = parts.clock()
  const endings = group.recipients.map((recipient) => unwalked(recipient, group, recipient.returning ? returned : outcome, { now }))
  await conclude(parts, group, endings, unread(group), signal)
}

type Damage = { readonly text: string; readonly vouched: boolean }

/** First time only: facts → plan; then recipients that share plan and step go together. */
async function planParties(
  parts: DeliveryParts,
  { message, recipients }: Group,
  { header, facts: mail, open }: Pick<Content, 'header' | 'facts' | 'open'>,
): Promise<Pick<Content, 'decided' | 'plans'> & { readonly parties: Party[] }> {
  const { id, reversePath, size, client, acceptedAt: at, policyRevision } = message
  const decided = new Map<string, PlanFacts>()
  const planOf = async (recipient: ClaimedRecipient) => {
    if (recipient.frozen !== undefined) return recipient.frozen.plan
    if (recipient.returning) return unplanned(policyRevision)
    const known = { reversePath, recipient: recipient.address, mail, size, client, at }
    const { plan, facts } = await parts.planFor(policyRevision, known, { id, header, open })
    decided.set(recipient.id, facts)
    return withProofs(plan, parts.settings)
  }
  const planned = await Promise.all(recipients.map(async (recipient) => ({ recipient, plan: await planOf(recipient) })))
  return { decided, plans: new Map(planned.map(({ recipient, plan }) => [recipient.id, plan])), parties: partiesOf(planned) }
}

/** What a letter asks for is part of its plan: settings that are changed later do not change it. */
function withProofs(plan: Plan, settings: Settings): Plan {
  const complete = (step: Step): Step =>
    step.method === 'escrow' ? { ...step, options: { ...step.options, ...asked(step.options, settings) } } : step
  return { ...plan, steps: plan.steps.map(complete), ...(plan.observed && { observed: plan.observed.map(complete) }) }
}

function partiesOf(planned: readonly { readonly recipient: ClaimedRecipient; readonly plan: Plan }[]): Party[] {
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

/**
 * Milliseconds after acceptance. A notice is given up when its letter ends: after that nobody would tell the sender that it never arrived.
 * A code is given up after its own lane and the life of a code: whoever waited for it has asked for another.
 */
async function lifetimeOf({ settings, spoolParts, clockBelieved }: DeliveryParts, { message }: Group): Promise<number> {
  if (message.kind !== 'code' && clockBelieved?.() === false) return Number.POSITIVE_INFINITY
  const usual = settings['retry.lifetime']
  if (message.kind === 'code')
    return Math.min(
      usual,
      settings['retry.code'].reduce((sum, wait) => sum + wait, codeLife),
    )
  if (message.kind !== 'notice') return usual
  const [letter] = await spoolParts.db.read<{ expires_at: number }>(sql`SELECT expires_at FROM letter WHERE id = ${message.about ?? ''}`)
  return letter === undefined ? usual : Math.min(usual, letter.expires_at - message.acceptedAt)
}

async function walkParty(
  parts: DeliveryParts,
  group: Group,
  party: Party,
  content: Content,
  { signal, lifetime }: { readonly signal: AbortSignal; readonly lifetime: number },
): Promise<Planned[]> {
  const { settings, clock, log } = parts
  const { message, domain } = group
  const { head, open, whole, fileKey, payloadSha256, plans } = content
  const schedule = message.kind === 'code' ? settings['retry.code'] : settings['retry.schedule']
  const endings = await walk(party, {
    attempt: async (step, context) => {
      const attempt = {
        ...context,
        message: { ...message, envelope: message.envelope as Pick<Envelope, 'ret' | 'envid' | 'body' | 'smtpUtf8'> },
        domain,
        recipients: context.recipients.map(bare),
        content: { header: async () => head.header, open, whole, fileKey, payloadSha256 },
        signal,
      }
      try {
        return await parts.attemptStep(step, attempt)
      } catch (error) {
        if (error instanceof SealBroken) return new Map(context.recipients.map(({ id }) => [id, { outcome: contentFault(error) }]))
        // A bug of ours: no answer is a deferral, which has its schedule and its end.
        log.error({ err: error, message: message.id, domain, method: step.method }, 'a method broke off; the mail waits')
        return new Map()
      }
    },
    now: clock,
    jitter: Math.random,
    timing: { schedule, lifetime },
    acceptedAt: message.acceptedAt,
  })
  const kept = message.kind === 'copy' ? endings.map((ending) => keptCopy(ending, log)) : endings
  const seen = { db: parts.spoolParts.db, settings, size: message.size, encrypted: content.facts.encrypted }
  return Promise.all(
    kept.map(async (ending) => {
      const one = planned(ending, plans.get(ending.recipient.id) ?? party.plan)
      // What was done must be recorded, whatever is told beside it.
      const observed = await observedOf(one, seen).catch((error: unknown) => {
        log.error({ err: error, message: message.id }, 'what a rule that only observes would have done is not known')
        return undefined
      })
      return { ...one, observed }
    }),
  )
}

const bare = ({ id, address, orcpt, notify, bcc, insist }: Attempt<unknown>['recipients'][number] | ClaimedRecipient) => ({
  id,
  address,
  notify,
  bcc,
  ...(orcpt !== undefined && { orcpt }),
  ...(insist !== undefined && { insist }),
})
