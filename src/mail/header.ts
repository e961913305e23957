/** Header fields (RFC 5322 §2.2) read without losing a byte, and written without ever letting a line break in. */
import { bytesToText, decodeWords, encodeWords } from './words.ts'

export { decodeWords }

/** One field. `value` is unfolded and trimmed but not decoded; `raw` is every byte of it with its line end. A line that is no field has name ''. */
export type Field = { readonly name: string; readonly value: string; readonly raw: Buffer }

/** All fields in order; their `raw` joined is the block they were read from. */
export type Header = readonly Field[]

const lf = 0x0a
const cr = 0x0d

/** The fields of a header block (with or without the empty line after it); LF alone also ends a line. */
export function parseHeader(block: Buffer): Header {
  const found: Field[] = []
  for (let at = 0; at < block.length; ) {
    const end = fieldEnd(block, at)
    found.push(fieldOf(block.subarray(at, end)))
    at = end
  }
  // Only the empty line itself is no field: a last line of white space is kept, byte for byte.
  return /^\r?\n$/.test(found.at(-1)?.raw.toString('latin1') ?? '') ? found.slice(0, -1) : found
}

/** Past the field's last line: RFC 5322 §2.2.3, a line that begins with white space continues the one before. */
function fieldEnd(block: Buffer, from: number): number {
  for (let at = from; ; ) {
    const end = block.indexOf(lf, at)
    if (end === -1) return block.length
    const next = block[end + 1]
    if (next !== 0x20 && next !== 0x09) return end + 1
    at = end + 1
  }
}

function fieldOf(raw: Buffer): Field {
  const text = bytesToText(raw)
  const [whole, name = ''] = /^([!-9;-~]+)[ \t]*:/.exec(text) ?? ['']
  return {
    name,
    value: text
      .slice(whole.length)
      .replace(/\r?\n(?=[ \t])/g, '')
      .trim(),
    raw,
  }
}

/** The value of the first field of that name, in any case; undefined when there is none. */
export const field = (header: Header, name: string): string | undefined => fields(header, name)[0]

/** The values of all fields of that name, in any case and in order. */
export const fields = (header: Header, name: string): string[] => named(header, name).map((one) => one.value)

/** The fields of that name, in any case and in order. */
export const named = (header: Header, name: string): Field[] => {
  const wanted = name.toLowerCase()
  return header.filter((one) => one.name.toLowerCase() === wanted)
}

/**
 * The header block of a content (its last line end included, the empty line not) and where the body begins.
 * Without an empty line everything is header.
 */
export function splitHeader(content: Buffer): { header: Buffer; bodyStart: number } {
  for (let at = 0; at < content.length; ) {
    if (content[at] === lf) return { header: content.subarray(0, at), bodyStart: at + 1 }
    if (content[at] === cr && content[at + 1] === lf) return { header: content.subarray(0, at), bodyStart: at + 2 }
    const end = content.indexOf(lf, at)
    if (end === -1) break
    at = end + 1
  }
  return { header: content, bodyStart: content.length }
}

/**
 * One field ready to send, folded at white space, CRLF at its end; more than ASCII becomes encoded words.
 * Throws RangeError for a name or value that could break the header (CR, LF, NUL): whoever builds a field from foreign text cleans it first.
 */
export function formatField(name: string, value: string): string {
  if (!/^[!-9;-~]+$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is not a header field name`)
  if (/[\r\n\0]/.test(value)) throw new RangeError(`the value of ${name} holds a line break or NUL`)
  return `${fold(`${name}: ${encodeWords(value)}`)}\r\n`
}

/** As formatField, for a value whose words are encoded already or need no encoding: addresses, ids, parameters. ASCII only. */
export function formatStructured(name: string, value: string): string {
  if (!/^[!-9;-~]+$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is not a header field name`)
  if (!/^[\t\x20-\x7e]*$/.test(value)) throw new RangeError(`the value of ${name} is not of printable ASCII`)
  return `${fold(`${name}: ${value}`)}\r\n`
}

/** Foreign text made fit for formatField: control characters become spaces. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()

/** A mailbox as it stands in From or To (RFC 5322 §3.4); the name quoted or encoded as needed. */
export function formatMailbox({ name, address }: { readonly name: string; readonly address: string }): string {
  if (name === '') return address
  const phrase = encodeWords(name)
  if (phrase !== name || /^[A-Za-z0-9 !#$%&'*+\-/=?^_`{|}~]+$/.test(name)) return `${phrase} <${address}>`
  return `"${name.replace(/["\\]/g, '\\$&')}" <${address}>`
}

/** RFC 5322 §2.1.1: lines of at most 78 characters where white space allows it. Each line keeps some text: no line of mere white space. */
function fold(line: string): string {
  const [name = '', first = '', ...rest] = line.split(/(?<=\S)(?=[ \t]+\S)/)
  let folded = name + first
  let length = folded.length
  for (const piece of rest) {
    const full = length + piece.length > 78
    folded += full ? `\r\n${piece}` : piece
    length = full ? piece.length : length + piece.length
  }
  return folded
}
