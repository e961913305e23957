/** The Content-Type field (RFC 2045 §5.1): what kind of thing a body is. */
import { field, type Header } from './header.ts'

/** `type` is lower-case `major/minor`; parameter names are lower case, values as given. */
export type ContentType = { readonly type: string; readonly parameters: { readonly [name: string]: string } }

/** The Content-Type of an entity; text/plain when it has none or an unreadable one (RFC 2045 §5.2). */
export function contentType(header: Header): ContentType {
  const known = read.get(header) ?? parseContentType(field(header, 'Content-Type') ?? '')
  read.set(header, known)
  return known
}

/** The facts of one message ask for it six times, and a hostile one has thousands of parameters. */
const read = new WeakMap<Header, ContentType>()

/** Read a field value. Of a parameter given twice the first counts. Comments are skipped. */
export function parseContentType(value: string): ContentType {
  const text = value.replace(/\([^()]*\)/g, ' ')
  const type = /^\s*([!#-'*+\-.0-9A-Z^-~]+\/[!#-'*+\-.0-9A-Z^-~]+)\s*(?:;|$)/i.exec(text)
  if (type?.[1] === undefined) return { type: 'text/plain', parameters: {} }
  return { type: type[1].toLowerCase(), parameters: readParameters(text.slice(type[0].length)) }
}

/** One parameter, with or without a value, or one stray character; sticky, so that each byte is looked at once. */
const parameter = /[;\s]*(?:([^\s=;"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*)))?|["=]|$)/gsy

function readParameters(text: string): { [name: string]: string } {
  const parameters: { [name: string]: string } = Object.create(null)
  for (const [, name, quoted, token] of text.matchAll(parameter)) {
    if (name !== undefined) parameters[name.toLowerCase()] ??= quoted === undefined ? (token ?? '') : quoted.replace(/\\(.)/gs, '$1')
  }
  return parameters
}

/** The Content-Transfer-Encoding, lower case; 7bit when not given (RFC 2045 §6.1). */
export const transferEncoding = (header: Header): string =>
  (field(header, 'Content-Transfer-Encoding') ?? '7bit')
    .replace(/\([^()]*\)/g, '')
    .trim()
    .toLowerCase()
