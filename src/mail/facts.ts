/** What the rules may ask about a message: read from its header and the first bytes of its body. */
import { parseMailboxes } from './address.ts'
import { contentType, transferEncoding } from './content-type.ts'
import { decodeWords, field, fields, type Header } from './header.ts'

export type MailFacts = {
  /** Canonical address of the header From; '' when there is none, or more than one From field. */
  readonly headerFrom: string
  /** Canonical addresses named in To and Cc, once each. */
  readonly to: readonly string[]
  /** Decoded, tags included. */
  readonly subject: string
  /** Lower case, without brackets. */
  readonly subjectTags: readonly string[]
  readonly autoSubmitted: boolean
  readonly dsn: boolean
  /** Already encrypted end to end: the portal could not show it. */
  readonly encrypted: boolean
  readonly signed: boolean
  /** An invitation, or an answer to one (RFC 6047). */
  readonly calendar: boolean
  /** Encrypted by a rights management system (Microsoft's .rpmsg): its reader needs that system. */
  readonly rightsManaged: boolean
  /** Sent on by its recipient (RFC 5322 §3.6.6). */
  readonly forwarded: boolean
}

/**
 * The facts of one message. `bodyStart`: the first bytes of the body, 4 KiB are plenty; with them a claim to be encrypted is checked,
 * because "already encrypted" lets a message travel with less protection of ours.
 */
export function messageFacts(header: Header, bodyStart?: Buffer): MailFacts {
  const subject = decodeWords(field(header, 'Subject') ?? '')
    .replace(/\s+/g, ' ')
    .trim()
  return {
    headerFrom: headerFrom(header),
    to: [...new Set([...fields(header, 'To'), ...fields(header, 'Cc')].flatMap(parseMailboxes).map((mailbox) => mailbox.address))],
    subject,
    subjectTags: subjectTags(subject),
    autoSubmitted: isAutoSubmitted(header),
    dsn: isDsn(header),
    encrypted: isEncrypted(header, bodyStart),
    signed: isSigned(header, bodyStart),
    calendar: isCalendar(header, bodyStart),
    rightsManaged: isRightsManaged(header, bodyStart),
    forwarded: ['Resent-From', 'Resent-To', 'Resent-Sender'].some((name) => field(header, name) !== undefined),
  }
}

/** Two From fields are how one program is shown another sender than the next: then there is none. */
function headerFrom(header: Header): string {
  const found = fields(header, 'From')
  return found.length === 1 ? (parseMailboxes(found[0] ?? '')[0]?.address ?? '') : ''
}

/** `[tag]` at the start (after any Re: or Fwd:) or the end of a subject; several may follow each other. */
export function subjectTags(subject: string): string[] {
  const start = startOf(subject.trimStart()).tags
  const tags = [...start.matchAll(/\[([^[\]]+)\]/g)].map((found) => found[1] ?? '')
  let rest = subject.trimEnd()
  while (rest.endsWith(']')) {
    const open = rest.lastIndexOf('[')
    if (open === -1 || rest.indexOf(']', open) !== rest.length - 1) break
    tags.push(rest.slice(open + 1, -1))
    rest = rest.slice(0, open).trimEnd()
  }
  return [...new Set(tags.map((tag) => tag.trim().toLowerCase()).filter((tag) => tag !== ''))]
}

/** What stands before the text: reply marks, then tags. */
function startOf(subject: string): { readonly marks: string; readonly tags: string } {
  const [, marks = '', tags = ''] = /^((?:\p{L}{1,6}(?:\[\d{1,3}\])?\s?:\s*)*)((?:\[[^[\]]{1,64}\]\s*)*)/u.exec(subject) ?? []
  return { marks, tags }
}

/** The subject without those of its tags that are listed (lower case); unchanged, spaces too, when it has none of them. */
export function withoutTags(subject: string, tags: readonly string[]): string {
  if (!subjectTags(subject).some((tag) => tags.includes(tag))) return subject
  const listed = (tag: string) => tags.includes(tag.trim().toLowerCase())
  const { marks, tags: start } = startOf(subject.trimStart())
  const kept = start.replace(/\[([^[\]]+)\]\s*/g, (whole, tag: string) => (listed(tag) ? '' : whole))
  let rest = subject
    .trimStart()
    .slice(marks.length + start.length)
    .trimEnd()
  let end = ''
  while (rest.endsWith(']')) {
    const open = rest.lastIndexOf('[')
    if (open === -1 || rest.indexOf(']', open) !== rest.length - 1) break
    if (!listed(rest.slice(open + 1, -1))) end = ` ${rest.slice(open)}${end}`
    rest = rest.slice(0, open).trimEnd()
  }
  return `${marks}${kept}${rest}${end}`.trim()
}

/** RFC 3834 §5, and the two marks that older responders use. Precedence: bulk or list is not one: newsletters are written by people. */
function isAutoSubmitted(header: Header): boolean {
  const marks = fields(header, 'Auto-Submitted').map((value) => value.split(/[;(\s]/, 1)[0]?.toLowerCase() ?? '')
  if (marks.some((mark) => mark !== '' && mark !== 'no')) return true
  if (field(header, 'Precedence')?.toLowerCase() === 'auto_reply' || field(header, 'X-Autoreply') !== undefined) return true
  return reportType(header) === 'disposition-notification'
}

const isDsn = (header: Header) => reportType(header) === 'delivery-status'

/** RFC 6522 §3. */
function reportType(header: Header): string | undefined {
  const { type, parameters } = contentType(header)
  return type === 'multipart/report' ? parameters['report-type']?.toLowerCase() : undefined
}

function isEncrypted(header: Header, bodyStart: Buffer | undefined): boolean {
  const { type, parameters } = contentType(header)
  if (type === 'multipart/encrypted') return bodyStart === undefined || holdsCiphertext(bodyStart)
  if (type === 'application/pkcs7-mime' || type === 'application/x-pkcs7-mime') {
    if (bodyStart === undefined) return /^(?:auth)?enveloped-data$/i.test(parameters['smime-type'] ?? '')
    return isEnveloped(decoded(header, bodyStart))
  }
  return (
    type === 'text/plain' &&
    bodyStart !== undefined &&
    decoded(header, bodyStart).toString('latin1').trimStart().startsWith('-----BEGIN PGP MESSAGE-----')
  )
}

function isSigned(header: Header, bodyStart: Buffer | undefined): boolean {
  const { type, parameters } = contentType(header)
  if (type === 'multipart/signed') return true
  if (/^application\/(?:x-)?pkcs7-mime$/.test(type)) return parameters['smime-type']?.toLowerCase() === 'signed-data'
  return type === 'text/plain' && bodyStart?.toString('latin1').trimStart().startsWith('-----BEGIN PGP SIGNED MESSAGE-----') === true
}

/** RFC 6047 §2.4; an invitation for people has its calendar part beside the text, declared at the start of the body. */
function isCalendar(header: Header, bodyStart: Buffer | undefined): boolean {
  if (contentType(header).type === 'text/calendar' || /^urn:content-classes:calendarmessage$/i.test(contentClass(header))) return true
  return declares(header, bodyStart, /^content-type:\s*text\/calendar\b/im)
}

/** [MS-OXORMMS] §2.1: the message is a wrapper around one attachment, message.rpmsg. */
const isRightsManaged = (header: Header, bodyStart: Buffer | undefined): boolean =>
  /^(?:rpmsg\.message|irm\.message)$/i.test(contentClass(header)) ||
  declares(header, bodyStart, /^content-type:\s*application\/x-microsoft-rpmsg-message\b/im)

const contentClass = (header: Header): string => field(header, 'Content-Class')?.trim() ?? ''

/** Is there a part with such a header line in the first bytes of a multipart body? */
const declares = (header: Header, bodyStart: Buffer | undefined, line: RegExp): boolean =>
  bodyStart !== undefined && contentType(header).type.startsWith('multipart/') && line.test(bodyStart.toString('latin1'))

/** RFC 3156 §4: the second part is an armored message. RFC 1847 allows other protocols; of those we know none that is in use. */
const holdsCiphertext = (bodyStart: Buffer) => bodyStart.toString('latin1').includes('-----BEGIN PGP MESSAGE-----')

/** The DER of the object identifiers of EnvelopedData (RFC 5652 §6.1) and AuthEnvelopedData (RFC 5083 §2.1), at the start of ContentInfo. */
const enveloped = ['06092a864886f70d010703', '060b2a864886f70d0109100117']

const isEnveloped = (der: Buffer) => enveloped.some((oid) => der.subarray(0, 24).includes(Buffer.from(oid, 'hex')))

function decoded(header: Header, bodyStart: Buffer): Buffer {
  if (transferEncoding(header) !== 'base64') return bodyStart
  return Buffer.from(bodyStart.toString('latin1').replace(/\s/g, ''), 'base64')
}
