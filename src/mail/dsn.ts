/** Delivery status notifications (RFC 3464 in a multipart/report of RFC 6522): what we tell a sender became of a message. */
import MimeNode from 'nodemailer/lib/mime-node'
import type { Mailbox } from './address.ts'
import { decodeWords, field, formatField, type Header, named, oneLine } from './header.ts'
import { describeStatus } from './status.ts'

/** What became of one recipient. */
export type DsnRecipient = {
  /** Canonical address: Final-Recipient. */
  readonly address: string
  /** As received, `rfc822;…` in xtext (RFC 3461 §4.2). */
  readonly orcpt?: string
  /** RFC 3463 code; class 5 failed, 4 delayed, 2 delivered. */
  readonly status: string
  /** One sentence for a human: what happened, why, what can be done. */
  readonly text: string
  /** The reply of the remote host, e.g. `550 5.1.1 no such user`. */
  readonly diagnostic?: string
  readonly remoteMta?: string
  /** Milliseconds since 1970. */
  readonly lastAttemptAt?: number
  /** Delayed: until when it is tried, milliseconds since 1970. */
  readonly retryUntil?: number
}

export type Dsn = {
  /** `held`: until a person decides. `relayed`: RFC 3461 §5.2.2, handed to a next hop that will not report any further. */
  readonly kind: 'failed' | 'delayed' | 'held' | 'delivered' | 'relayed'
  /** Host name of ours: Reporting-MTA. */
  readonly reportingMta: string
  readonly from: Mailbox
  /** The reverse-path of the message reported on. */
  readonly to: string
  /** With angle brackets. */
  readonly messageId: string
  /** Milliseconds since 1970: of this report, and of the acceptance of the message. */
  readonly date: number
  readonly arrivedAt: number
  /** Our id of the message, named so that the sender's admin can ask for it. */
  readonly queueId: string
  /** Still in xtext. */
  readonly envid?: string
  readonly recipients: readonly DsnRecipient[]
  /** Header of the message reported on; its subject is replaced by `...` when `redactSubject`. */
  readonly header: Header
  readonly redactSubject: boolean
  /** Paragraphs after the first: what the reader of the report may choose. A line that holds a link is left as it is. */
  readonly choices?: readonly string[]
}

/**
 * The whole report with CRLF line ends; to be sent with the null reverse-path (RFC 5321 §4.5.5), never about a DSN.
 * Only header fields of the message come back, never its body.
 */
export async function composeDsn(dsn: Dsn): Promise<Buffer> {
  const root = new MimeNode('multipart/report; report-type=delivery-status')
  root.setHeader({
    From: [dsn.from],
    To: [{ name: '', address: dsn.to }],
    Subject: subjects[dsn.kind],
    Date: new Date(dsn.date),
    'Message-ID': dsn.messageId,
    'Auto-Submitted': 'auto-replied',
    ...references(dsn.header),
  })
  root.createChild('text/plain; charset=utf-8').setContent(words(dsn))
  root.createChild('message/delivery-status').setContent(status(dsn))
  root.createChild('text/rfc822-headers; charset=utf-8').setContent(returned(dsn))
  return await root.build()
}

const subjects = {
  failed: 'Your message could not be delivered',
  delayed: 'Your message is delayed',
  held: 'Your message is held',
  delivered: 'Your message was delivered',
  relayed: 'Your message was passed on',
} as const

const openings = {
  failed: 'Your message could not be delivered to',
  delayed: 'Your message has not been delivered yet to',
  held: 'Your message has not been sent yet to',
  delivered: 'Your message was delivered to',
  relayed: 'Your message was passed on to the mail server of',
} as const

const closings = {
  failed: 'Nothing further is tried. Correct the address or ask your administrator, then send it again.',
  delayed: 'You need not do anything: it is tried again by itself, and you are told if it fails in the end.',
  held: 'You need not do anything: a person decides about it, and you are told if it is returned to you.',
  delivered: 'You get this report because a delivery receipt was asked for.',
  relayed: 'You get this report because a delivery receipt was asked for; that server sends none, so nothing more is told.',
} as const

/** The part for people: its first paragraph says what, to whom, why, and what can be done. */
function words(dsn: Dsn): string {
  const [first, ...others] = dsn.recipients
  const whom =
    others.length === 0
      ? `${first?.address}: ${oneLine(first?.text ?? '').replace(/\.?$/, '.')}`
      : `these ${dsn.recipients.length} recipients.`
  const subject = dsn.redactSubject ? '' : oneLine(decodeWords(field(dsn.header, 'Subject') ?? ''))
  const which = subject === '' ? '' : ` Its subject: ${subject}`
  return [
    `${openings[dsn.kind]} ${whom} ${closings[dsn.kind]}`,
    ...(dsn.choices ?? []),
    ...dsn.recipients.map((one) => [one.address, ...remarks(dsn.kind, one, others.length > 0)].join('\r\n  ')),
    `${dsn.reportingMta} took the message over on ${new Date(dsn.arrivedAt).toUTCString()} under the number ${dsn.queueId}.${which}`,
  ]
    .map((paragraph) => `${paragraph}\r\n`)
    .join('\r\n')
}

function remarks(kind: Dsn['kind'], { status, text, diagnostic, retryUntil }: DsnRecipient, several: boolean): string[] {
  return [
    ...(several ? [oneLine(text)] : []),
    ...(kind === 'delivered' || kind === 'relayed' ? [] : [`In short: ${describeStatus(status)} (${status}).`]),
    ...(diagnostic === undefined ? [] : [`The other side said: ${oneLine(diagnostic)}`]),
    ...(retryUntil === undefined ? [] : [`It is tried until ${new Date(retryUntil).toUTCString()}.`]),
  ]
}

/** RFC 3464 §2.2 and §2.3: one block for the message, one for each recipient, an empty line between. */
function status(dsn: Dsn): string {
  const message = block([
    ['Original-Envelope-Id', dsn.envid === undefined ? undefined : xtext(dsn.envid)],
    ['Reporting-MTA', `dns; ${dsn.reportingMta}`],
    ['Arrival-Date', date(dsn.arrivedAt)],
  ])
  return [message, ...dsn.recipients.map((one) => recipientBlock(dsn.kind, one))].join('\r\n')
}

function recipientBlock(kind: Dsn['kind'], one: DsnRecipient): string {
  const split = one.orcpt?.indexOf(';') ?? -1
  return block([
    [
      'Original-Recipient',
      one.orcpt === undefined || split === -1 ? undefined : `${one.orcpt.slice(0, split)}; ${xtext(one.orcpt.slice(split + 1))}`,
    ],
    ['Final-Recipient', ascii(one.address) ? `rfc822; ${one.address}` : `utf-8; ${utf8Xtext(one.address)}`],
    // RFC 3464 §2.3.3 knows no other word for mail that may still be delivered.
    ['Action', kind === 'held' ? 'delayed' : kind],
    ['Status', one.status],
    ['Remote-MTA', one.remoteMta === undefined ? undefined : `dns; ${one.remoteMta}`],
    ['Diagnostic-Code', one.diagnostic === undefined ? undefined : `smtp; ${one.diagnostic}`],
    ['Last-Attempt-Date', one.lastAttemptAt === undefined ? undefined : date(one.lastAttemptAt)],
    ['Will-Retry-Until', kind === 'delayed' && one.retryUntil !== undefined ? date(one.retryUntil) : undefined],
  ])
}

/** Fields of the report. These are no place for encoded words: what is beyond ASCII becomes `?`. */
const block = (lines: readonly (readonly [string, string | undefined])[]): string =>
  lines.map(([name, value]) => (value === undefined ? '' : formatField(name, fit(value)))).join('')

const fit = (value: string) =>
  oneLine(value)
    .slice(0, 900)
    .replace(/[^\x20-\x7e]/g, '?')
    .replaceAll('=?', '= ?')

/** RFC 6533 §3, utf-8-addr-xtext: `\x{F6}`; so that the report needs no 8-bit path. */
const utf8Xtext = (address: string) =>
  Array.from(address, (char) => (ascii(char) ? char : `\\x{${char.codePointAt(0)?.toString(16).toUpperCase()}}`)).join('')

/** The header fields that come back: all of them, with the subject hidden when asked; Bcc never. */
function returned({ header, redactSubject }: Dsn): Buffer {
  const kept = header.filter((one) => one.name !== '' && !/^(?:bcc|resent-bcc)$/i.test(one.name))
  const raws = kept.map((one) => {
    if (redactSubject && /^(?:subject|thread-topic|comments|keywords)$/i.test(one.name)) return Buffer.from(`${one.name}: ...\r\n`)
    return one.raw.at(-1) === 0x0a ? one.raw : Buffer.concat([one.raw, Buffer.from('\r\n')])
  })
  return Buffer.concat(raws)
}

/** RFC 5322 §3.6.4: the report answers the message; so clients show it in its thread. */
function references(header: Header): { [name: string]: string } {
  const id = /<[^<>\s]{1,900}>/.exec(named(header, 'Message-ID')[0]?.value ?? '')?.[0]
  return id === undefined || !ascii(id) ? {} : { 'In-Reply-To': id, References: id }
}

/** RFC 3461 §4: `+2B` stands for a plus sign. */
const xtext = (text: string) => text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** RFC 5322 §3.3, in UTC. */
const date = (at: number) => new Date(at).toUTCString().replace('GMT', '+0000')

const ascii = (text: string) => /^[\x20-\x7e]*$/.test(text)
