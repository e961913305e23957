/** Composes the mail that goes with a letter: the notice with its link, the code, and the word to a sender that a reader is not meant. */
import { needsSmtpUtf8 } from '../../mail/address.ts'
import { compose } from '../../mail/compose.ts'
import { oneLine } from '../../mail/header.ts'
import { newMessageId } from '../../mail/id.ts'
import type { Settings } from '../../ops/settings.ts'
import type { Original } from '../../spool/spool.ts'
import { type LanguageName, languages, longDate, type Paragraph } from './notice-text.ts'

export { lintNotice } from './notice-lint.ts'

/** The letter a mail is about, as far as mail may tell of it. */
export type NoticeLetter = {
  readonly id: string
  readonly reference: string
  readonly address: string
  readonly senderName: string
  readonly senderAddress: string
  readonly expiresAt: number
  /** Of the message that became a letter. */
  readonly messageId: string
  readonly references: string
  /** First one first; never empty. */
  readonly languages: readonly LanguageName[]
}

export type MailParts = { readonly settings: Settings; readonly clock: () => number }

/** The notice, ready for `spool.draft`. `subject` is the message's own where the rule allows to show it. */
export async function composeNotice(
  { settings, clock }: MailParts,
  letter: NoticeLetter,
  { secret, code, subject }: { readonly secret: string; readonly code: boolean; readonly subject?: string | undefined },
): Promise<Original> {
  const [first = 'en', ...below] = letter.languages
  const words = {
    sender: senderOf(letter),
    organisation: organisationOf(settings),
    link: linkTo(settings, secret),
    host: new URL(settings['portal.url']).host,
    expiresAt: letter.expiresAt,
    reference: letter.reference,
    code,
  }
  const parts = [languages[first].notice(words), ...below.map((name) => languages[name].noticeBelow(words))]
  const messageId = newMessageId(settings.hostname)
  const neutral = languages[first].noticeSubject(words.organisation)
  const content = await compose({
    from: { name: displayName(letter, words.organisation), address: settings['notice.from'] },
    to: [{ name: '', address: letter.address }],
    ...(repliable(letter) && { replyTo: { name: plainName(letter.senderName), address: letter.senderAddress } }),
    subject: oneLine(subject ?? '') || oneLine(neutral),
    text: parts.map(asText).join('\n'),
    html: asHtml(first, parts),
    messageId,
    date: clock(),
    autoSubmitted: 'auto-generated',
    ...threadOf(letter),
    fields: { Expires: rfc5322Date(letter.expiresAt) },
  })
  return original(settings, {
    kind: 'notice',
    about: letter.id,
    messageId,
    to: letter.address,
    content,
    steps: [{ method: 'opportunistic', options: { notice: true } }],
  })
}

/** The code mail: no link in it, the code first in its subject. `code` as shown: `4829 1306`. */
export async function composeCode(
  { settings, clock }: MailParts,
  letter: NoticeLetter,
  { code, words }: { readonly code: string; readonly words: string },
): Promise<Original> {
  const language = languages[letter.languages[0] ?? 'en']
  const told = { sender: senderOf(letter), code, words, reference: letter.reference }
  const messageId = newMessageId(settings.hostname)
  const content = await compose({
    from: { name: organisationOf(settings), address: settings['notice.from'] },
    to: [{ name: '', address: letter.address }],
    subject: language.codeSubject(told),
    text: asText(language.code(told)),
    messageId,
    date: clock(),
    autoSubmitted: 'auto-generated',
  })
  return original(settings, {
    kind: 'code',
    about: letter.id,
    messageId,
    to: letter.address,
    content,
    steps: [{ method: 'opportunistic', options: { notice: true, code: true } }],
  })
}

/** Tells the sender that a reader pressed "Not you? Tell us". */
export async function composeNotMe({ settings, clock }: MailParts, letter: NoticeLetter): Promise<Original> {
  const name = letter.languages[0] ?? 'en'
  const { subject, text } = languages[name].notMe({
    address: letter.address,
    reference: letter.reference,
    until: longDate(name, letter.expiresAt),
  })
  return senderMail({ settings, clock }, letter, subject, text)
}

/** Link and words of a letter for its sender, to be given to the reader; by the organisation's own route only. */
export async function composeHandOver(
  { settings, clock }: MailParts,
  letter: NoticeLetter,
  { secret, words }: { readonly secret: string; readonly words: string },
): Promise<Original> {
  const { subject, text } = languages[letter.languages[0] ?? 'en'].handOver({
    ...{ address: letter.address, reference: letter.reference, expiresAt: letter.expiresAt },
    ...{ link: linkTo(settings, secret), words },
  })
  return senderMail({ settings, clock }, letter, subject, text)
}

/** Mail to the sender of a letter, by the organisation's route. */
async function senderMail(
  { settings, clock }: MailParts,
  letter: NoticeLetter,
  subject: string,
  text: readonly Paragraph[],
): Promise<Original> {
  const messageId = newMessageId(settings.hostname)
  const content = await compose({
    from: { name: organisationOf(settings), address: settings['notice.from'] },
    to: [{ name: '', address: letter.senderAddress }],
    subject,
    text: asText(text),
    messageId,
    date: clock(),
    autoSubmitted: 'auto-generated',
    ...threadOf(letter),
  })
  return original(settings, {
    kind: 'sender-mail',
    about: letter.id,
    messageId,
    to: letter.senderAddress,
    content,
    steps: [{ method: 'route', options: {} }],
  })
}

/** The address of a letter: the secret is in the path, because fragments and `=` do not survive link rewriters. */
export const linkTo = (settings: Settings, secret: string): string => `${settings['portal.url'].replace(/\/+$/, '')}/m/${secret}`

/** The organisation's name, else the domain that its notices come from. */
export const organisationOf = (settings: Settings): string =>
  plainName(settings['organisation.name']) || settings['notice.from'].slice(settings['notice.from'].lastIndexOf('@') + 1)

/** How the sender is called: a name that poses as an address is none. */
const senderOf = ({ senderName, senderAddress }: NoticeLetter): string => plainName(senderName) || senderAddress

function displayName(letter: NoticeLetter, organisation: string): string {
  const name = plainName(letter.senderName)
  return name === '' || name === organisation ? organisation : `${name}, ${organisation}`
}

/** A foreign name fit to be shown: no control or bidi characters, no address, no link. */
function plainName(name: string): string {
  const plain = oneLine(name.replace(/\p{Cf}/gu, '')).slice(0, 80)
  return /@|:\/\//.test(plain) ? '' : plain
}

function original(
  settings: Settings,
  { to, ...mail }: Pick<Original, 'kind' | 'about' | 'messageId' | 'content' | 'steps'> & { readonly to: string },
): Original {
  const from = settings['notice.from']
  return {
    ...mail,
    headerFrom: from,
    envelope: { reversePath: from, recipients: [{ address: to, notify: [], bcc: false }], body: '7bit', smtpUtf8: needsSmtpUtf8(to) },
  }
}

/** An address beyond ASCII (RFC 6532) in the header would make the notice undeliverable to a host that knows only ASCII. */
const repliable = ({ senderAddress, address }: NoticeLetter): boolean =>
  senderAddress !== '' && (!needsSmtpUtf8(senderAddress) || needsSmtpUtf8(address))

/** In-Reply-To, and the original's References with itself (RFC 5322 §3.6.4), the oldest dropped beyond twenty; only what is well-formed. */
function threadOf({ references, messageId }: NoticeLetter): { inReplyTo?: string; references?: string[] } {
  const ids: readonly string[] = `${references} ${messageId}`.match(/<[!-;=?-~]{1,250}>/g) ?? []
  return ids.includes(messageId) ? { inReplyTo: messageId, references: ids.slice(-20) } : {}
}

/** RFC 5322 §3.3. */
const rfc5322Date = (at: number): string => new Date(at).toUTCString().replace('GMT', '+0000')

function asText(paragraphs: readonly Paragraph[]): string {
  const lines = paragraphs.map((one) => ('text' in one ? wrap(one.text) : 'link' in one ? one.link : one.line))
  // What introduces the link stands directly above it.
  return lines
    .map((line, index) => `${line}\n${paragraphs[index + 1] !== undefined && 'link' in (paragraphs[index + 1] ?? {}) ? '' : '\n'}`)
    .join('')
}

function wrap(text: string): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= 72) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.join('\n')
}

function asHtml(language: LanguageName, parts: readonly (readonly Paragraph[])[]): string {
  const body = parts.map((paragraphs) => paragraphs.map(htmlParagraph).join('\n')).join('\n<hr>\n')
  return `<!DOCTYPE html>\n<html lang="${language}">\n<head><meta charset="utf-8"><title></title></head>\n<body style="font-family:sans-serif;font-size:16px;line-height:1.5;max-width:36em">\n${body}\n</body>\n</html>\n`
}

function htmlParagraph(one: Paragraph): string {
  if ('link' in one) return `<p><a href="${escapeHtml(one.link)}">${escapeHtml(one.link)}</a></p>`
  return `<p dir="auto">${escapeHtml('text' in one ? one.text : one.line)}</p>`
}

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
