/** What a settlement sets off: DSNs to the sender, and the next state of the letter whose notice or code this was. */
import type { Header } from '../mail/header.ts'
import type { Plan } from '../mail/plan.ts'
import { codeSettled, noticeSettled } from '../methods/escrow/settled.ts'
import type { Group } from '../spool/claim.ts'
import type { Settlement } from '../spool/settle.ts'
import { type Statement, sql } from '../store/db.ts'
import { type Reported, reportToSender } from './bounce.ts'
import type { DeliveryParts } from './deliver.ts'
import type { Ending } from './walk.ts'

type Planned = Ending & { readonly plan: Plan }

export type FollowUps = { readonly settlements: readonly Settlement[]; readonly statements: readonly Statement[] }

/** The settlements (delay notices marked) and the statements to be written with them. */
export async function followUps(
  parts: DeliveryParts,
  group: Group,
  endings: readonly Planned[],
  settlements: readonly Settlement[],
  header: Header,
): Promise<FollowUps> {
  const letters = await letterStatements(parts, group, endings)
  const failed = endings.filter(({ outcome, recipient }) => outcome.kind === 'failed' && wants(recipient.notify, 'FAILURE'))
  const succeeded = endings.filter(
    ({ outcome, recipient }) =>
      outcome.kind === 'delivered' && recipient.notify.includes('SUCCESS') && outcome.evidence.dsnRelayed !== true,
  )
  const late = endings.filter((ending) => isLate(parts, group, ending))
  const reports = await Promise.all([
    report(parts, group, 'failed', failed, header),
    report(parts, group, 'delivered', succeeded, header),
    report(parts, group, 'delayed', late, header),
  ])
  const noticed = new Set(late.map(({ recipient }) => recipient.id))
  return {
    settlements: settlements.map((settlement) =>
      noticed.has(settlement.recipient.id) ? { ...settlement, delayNoticed: true } : settlement,
    ),
    statements: [...letters, ...reports.flat()],
  }
}

/** RFC 3461 §4.1: without NOTIFY, failures and delays are told. */
const wants = (notify: readonly string[], what: 'FAILURE' | 'DELAY'): boolean => notify.length === 0 || notify.includes(what)

const isLate = ({ settings, clock }: DeliveryParts, { message }: Group, { outcome, recipient }: Ending): boolean =>
  outcome.kind === 'deferred' &&
  !recipient.delayNoticed &&
  wants(recipient.notify, 'DELAY') &&
  clock() - message.acceptedAt >= settings['retry.delayNotice']

async function report(
  parts: DeliveryParts,
  group: Group,
  kind: 'failed' | 'delivered' | 'delayed',
  endings: readonly Planned[],
  header: Header,
): Promise<readonly Statement[]> {
  const { message } = group
  // RFC 5321 §4.5.5: never a report about a report; and mail of our own is reported in its own way.
  if (endings.length === 0 || message.kind !== 'mail' || message.reversePath === '') return []
  return reportToSender(parts, {
    kind,
    message,
    header,
    recipients: endings.map((ending) => reported(parts, ending)),
    redactSubject: endings.some(({ plan }) =>
      plan.steps.some(({ method }) => method !== 'tls' && method !== 'opportunistic' && method !== 'bounce'),
    ),
  })
}

const reported = ({ settings }: DeliveryParts, { recipient, outcome }: Planned): Reported => ({
  address: recipient.address,
  ...(recipient.orcpt !== undefined && { orcpt: recipient.orcpt }),
  status: outcome.kind === 'delivered' ? '2.0.0' : outcome.kind === 'failed' ? outcome.status : (outcome.status ?? '4.4.7'),
  text: outcome.text,
  evidence: outcome.evidence,
  patience: outcome.kind === 'deferred' ? (outcome.retry.until ?? settings['retry.lifetime']) : 0,
})

async function letterStatements(parts: DeliveryParts, { message }: Group, endings: readonly Planned[]): Promise<readonly Statement[]> {
  const ended = endings.find(({ outcome }) => outcome.kind !== 'deferred')
  if (ended === undefined || message.about === undefined) return []
  const { outcome } = ended
  const result = {
    letter: message.about,
    delivered: outcome.kind === 'delivered',
    assurance: outcome.kind === 'delivered' ? outcome.assurance : ('none' as const),
    text: outcome.text,
    at: parts.clock(),
  }
  if (message.kind === 'code') return codeSettled(message.id, result)
  if (message.kind !== 'notice') return []
  const statements = noticeSettled(result)
  return result.delivered ? statements : [...statements, ...(await reportLostNotice(parts, result.letter, result.text))]
}

/** A notice that nobody takes: the letter is shredded, unless it was opened already, and its sender hears of it like of any bounce. */
async function reportLostNotice(parts: DeliveryParts, letter: string, why: string): Promise<readonly Statement[]> {
  const { db } = parts.spoolParts
  const [about] = await db.read<{
    id: string
    reverse_path: string
    message_id: string
    accepted_at: number
    envid: string | null
    address: string
    notify: string
  }>(sql`
    SELECT message.id, message.reverse_path, message.message_id, message.accepted_at, message.envid, letter.address, recipient.notify
    FROM letter JOIN message ON message.id = letter.message JOIN recipient ON recipient.id = letter.recipient WHERE letter.id = ${letter} AND letter.state = 'waiting'`)
  if (about === undefined || about.reverse_path === '' || !wants(about.notify === '' ? [] : about.notify.split(','), 'FAILURE')) return []
  return reportToSender(parts, {
    kind: 'failed',
    message: {
      id: about.id,
      reversePath: about.reverse_path,
      acceptedAt: about.accepted_at,
      envelope: about.envid === null ? {} : { envid: about.envid },
    },
    header: [{ name: 'Message-ID', value: about.message_id, raw: Buffer.from(`Message-ID: ${about.message_id}\r\n`) }],
    recipients: [
      {
        address: about.address,
        status: '5.4.7',
        text: `the notice of the letter could not be delivered, so the letter was destroyed: ${why}`,
        evidence: {},
        patience: 0,
      },
    ],
    redactSubject: true,
  })
}
