/** Reads the arguments of MAIL and RCPT: one canonical address and the parameters that we announced; everything else is refused. */
import { parseAddress } from '../mail/address.ts'
import type { Notify } from '../mail/envelope.ts'
import { type Reply, reply } from './reply.ts'

export type MailArgument = {
  /** Canonical; '' is the null reverse-path. */
  readonly reversePath: string
  /** Octets as the client announced them (RFC 1870); undefined: not said. */
  readonly size: number | undefined
  readonly smtpUtf8: boolean
  readonly ret?: 'FULL' | 'HDRS'
  /** Still in xtext. */
  readonly envid?: string
}

export type RcptArgument = {
  readonly address: string
  readonly notify: readonly Notify[]
  /** `rfc822;…`, still in xtext. */
  readonly orcpt?: string
}

type Read<T> = { readonly kind: 'read'; readonly value: T } | { readonly kind: 'refused'; readonly reply: Reply }
const read = <T>(value: T): Read<T> => ({ kind: 'read', value })
const refused = (code: number, status: string, text: string): Read<never> => ({ kind: 'refused', reply: reply(code, status, text) })

/** What follows `MAIL `: `FROM:<path> parameters` (RFC 5321 §4.1.1.2, RFC 1870, RFC 6152, RFC 6531, RFC 3461 §4.3 and §4.4). */
export function readMail(argument: string): Read<MailArgument> {
  const cut = cutPath('FROM', argument)
  if (cut === undefined) return refused(501, '5.5.4', 'Write it as MAIL FROM:<user@example.org>, or MAIL FROM:<> for a report')
  const found = parameters(cut.rest, ['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID', 'AUTH'])
  if (found.kind === 'refused') return found
  const { SIZE, BODY, SMTPUTF8, RET, ENVID } = found.value
  if (SIZE !== undefined && !/^\d{1,20}$/.test(SIZE)) return refused(501, '5.5.4', 'SIZE must be a number of octets')
  if (BODY !== undefined && !/^(?:7BIT|8BITMIME)$/i.test(BODY)) return refused(501, '5.5.4', 'BODY must be 7BIT or 8BITMIME')
  if (SMTPUTF8 !== undefined && SMTPUTF8 !== '') return refused(501, '5.5.4', 'SMTPUTF8 takes no value')
  if (RET !== undefined && !/^(?:FULL|HDRS)$/i.test(RET)) return refused(501, '5.5.4', 'RET must be FULL or HDRS')
  if (ENVID !== undefined && (ENVID.length > 100 || !isXtext(ENVID)))
    return refused(501, '5.5.4', 'ENVID must be xtext of 1 to 100 characters')
  const smtpUtf8 = SMTPUTF8 !== undefined
  const address = canonical(cut.path, smtpUtf8, '5.1.7', 'sender')
  if (address.kind === 'refused') return address
  return read({
    reversePath: address.value,
    size: SIZE === undefined ? undefined : Number(SIZE),
    smtpUtf8,
    ...(RET === undefined ? {} : { ret: RET.toUpperCase() as 'FULL' | 'HDRS' }),
    ...(ENVID === undefined ? {} : { envid: ENVID }),
  })
}

/** What follows `RCPT `: `TO:<path> parameters` (RFC 5321 §4.1.1.3, RFC 3461 §4.1 and §4.2). `postmaster`: whom a bare <Postmaster> means. */
export function readRcpt(
  argument: string,
  { smtpUtf8, postmaster }: { smtpUtf8: boolean; postmaster: string | undefined },
): Read<RcptArgument> {
  const cut = cutPath('TO', argument)
  if (cut === undefined || cut.path === '') return refused(501, '5.5.4', 'Write it as RCPT TO:<user@example.org>')
  const found = parameters(cut.rest, ['NOTIFY', 'ORCPT'])
  if (found.kind === 'refused') return found
  const { NOTIFY, ORCPT } = found.value
  const notify = NOTIFY === undefined ? [] : readNotify(NOTIFY)
  if (notify === undefined) return refused(501, '5.5.4', 'NOTIFY must be NEVER, or some of SUCCESS,FAILURE,DELAY')
  if (ORCPT !== undefined && !isOriginalRecipient(ORCPT))
    return refused(501, '5.5.4', 'ORCPT must be an address type, a semicolon and xtext')
  const path = cut.path.toLowerCase() === 'postmaster' ? postmaster : cut.path
  if (path === undefined) return refused(550, '5.1.1', 'There is no postmaster here until organisation.domains is set; give a full address')
  const address = canonical(path, smtpUtf8, '5.1.3', 'recipient')
  if (address.kind === 'refused') return address
  return read({ address: address.value, notify, ...(ORCPT === undefined ? {} : { orcpt: ORCPT }) })
}

/** The text between the angle brackets (quoted strings may hold any) without its source route, and what follows. */
function cutPath(keyword: string, argument: string): { readonly path: string; readonly rest: string } | undefined {
  const open = new RegExp(`^${keyword} ?: *<`, 'i').exec(argument)?.[0]
  if (open === undefined) return undefined
  const inner = /^(?:[^<>"\\]|"(?:[^"\\]|\\.)*")*/.exec(argument.slice(open.length))?.[0] ?? ''
  const close = open.length + inner.length
  const rest = argument.slice(close + 1)
  if (argument[close] !== '>' || (rest !== '' && !rest.startsWith(' '))) return undefined
  // RFC 5321 §4.1.1.3 and appendix C: a source route is accepted and ignored.
  return { path: inner.replace(/^@[^:"@]*(?:,@[^:"@]*)*:/, ''), rest: rest.trim() }
}

function canonical(path: string, smtpUtf8: boolean, status: string, what: string): Read<string> {
  if (path === '') return read('')
  // RFC 6531 §3.5
  if (!smtpUtf8 && /[^\x00-\x7f]/.test(path))
    return refused(553, '5.6.7', `The ${what} address is not ASCII: say SMTPUTF8 in MAIL, or write its domain as xn--`)
  const address = parseAddress(path)
  if (address === undefined) return refused(501, status, `The ${what} is not an address; write <user@example.org>`)
  return read(address)
}

type Found<Name extends string> = Partial<Record<Name, string>>

/** `KEY=value KEY2`, each at most once and known; RFC 5321 §4.1.1.11: 555 for those we never announced. A keyword alone has the value ''. */
function parameters<Name extends string>(text: string, known: readonly Name[]): Read<Found<Name>> {
  const found: Found<Name> = {}
  for (const one of text.split(/ +/).filter((part) => part !== '')) {
    const [, keyword = '', value] = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=(.+))?$/.exec(one) ?? []
    const name = known.find((candidate) => candidate === keyword.toUpperCase())
    if (keyword === '') return refused(501, '5.5.4', 'A parameter must look like KEYWORD or KEYWORD=value')
    if (name === undefined) return refused(555, '5.5.4', `The parameter ${keyword.slice(0, 40)} is not supported here; leave it out`)
    if (found[name] !== undefined) return refused(501, '5.5.4', `${name} may be given once only`)
    if (value === undefined && name !== 'SMTPUTF8') return refused(501, '5.5.4', `${name} needs a value`)
    found[name] = value ?? ''
  }
  return read(found)
}

function readNotify(text: string): Notify[] | undefined {
  const values = [...new Set(text.toUpperCase().split(','))]
  const known = values.filter((value): value is Notify => ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'].includes(value))
  if (known.length !== values.length || (known.includes('NEVER') && known.length > 1)) return undefined
  return known
}

/** RFC 3461 §4: printable ASCII, `+` only before two hex digits. Control characters are refused even so: they would come out in a DSN. */
const isXtext = (text: string) => /^(?:[!-*,-<>-~]|\+(?:[2-9A-E][0-9A-F]|F[0-9A-F]))+$/.test(text) && !text.includes('+7F')

const isOriginalRecipient = (text: string) => {
  const [, kind, rest] = /^([^;]+);(.+)$/.exec(text) ?? []
  return text.length <= 500 && kind !== undefined && rest !== undefined && /^[A-Za-z0-9-]+$/.test(kind) && isXtext(rest)
}
