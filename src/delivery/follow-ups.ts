/** What a settlement sets off: DSNs to the sender, and the next state of the letter whose notice or code this was. */
import type { Readable } from 'node:stream'
import type { Header } from '../mail/header.ts'
import { type Evidence, sentence } from '../mail/outcome.ts'
import { offerToSender } from '../methods/escrow/offer.ts'
import { codeSettled, noticeSettled } from '../methods/escrow/settled.ts'
import type { Group } from '../spool/claim.ts'
import { endOf } from '../spool/schedule.ts'
import type { Settlement } from '../spool/settle.ts'
import { type Statement, sql } from '../store/db.ts'
import { type Reported, reportToSender } from './bounce.ts'
import type { About } from './conclude.ts'
import type { DeliveryParts } from './deliver.ts'
import { requestStatements } from './requests.ts'
import type { Planned } from './settlement.ts'
import { type Ending, isDamage } from './walk.ts'

export type FollowUps = { readonly settlements: readonly Settlement[]; readonly statements: readonly Statement[] }

/** The settlements (delay notices marked) and the statements to be written with them. */
export async function followUps(
  parts: DeliveryParts,
  group: Group,
  ended: readonly Planned[],
  settlements: readonly Settlement[],
  { header, open }: About,
): Promise<FollowUps> {
  const endings = ended.filter(({ outcome }) => !isDamage(outcome)) // held: nothing has become of it yet
  const failed = endings.filter(({ outcome, recipient }) => outcome.kind === 'failed' && wants(recipient.notify, 'FAILURE'))
  const succeeded = endings.filter(
    // A sealed letter is nowhere yet: its sender hears when the notice was accepted.
    ({ outcome, recipient, answer }) =>
      outcome.kind === 'delivered' && answer?.state === undefined && recipient.notify.includes('SUCCESS') && !passedOn(outcome.evidence),
  )
  const late = endings.filter((ending) => isLate(parts, group, ending))
  const told = endings.filter((ending) => isNewlyHeld(ending))
  const letters = await letterStatements(parts, group, endings, { late, open })
  const reports = await Promise.all([
    report(parts, group, 'failed', failed, header),
    report(parts, group, 'relayed', succeeded, header),
    report(parts, group, 'delayed', late, header),
    report(parts, group, 'held', told, header),
    requestStatements(parts, group, endings, header),
  ])
  const idsOf = (some: readonly Planned[]) => new Set(some.map(({ recipient }) => recipient.id))
  const [noticed, heard] = [idsOf(late), idsOf(told)]
  return {
    settlements: settlements.map((settlement) => ({
      ...settlement,
      ...(noticed.has(settlement.recipient.id) && { delayNoticed: true }),
      ...(settlement.frozen && heard.has(settlement.recipient.id) && { frozen: { ...settlement.frozen, toldHeld: true } }),
    })),
    statements: [...letters, ...reports.flat()],
  }
}

/** RFC 3461 §5.2.2: a next hop that offers DSN was given NOTIFY, and reports itself. */
const passedOn = ({ dsn }: Evidence): boolean => dsn === true

/** RFC 3461 §4.1: without NOTIFY, failures and delays are told. */
const wants = (notify: readonly string[], what: 'FAILURE' | 'DELAY'): boolean => notify.length === 0 || notify.includes(what)

const isLate = ({ settings, clock }: DeliveryParts, { message }: Group, { outcome, recipient, answer }: Ending): boolean =>
  outcome.kind === 'deferred' &&
  answer?.hold === undefined &&
  !recipient.delayNoticed &&
  wants(recipient.notify, 'DELAY') &&
  clock() - message.acceptedAt >= settings['retry.delayNotice']

/** Held until a person decides: told once, however often it is released and held again. RFC 3461 §4.1: not to those who want no report at all. */
const isNewlyHeld = ({ outcome, answer, recipient }: Ending): boolean =>
  outcome.kind === 'deferred' && answer?.hold !== undefined && recipient.frozen?.toldHeld !== true && !recipient.notify.includes('NEVER')

async function report(
  parts: DeliveryParts,
  group: Group,
  kind: 'failed' | 'relayed' | 'delayed' | 'held',
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
    recipients: endings.map((ending) => reported(parts, group, ending)),
    // Only a plan that lets the message travel unencrypted lets its subject do so.
    redactSubject: endings.some(({ plan }) => !plan.steps.some(({ method }) => method === 'opportunistic')),
  })
}

const reported = (
  { settings }: DeliveryParts,
  { message }: Group,
  { recipient, outcome, method, waits, stepSince = 0, answer }: Planned,
): Reported => ({
  address: recipient.address,
  ...(recipient.orcpt !== undefined && { orcpt: recipient.orcpt }),
  status: outcome.kind === 'delivered' ? '2.0.0' : outcome.kind === 'failed' ? outcome.status : (outcome.status ?? '4.4.7'),
  text: outcome.kind === 'delivered' ? `${outcome.text} (method ${method})` : answer?.hold === undefined ? outcome.text : sentence(outcome),
  evidence: outcome.evidence,
  ...(outcome.kind === 'deferred' &&
    answer?.hold === undefined && {
      until: endOf({ retry: outcome.retry, waits, stepSince, acceptedAt: message.acceptedAt, lifetime: settings['retry.lifetime'] }),
    }),
})

async function letterStatements(
  parts: DeliveryParts,
  group: Group,
  endings: readonly Planned[],
  { late, open }: { readonly late: readonly Planned[]; readonly open: About['open'] },
): Promise<readonly Statement[]> {
  const { message } = group
  const waiting = message.kind === 'notice' ? late[0] : undefined
  if (waiting !== undefined && message.about !== undefined)
    return reportNotice(parts, message.about, 'delayed', { ...reported(parts, group, waiting), ...(open && { notice: open }) })
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
  if (result.delivered)
    return [...statements, ...(await reportNotice(parts, result.letter, 'delivered', { status: '2.0.0', text: result.text }))]
  return [...statements, ...(await reportNotice(parts, result.letter, 'failed', whyLost(ended)))]
}

/** Why nobody took the notice: its plan has one step, and "no protected way" would say less than what that answered. */
function whyLost({ outcome, earlier }: Ending): Pick<Reported, 'status' | 'text'> {
  const declined = earlier.at(-1)
  if (declined?.reason === 'message-too-large') return { status: '5.3.4', text: declined.text }
  const refused = declined === undefined && outcome.kind === 'failed' && outcome.status.startsWith('5')
  // RFC 3463 §3.5: X.4.7, the time for it is over.
  return { status: refused ? outcome.status : '5.4.7', text: declined?.text ?? outcome.text }
}

const noticeWords = {
  failed: 'the notice of the letter could not be delivered, so the letter was destroyed',
  delivered: 'a notice of the letter was delivered (method escrow)',
  delayed: 'the letter is sealed here, but the notice with its link could not be delivered yet',
} as const

/**
 * Its sender hears of a letter whose notice waits, and of one that nobody takes, like of any delay and bounce. A lost notice shreds the letter,
 * unless it was opened already.
 */
async function reportNotice(
  parts: DeliveryParts,
  letter: string,
  kind: 'failed' | 'delayed' | 'delivered',
  { status, text, until, notice }: Pick<Reported, 'status' | 'text' | 'until'> & { readonly notice?: () => Readable },
): Promise<readonly Statement[]> {
  const { db } = parts.spoolParts
  const [about] = await db.read<{
    id: string
    reverse_path: string
    message_id: string
    accepted_at: number
    envid: string | null
    address: string
    notify: string
    expires_at: number
  }>(sql`
    SELECT message.id, message.reverse_path, message.message_id, message.accepted_at, message.envid, letter.address, letter.expires_at, recipient.notify
    FROM letter JOIN message ON message.id = letter.message JOIN recipient ON recipient.id = letter.recipient WHERE letter.id = ${letter} AND letter.state = 'waiting'`)
  if (about === undefined || about.reverse_path === '') return []
  const notify = about.notify === '' ? [] : about.notify.split(',')
  if (kind === 'delivered' ? !notify.includes('SUCCESS') : !wants(notify, kind === 'failed' ? 'FAILURE' : 'DELAY')) return []
  // spec transport N2: told with the choices; they are behind a link that only this mail has.
  const mailbox = about.reverse_path
  const offer = kind === 'delayed' && notice ? await offerToSender(parts.spoolParts, { letter, notice, mailbox }) : undefined
  const kept = kind === 'delivered' ? `it is kept sealed until ${new Date(about.expires_at).toUTCString()}` : text
  const report = await reportToSender(parts, {
    kind,
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
        status,
        text: `${noticeWords[kind]}${kind === 'delivered' ? ';' : ':'} ${kept}`,
        evidence: {},
        ...(until !== undefined && { until }),
      },
    ],
    redactSubject: true,
    ...(offer && { choices: choices(offer.link) }),
  })
  return [...report, ...(offer?.statements ?? [])]
}

/** The link on a line of its own. */
const choices = (link: string): readonly string[] => [
  'If you would rather not wait, you can give the reader the link to the letter another way, or cancel the letter. Open this page to choose:',
  link,
  'The page is for you alone: whoever has its address can cancel the letter, but not read it.',
]
