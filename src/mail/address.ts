/** A mail address in the one form in which this house stores and compares it. */
import { isIPv4, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'
import { decodeWords } from './words.ts'

/** One mailbox of a From, To or Cc field: the name as people read it, the address in canonical form. */
export type Mailbox = { readonly name: string; readonly address: string }

/** RFC 3696 erratum 1690: a path is at most 256 octets, two of them angle brackets. */
const longestAddress = 254

/**
 * The canonical form of `local@domain` (RFC 5321 §4.1.2, RFC 6531 §3.3), or undefined when it is not an address.
 * Domain: lower-case A-labels, `[1.2.3.4]` or `[IPv6:…]`. Local part: kept as it is, its case too, but unquoted when it is a dot-atom.
 */
export function parseAddress(text: string): string | undefined {
  if (text.length > longestAddress || /\p{Cs}/u.test(text)) return undefined
  const at = text.lastIndexOf('@')
  if (at < 1) return undefined
  const local = canonicalLocal(text.slice(0, at))
  const domain = canonicalDomain(text.slice(at + 1))
  if (local === undefined || domain === undefined) return undefined
  const address = `${local}@${domain}`
  return Buffer.byteLength(address) > longestAddress ? undefined : address
}

/** The part after the last `@`; '' for the null reverse-path. */
export const domainOf = (address: string): string => (address.includes('@') ? address.slice(address.lastIndexOf('@') + 1) : '')

/** RFC 6531 §3.4: the address can travel only to a host that offers SMTPUTF8. The domain never needs it: it is stored as A-labels. */
export const needsSmtpUtf8 = (address: string): boolean => /[^\x00-\x7f]/.test(address)

/** `m•••@lab.example`: what pages may show before the code. A local part of one character is hidden whole. */
export function maskAddress(address: string): string {
  const [first = '', second] = address.slice(0, address.lastIndexOf('@')).replace(/^"/, '')
  return `${second === undefined ? '' : first}•••@${domainOf(address)}`
}

/** Does `domain` fall under `pattern`: itself, or for `*.x` any name below x (not x itself)? The pattern may be in any case or U-labels. */
export function matchesDomain(pattern: string, domain: string): boolean {
  const below = pattern.startsWith('*.')
  const base = canonicalDomain(below ? pattern.slice(2) : pattern)
  const name = canonicalDomain(domain)
  if (base === undefined || name === undefined) return false
  return below ? name.endsWith(`.${base}`) : name === base
}

/** The canonical form of a domain or address literal, or undefined: lower case, A-labels, no trailing dot, at most 253 characters. */
export function canonicalDomain(text: string): string | undefined {
  if (text.startsWith('[')) return canonicalLiteral(text)
  if (/[\x00-,/:-@[-^`{-\x7f]/.test(text)) return undefined
  const lower = text.toLowerCase()
  // domainToASCII also reads numbers as IPv4 addresses: pure ASCII names without A-labels do not go through it.
  const ascii = /[^\x00-\x7f]|xn--/.test(lower) ? domainToASCII(lower) : lower
  if (ascii.length > 253 || !/^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(ascii))
    return undefined
  return /(?:^|\.)\d+$/.test(ascii) ? undefined : ascii
}

function canonicalLiteral(text: string): string | undefined {
  const inner = /^\[(.+)\]$/.exec(text)?.[1]
  if (inner === undefined) return undefined
  if (isIPv4(inner)) return `[${inner}]`
  const six = /^ipv6:(.+)$/i.exec(inner)?.[1]
  if (six === undefined || six.includes('%') || !isIPv6(six)) return undefined
  return `[IPv6:${new URL(`http://[${six}]`).hostname.slice(1, -1)}]`
}

/** RFC 5322 §3.2.3 atext, widened by RFC 6532 §3.2; without the space-like and control characters beyond ASCII. */
const dotAtom =
  /^(?:[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|(?![\p{Z}\p{C}])[^\x00-\x7f])+(?:\.(?:[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|(?![\p{Z}\p{C}])[^\x00-\x7f])+)*$/u

function canonicalLocal(text: string): string | undefined {
  if (dotAtom.test(text)) return text
  if (!/^"(?:[^"\\]|\\.)*"$/su.test(text)) return undefined
  const inner = text.slice(1, -1).replace(/\\(.)/gsu, '$1')
  if (/[\p{Cc}\u2028\u2029]/u.test(inner)) return undefined
  return dotAtom.test(inner) ? inner : `"${inner.replace(/["\\]/g, '\\$&')}"`
}

/**
 * The mailboxes of an address list (RFC 5322 §3.4 with groups, comments and the obsolete route), names decoded.
 * What is not a mailbox, or could be read as two, is left out: nobody should be able to hide behind a broken field.
 */
export function parseMailboxes(headerValue: string): Mailbox[] {
  return items(tokens(headerValue)).flatMap((item) => {
    const mailbox = mailboxOf(item)
    return mailbox === undefined ? [] : [mailbox]
  })
}

/** `open` and `close` are angle brackets; `space` is white space or a comment. */
type Token = {
  readonly kind: 'text' | 'quoted' | 'literal' | 'space' | 'open' | 'close' | 'comma' | 'colon' | 'semicolon'
  readonly text: string
}

const special = { '<': 'open', '>': 'close', ',': 'comma', ':': 'colon', ';': 'semicolon' } as const

function tokens(value: string): Token[] {
  const found: Token[] = []
  for (let at = 0; at < value.length; ) {
    const char = value[at] as string
    if (char in special) found.push({ kind: special[char as keyof typeof special], text: char })
    else if (char === '(') found.push({ kind: 'space', text: enclosed(value, at, '(', ')') })
    else if (char === '"') found.push({ kind: 'quoted', text: enclosed(value, at, '', '"') })
    else if (char === '[') found.push({ kind: 'literal', text: enclosed(value, at, '', ']') })
    else found.push(/\s/.test(char) ? { kind: 'space', text: char } : { kind: 'text', text: run(value, at) })
    at += found.at(-1)?.text.length ?? 1
  }
  return found
}

const stop = /[\s<>,:;("[]/g

function run(value: string, from: number): string {
  stop.lastIndex = from + 1
  return value.slice(from, stop.exec(value)?.index ?? value.length)
}

/** From the opening character to its closing one, both included; comments nest; a backslash hides the next character. */
function enclosed(value: string, from: number, open: string, close: string): string {
  let depth = 1
  for (let at = from + 1; at < value.length; at++) {
    const char = value[at]
    if (char === '\\') at++
    else if (char === close) depth--
    else if (char === open) depth++
    if (depth === 0) return value.slice(from, at + 1)
  }
  return value.slice(from)
}

/** Cut the list at commas and semicolons outside angle brackets; a group's name ends at its colon. */
function items(list: readonly Token[]): Token[][] {
  const cut: Token[][] = [[]]
  let inside = false
  for (const token of list) {
    if (token.kind === 'open') inside = true
    if (token.kind === 'close') inside = false
    if (!inside && (token.kind === 'comma' || token.kind === 'semicolon')) cut.push([])
    else if (!inside && token.kind === 'colon') cut[cut.length - 1] = []
    else cut.at(-1)?.push(token)
  }
  return cut
}

function mailboxOf(item: readonly Token[]): Mailbox | undefined {
  const open = item.findIndex((token) => token.kind === 'open')
  if (open === -1) return bare(item)
  const close = item.findIndex((token) => token.kind === 'close')
  if (close < open || item.slice(close + 1).some((token) => token.kind !== 'space')) return undefined
  const inner = item.slice(open + 1, close)
  // RFC 5322 §4.4: an obsolete source route before the address means nothing.
  const route = inner.findLastIndex((token) => token.kind === 'colon')
  const address = parseAddress(spelled(route !== -1 && inner[0]?.text.startsWith('@') ? inner.slice(route + 1) : inner))
  return address === undefined ? undefined : { name: nameOf(item.slice(0, open)), address }
}

function bare(item: readonly Token[]): Mailbox | undefined {
  const words = item
    .map((token) => (token.kind === 'space' ? ' ' : token.text))
    .join('')
    .trim()
  if (/\s/.test(words.replace(/^"(?:[^"\\]|\\.)*"/s, ''))) return undefined
  const address = parseAddress(words)
  return address === undefined ? undefined : { name: '', address }
}

const spelled = (list: readonly Token[]) =>
  list
    .filter((token) => token.kind !== 'space')
    .map((token) => token.text)
    .join('')

function nameOf(phrase: readonly Token[]): string {
  const words = phrase.map((token) => {
    if (token.kind === 'space') return ' '
    return token.kind === 'quoted' ? token.text.replace(/^"|"$/g, '').replace(/\\(.)/gs, '$1') : token.text
  })
  return decodeWords(words.join('')).replace(/\s+/g, ' ').trim()
}
