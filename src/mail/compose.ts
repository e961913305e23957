/** Writing the mail that we originate: notices, codes, mail to senders. */
import MailComposer from 'nodemailer/lib/mail-composer'
import type { Mailbox } from './address.ts'

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
