/** A mail, byte for byte as it was sent, read into what the page shows. Runs in the worker only: its input is hostile. */
import PostalMime, { type Address, type Attachment, type Email } from 'postal-mime'
import type { LetterContent, LetterFile, Person } from './content.ts'
import { safeFileName, visible } from './file-name.ts'
import { bytesOf, picturesOf } from './pictures.ts'
import { sanitise, textOf } from './sanitise.ts'

const htmlLimit = 1024 * 1024
const textLimit = 512 * 1024
const mostFiles = 200
const mostAddresses = 100

/** Reads the whole mail; throws what postal-mime throws when its limits are met. */
export async function readLetter(bytes: ArrayBuffer): Promise<LetterContent> {
  const mail = await parse(bytes)
  const pictures = picturesOf(mail.attachments)
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
    shortened: tooLong || text.length > textLimit,
    files: mail.attachments
      .map((one, number) => ({ one, file: fileOf(one, number) }))
      .filter(({ one }) => html === null || one.disposition === 'attachment' || !pictures.used.has(one))
      .slice(0, mostFiles)
      .map(({ file }) => file),
  }
}

/** One attachment by its number in `files`; undefined when there is none. */
export async function readFile(bytes: ArrayBuffer, number: number): Promise<{ name: string; bytes: ArrayBuffer } | undefined> {
  const attachment = (await parse(bytes)).attachments[number]
  return attachment && { name: fileOf(attachment, number).name, bytes: bytesOf(attachment) }
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

function fileOf(attachment: Attachment, number: number): LetterFile {
  const declared = attachment.mimeType
  const type = /^[a-z0-9][\w.+-]{0,60}\/[a-z0-9][\w.+-]{0,90}$/i.test(declared) ? declared : 'application/octet-stream'
  const name = safeFileName(attachment.filename ?? '') || `${number + 1}${endings[type] ?? ''}`
  return { number, name, type, size: bytesOf(attachment).byteLength }
}
