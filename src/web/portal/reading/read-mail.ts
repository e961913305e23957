/** A mail, byte for byte as it was sent, read into what the page shows. Runs in the worker only: its input is hostile. */
import PostalMime, { type Address, type Attachment, type Email } from 'postal-mime'
import type { Job, LetterContent, LetterFile, Person } from './content.ts'
import { safeFileName, visible } from './file-name.ts'
import { bytesOf, picturesOf } from './pictures.ts'
import { sanitise, textOf } from './sanitise.ts'

const htmlLimit = 1024 * 1024
const textLimit = 512 * 1024
const mostFiles = 200
const mostAddresses = 100

/** Reads a mail without its files; throws what postal-mime throws when its limits are met. */
export async function readLetter({ bytes, mark, sizes, cut }: Job): Promise<LetterContent> {
  const mail = await parse(bytes)
  const numberOf = ({ description = '' }: Attachment) =>
    description.startsWith(`${mark}.`) ? Number.parseInt(description.slice(mark.length + 1), 10) : undefined
  // A picture that was too large to be kept whole is no picture here.
  const whole = (one: Attachment) => bytesOf(one).byteLength === sizes[numberOf(one) ?? -1]
  const pictures = picturesOf(mail.attachments.filter(whole))
  const source = mail.html ?? ''
  const tooLong = source.length > htmlLimit
  const safe = sanitise(tooLong ? source.slice(0, htmlLimit) : source, pictures.find)
  const text = mail.text?.trim() ? mail.text : textOf(safe.html)
  const html = tooLong || !hasSubstance(safe.html) ? null : safe.html
  return {
    subject: visible(mail.subject ?? ''),
    to: people(mail.to ?? []),
    cc: people(mail.cc ?? []),
    date: written(mail),
    html,
    withheld: html !== null && safe.withheld,
    text: text.slice(0, textLimit).replace(/\r\n?/g, '\n').trimEnd(),
    shortened: cut || tooLong || text.length > textLimit,
    files: mail.attachments
      .filter((one) => html === null || one.disposition === 'attachment' || !pictures.used.has(one))
      .slice(0, mostFiles)
      .flatMap((one, index) => fileOf(one, index + 1, numberOf(one), sizes) ?? []),
  }
}

// A forwarded message stays a file: parsing messages inside messages multiplies memory.
const parse = (bytes: ArrayBuffer): Promise<Email> =>
  PostalMime.parse(bytes, { forceRfc822Attachments: true, maxNestingDepth: 64, maxHeadersSize: 1024 * 1024 })

/** HTML that would show something: text or a picture. */
const hasSubstance = (html: string) => html.includes('<img') || textOf(html) !== ''

function written(mail: Email): number | null {
  const at = Date.parse(mail.date ?? '')
  return Number.isNaN(at) ? null : at
}

function people(addresses: readonly Address[]): Person[] {
  return addresses
    .flatMap((one) => one.group ?? [one])
    .slice(0, mostAddresses)
    .map(({ name, address }) => ({ name: visible(name, 200), address: visible(address, 320) }))
    .filter(({ name, address }) => name || address)
}

const endings: Record<string, string> = {
  'application/pdf': '.pdf',
  'image/jpeg': '.jpg',
  'image/png': '.png',
  'image/gif': '.gif',
  'text/plain': '.txt',
  'text/html': '.html',
  'text/calendar': '.ics',
  'message/rfc822': '.eml',
}

/** `position` counts from 1, for a file without a name. */
function fileOf(attachment: Attachment, position: number, number: number | undefined, sizes: readonly number[]): LetterFile | undefined {
  const size = number === undefined ? undefined : sizes[number]
  if (number === undefined || size === undefined) return undefined
  const declared = attachment.mimeType
  const type = /^[a-z0-9][\w.+-]{0,60}\/[a-z0-9][\w.+-]{0,90}$/i.test(declared) ? declared : 'application/octet-stream'
  const name = safeFileName(attachment.filename ?? '') || `${position}${endings[type] ?? ''}`
  return { number, name, type, size }
}
