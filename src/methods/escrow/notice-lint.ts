/** Checks that a notice or code mail does not look like phishing: the rules of the portal's specification, for tests and editors. */
import { getDomain } from 'tldts'
import { domainOf, parseMailboxes } from '../../mail/address.ts'
import { contentType, transferEncoding } from '../../mail/content-type.ts'
import { decodeWords, field, type Header, parseHeader, splitHeader } from '../../mail/header.ts'

/** What filters look for on a foreign domain, in the languages we write. */
const forbidden = [
  /secure (?:message|e-?mail)/i,
  /\bencrypt/i,
  /\bportal\b/i,
  /click here/i,
  /(?:read|view|open) (?:the|your) (?:message|e-?mail|document)/i,
  /\b(?:enter|confirm|verify|update) your (?:password|account|identity|data)/i,
  /\b(?:urgent|immediately|act now|suspended|final notice|within 24 hours)\b/i,
  /sichere (?:nachricht|e-?mail)/i,
  /verschlüssel/i,
  /(?:hier|jetzt) klicken|klicken sie hier/i,
  /nachricht (?:lesen|anzeigen|öffnen)/i,
  /(?:geben|bestätigen) sie ihr (?:passwort|kennwort|konto)/i,
  /\b(?:dringend|sofort|unverzüglich|gesperrt)\b/i,
]

const link = /https?:\/\/[^\s<>"']+/g

/** What is wrong with the mail, one sentence each; empty when nothing is. `raw` is the whole content. */
export function lintNotice(raw: Buffer, kind: 'notice' | 'code' = 'notice'): string[] {
  const { header, parts } = read(raw)
  const text = parts[0]
  const html = parts.find(({ type }) => type === 'text/html')
  return [
    ...headerProblems(header, kind),
    ...partProblems(parts),
    ...(text === undefined ? [] : linkProblems(header, kind, text.text, html?.text)),
    ...wordProblems(decodeWords(field(header, 'Subject') ?? ''), text?.text ?? '', html?.text ?? ''),
  ]
}

type Part = { readonly type: string; readonly encoding: string; readonly disposition: string; readonly text: string }

function headerProblems(header: Header, kind: 'notice' | 'code'): string[] {
  const problems: string[] = []
  const need = (fine: boolean, text: string) => fine || problems.push(text)
  const [from] = parseMailboxes(field(header, 'From') ?? '')
  need(from !== undefined && from.name !== '', 'From names nobody')
  need(field(header, 'Auto-Submitted') === 'auto-generated', 'Auto-Submitted is not auto-generated')
  need(field(header, 'Date') !== undefined && field(header, 'Message-ID') !== undefined, 'Date or Message-ID is missing')
  if (kind === 'code') {
    need(
      /^(?:\d{4} \d{4}|[0-9A-Z]{4} [0-9A-Z]{4} [0-9A-Z]{4}) /.test(field(header, 'Subject') ?? ''),
      'the subject does not begin with the code in plain ASCII',
    )
    return problems
  }
  need(field(header, 'Reply-To') !== undefined, 'Reply-To is missing')
  need(field(header, 'In-Reply-To') !== undefined && field(header, 'References') !== undefined, 'In-Reply-To or References is missing')
  need(field(header, 'Expires') !== undefined, 'Expires is missing')
  return problems
}

function partProblems(parts: readonly Part[]): string[] {
  const [first, ...others] = parts
  return [
    ...(first?.type === 'text/plain' ? [] : ['the first part is not text/plain']),
    ...parts.flatMap(({ type, encoding, disposition }) => [
      ...(/^(?:7bit|quoted-printable)$/.test(encoding) ? [] : [`a part is ${encoding}, neither 7bit nor quoted-printable`]),
      ...(/^text\/(?:plain|html)$/.test(type) && !/^attachment/i.test(disposition) ? [] : [`there is an attachment (${type})`]),
    ]),
    ...(others.length > 1 ? ['there are more than two parts'] : []),
  ]
}

function linkProblems(header: Header, kind: 'notice' | 'code', text: string, html: string | undefined): string[] {
  const found = text.match(link) ?? []
  if (kind === 'code') return found.length === 0 && html?.match(link) == null ? [] : ['a code mail holds a link']
  const problems: string[] = []
  const need = (fine: boolean, said: string) => fine || problems.push(said)
  const [only = ''] = found
  need(found.length === 1, `there are ${found.length} links in the text, not one`)
  need(only.length <= 76, `the link has ${only.length} characters, more than 76`)
  need(text.split(/\r?\n/).includes(only), 'the link is not on a line of its own')
  need(alignedWith(header, only), 'the link is not on the domain of From')
  need(hostSaid(text, only), 'the text does not say the way around the link')
  if (html === undefined) return problems
  const anchors = [...html.matchAll(/<a\b[^>]*href="([^"]*)"[^>]*>([^<]*)<\/a>/gi)]
  need(
    anchors.length === 1 && anchors[0]?.[1] === only && anchors[0]?.[2] === only,
    'the HTML part’s link is not one, or reads otherwise than it leads',
  )
  need(
    !/<(?:img|script|link|iframe|form|object|video|audio)\b|\bsrc=|url\(|@import/i.test(html),
    'the HTML part holds an image, script, form or something remote',
  )
  return problems
}

/** The same registrable domain; a link to this machine (demo, tests) has none. */
function alignedWith(header: Header, url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  if (host === 'localhost' || /^[\d.]+$|^\[/.test(host)) return true
  const [from] = parseMailboxes(field(header, 'From') ?? '')
  const domain = domainOf(from?.address ?? '')
  return domain !== '' && (getDomain(host) ?? host) === (getDomain(domain) ?? domain)
}

/** The host stands in the text once more, to be typed. */
const hostSaid = (text: string, url: string) => URL.canParse(url) && text.replaceAll(url, '').includes(new URL(url).host)

function wordProblems(subject: string, text: string, html: string): string[] {
  const [url = ''] = text.match(link) ?? []
  const host = URL.canParse(url) ? new URL(url).host : url
  const said = [subject, text, html].map((part) => part.replaceAll(url, ' ').replaceAll(host, ' ').replace(/\s+/g, ' '))
  return forbidden.flatMap((words) => {
    const found = said.map((part) => words.exec(part)?.[0]).find((one) => one !== undefined)
    return found === undefined ? [] : [`it says “${found}”, as phishing does`]
  })
}

function read(raw: Buffer): { header: Header; parts: Part[] } {
  const { header: block, bodyStart } = splitHeader(raw)
  const header = parseHeader(block)
  const body = raw.subarray(bodyStart)
  const { type, parameters } = contentType(header)
  if (!type.startsWith('multipart/')) return { header, parts: [readPart(header, body)] }
  const pieces = `\r\n${body.toString('latin1')}`.split(`\r\n--${parameters.boundary ?? ''}`).slice(1, -1)
  return {
    header,
    parts: pieces.flatMap((piece) => read(Buffer.from(piece.replace(/^[ \t]*\r\n/, ''), 'latin1')).parts),
  }
}

function readPart(header: Header, body: Buffer): Part {
  const encoding = transferEncoding(header)
  return {
    type: contentType(header).type,
    encoding,
    disposition: field(header, 'Content-Disposition') ?? 'inline',
    text: encoding === 'quoted-printable' ? unquote(body.toString('latin1')) : body.toString(),
  }
}

/** RFC 2045 §6.7. */
const unquote = (text: string): string =>
  Buffer.from(
    text.replace(/=[ \t]*\r?\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString()
