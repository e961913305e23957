/** One attempt at one claimed group: open it, plan it, walk it, settle it. */
import type { Logger } from 'pino'
import type { Envelope } from '../mail/envelope.ts'
import { type MailFacts, messageFacts } from '../mail/facts.ts'
import { parseHeader } from '../mail/header.ts'
import type { Plan, Step } from '../mail/plan.ts'
import type { Answer, Attempt } from '../methods/method.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { PlanFacts } from '../routing/plan.ts'
import { type ClaimedRecipient, type Group, type Opened, openClaimed } from '../spool/claim.ts'
import type { SpoolParts } from '../spool/parts.ts'
import { settleGroup } from '../spool/settle.ts'
import type { Spool } from '../spool/spool.ts'
import { alike } from './alike.ts'
import { followUps } from './follow-ups.ts'
import { type Head, readHead } from './head.ts'
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

type Content = Opened & { kind: 'content' }

/** Attempt a group and settle every recipient of it, with all that follows from it, in one transaction. */
export async function deliverGroup(parts: DeliveryParts, group: Group, signal: AbortSignal): Promise<void> {
  const { spoolParts, log, spool } = parts
  const opened = await openClaimed(spoolParts, group.message.id)
  const head = opened.kind === 'content' ? await readHead(opened.open) : opened
  if (opened.kind === 'damaged' || head.kind === 'damaged')
    return quarantine(parts, group, opened.kind === 'damaged' ? opened.text : 'its content was altered')

  const header = parseHeader(head.header)
  const facts = messageFacts(header, head.bodyStart)
  const parties = await planParties(parts, group, facts)
  const endings = (await Promise.all(parties.map((party) => walkParty(parts, group, party, opened, head, signal)))).flat()
  const settlements = endings.map((ending) => settlementOf(ending, group, facts, parts.clock()))
  const follow = await followUps(parts, group, endings, settlements, header)

  const writes = endings.flatMap(({ answer, outcome }) => (outcome.kind === 'delivered' ? (answer?.writes ?? []) : []))
  const { finished } = await settleGroup(spoolParts, group, follow.settlements, [...writes, ...follow.statements])
  for (const { recipient, outcome, method } of endings)
    log.info(
      { message: group.message.id, recipient: recipient.id, to: recipient.address, method, outcome: outcome.kind, why: outcome.text },
      'attempt',
    )
  await Promise.all(endings.map(({ answer }) => answer?.settled?.()))
  opened.fileKey.fill(0)
  if (finished && (group.message.kind === 'notice' || group.message.kind === 'code' || writes.length > 0)) await spoolParts.db.scrub()
  if (writes.length > 0 || follow.statements.length > 0) spool.wake()
}

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

function walkParty(
  parts: DeliveryParts,
  group: Group,
  party: Party,
  content: Content,
  head: Head,
  signal: AbortSignal,
): Promise<(Ending & { plan: Plan })[]> {
  const { settings, clock } = parts
  const { message, domain } = group
  const schedule = message.kind === 'code' ? settings['retry.code'] : settings['retry.schedule']
  return walk(party, {
    attempt: (step, context) =>
      parts.attemptStep(step, {
        ...context,
        message: { ...message, envelope: message.envelope as Pick<Envelope, 'ret' | 'envid' | 'body' | 'smtpUtf8'> },
        domain,
        recipients: context.recipients.map(bare),
        content: { header: async () => head.header, open: content.open, fileKey: content.fileKey, payloadSha256: content.payloadSha256 },
        signal,
      }),
    now: clock,
    jitter: Math.random,
    timing: { schedule, lifetime: settings['retry.lifetime'] },
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
