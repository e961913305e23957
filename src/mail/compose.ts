/** Writing the mail that we originate: notices, codes, mail to senders. */
import { randomBytes } from 'node:crypto'
import MailComposer from 'nodemailer/lib/mail-composer'
import { encode, wrap } from 'nodemailer/lib/qp'
import type { Mailbox } from './address.ts'
import { formatField, formatMailbox, formatStructured } from './header.ts'

/** Everything that goes into a mail of ours. Foreign text in subject and names must be without line breaks (header.ts, `oneLine`). */
export type Mail = {
  readonly from: Mailbox
  readonly to: readonly Mailbox[]
  readonly replyTo?: Mailbox
  readonly subject: string
  readonly text: string
  readonly html?: string
  /** With angle brackets. */
  readonly messageId: string
  /** Milliseconds since 1970. */
  readonly date: number
  /** RFC 3834 §5; `no` for a mail that a person caused directly. */
  readonly autoSubmitted: 'auto-generated' | 'auto-replied' | 'no'
  readonly inReplyTo?: string
  readonly references?: readonly string[]
  /** Further fields, e.g. Expires; no line breaks. */
  readonly fields?: { readonly [name: string]: string }
  readonly attachments?: readonly { readonly filename: string; readonly contentType: string; readonly content: Buffer }[]
}

/** The whole content with CRLF line ends, 7-bit. Throws RangeError when a subject, name or field holds a line break or NUL. */
export async function compose(mail: Mail): Promise<Buffer> {
  for (const value of headerValues(mail)) if (/[\r\n\0]/.test(value)) throw new RangeError('a header value holds a line break or NUL')
  if (isPlain(mail)) return composePlain(mail)
  const composer = new MailComposer({
    from: mail.from,
    to: [...mail.to],
    replyTo: mail.replyTo,
    subject: mail.subject,
    text: crlf(mail.text),
    html: mail.html === undefined ? undefined : crlf(mail.html),
    messageId: mail.messageId,
    date: new Date(mail.date),
    inReplyTo: mail.inReplyTo,
    references: mail.references === undefined ? undefined : [...mail.references],
    headers: { ...mail.fields, ...(mail.autoSubmitted === 'no' ? {} : { 'Auto-Submitted': mail.autoSubmitted }) },
    attachments: mail.attachments?.map(({ filename, contentType, content }) => ({ filename, contentType, content })),
    // No name in a mail of ours is ever a path or an address to fetch.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return await composer.compile().build()
}

const headerValues = ({ from, to, replyTo, subject, messageId, inReplyTo, references, fields }: Mail): string[] => [
  ...[from, ...to, ...(replyTo === undefined ? [] : [replyTo])].flatMap(({ name, address }) => [name, address]),
  ...[subject, messageId, inReplyTo ?? '', ...(references ?? [])],
  ...Object.entries(fields ?? {}).flat(),
]

const crlf = (text: string) => text.replace(/\r\n|\r|\n/g, '\r\n')

/** Texts only, and addresses that need no care: notices, codes, what senders are told. */
const isPlain = ({ attachments = [], from, to, replyTo = from }: Mail): boolean =>
  attachments.length === 0 && [from, replyTo, ...to].every(({ address }) => plainAddress.test(address))

const plainAddress = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+$/

/** The same mail written directly: the streams of MailComposer take ten times as long. */
function composePlain(mail: Mail): Buffer {
  const { text, html } = mail
  const body = html === undefined ? part('text/plain', text) : alternative([part('text/plain', text), part('text/html', html)])
  return Buffer.from(`${headerOf(mail)}MIME-Version: 1.0\r\n${body}`)
}

function headerOf({ from, to, replyTo, subject, messageId, date, inReplyTo, references = [], autoSubmitted, fields = {} }: Mail): string {
  const structured: readonly (readonly [string, string | undefined])[] = [
    ['From', formatMailbox(from)],
    ['To', to.map(formatMailbox).join(', ')],
    ['Reply-To', replyTo && formatMailbox(replyTo)],
    ['Message-ID', messageId],
    ['In-Reply-To', inReplyTo],
    ['References', references.join(' ') || undefined],
    // RFC 5322 §3.3.
    ['Date', new Date(date).toUTCString().replace('GMT', '+0000')],
    ['Auto-Submitted', autoSubmitted === 'no' ? undefined : autoSubmitted],
  ]
  const lines = structured.flatMap(([name, value]) => (value === undefined ? [] : [formatStructured(name, value)]))
  return [...lines, formatField('Subject', subject), ...Object.entries(fields).map(([name, value]) => formatField(name, value))].join('')
}

/** Header fields and body of one text: as it is where that is short lines of ASCII, else quoted-printable. */
function part(type: string, text: string): string {
  const clear = crlf(text)
  const plain = /^(?:[\t\x20-\x7e]{0,76}(?:\r\n|$))*$/.test(clear)
  const head = `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${plain ? '7bit' : 'quoted-printable'}\r\n\r\n`
  return head + (plain ? clear : wrap(encode(clear)))
}

function alternative(parts: readonly string[]): string {
  const boundary = `letterlock-${randomBytes(12).toString('hex')}`
  const inside = parts.map((one) => `--${boundary}\r\n${one}\r\n`).join('')
  return `Content-Type: multipart/alternative; boundary="${boundary}"\r\n\r\n${inside}--${boundary}--\r\n`
}
