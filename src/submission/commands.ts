/** What each SMTP command comes to: its checks in order, refusals first. Nothing here touches a socket. */
import type { Logger } from 'pino'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { type Intakes, type Transaction, tooLarge } from './accept.ts'
import { readMail, readRcpt } from './path.ts'
import type { Client, RelayRules } from './relay.ts'
import { farewell, type Reply, reply } from './reply.ts'
import { refuseForRoom } from './room.ts'
import type { Users } from './users.ts'

export type SubmissionParts = {
  readonly settings: Settings
  readonly spool: Intakes
  readonly users: Users
  readonly rules: RelayRules
  readonly clock: Clock
  readonly log: Logger
}

/** The part of a connection that commands look at and change. */
export type Session = {
  readonly parts: SubmissionParts
  readonly client: Client
  readonly secure: boolean
  readonly user: string | undefined
  /** EHLO or HELO was said. */
  readonly greeted: boolean
  readonly name: string
  hostNameAppearsAs: string | false
  openingCommand: string | false
  transaction: Transaction | undefined
  /** Forget the transaction. */
  readonly _resetSession: () => void
}

export type Answer =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'features'; readonly lines: string[] }
  | { readonly kind: 'start-tls' }
  | { readonly kind: 'auth' }
  | { readonly kind: 'data'; readonly transaction: Transaction }

export type Command = {
  readonly afterHello: boolean
  /** Brings no message nearer: only so many are answered between two messages. */
  readonly idle: boolean
  readonly obey: (session: Session, argument: string) => Answer | Promise<Answer>
}

const say = (code: number, status: string, text: string): Answer => ({ kind: 'reply', reply: reply(code, status, text) })

/** All there is; anything else is not recognised (XCLIENT, XFORWARD and the jokes of smtp-server among it). */
export const commands: { readonly [verb: string]: Command | undefined } = {
  EHLO: { afterHello: false, idle: true, obey: ehlo },
  HELO: { afterHello: false, idle: true, obey: helo },
  STARTTLS: { afterHello: false, idle: true, obey: startTls },
  AUTH: { afterHello: true, idle: true, obey: auth },
  MAIL: { afterHello: true, idle: true, obey: mail },
  RCPT: { afterHello: true, idle: false, obey: rcpt },
  DATA: { afterHello: true, idle: false, obey: data },
  RSET: { afterHello: false, idle: true, obey: rset },
  NOOP: { afterHello: false, idle: true, obey: () => say(250, '2.0.0', 'OK') },
  HELP: {
    afterHello: false,
    idle: true,
    obey: () => say(214, '2.0.0', 'EHLO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY QUIT; see RFC 5321'),
  },
  // RFC 5321 §3.5.3: neither yes nor no.
  VRFY: { afterHello: false, idle: true, obey: () => say(252, '2.5.0', 'Cannot verify an address; send the message and it will be tried') },
  EXPN: { afterHello: false, idle: true, obey: () => say(502, '5.5.1', 'EXPN is not offered here') },
  QUIT: { afterHello: false, idle: false, obey: () => ({ kind: 'reply', reply: farewell(221, '2.0.0', 'Bye') }) },
}

function ehlo(session: Session, argument: string): Answer {
  const refusal = hello(session, 'EHLO', argument)
  if (refusal !== undefined) return refusal
  const { settings } = session.parts
  return {
    kind: 'features',
    lines: [
      `${session.name} at your service`,
      'PIPELINING',
      `SIZE ${settings['smtp.maxMessageSize']}`,
      '8BITMIME',
      'SMTPUTF8',
      'ENHANCEDSTATUSCODES',
      'DSN',
      // RFC 4954 §4: AUTH is offered only where a password is safe.
      ...(session.secure ? (session.user === undefined ? ['AUTH PLAIN LOGIN'] : []) : ['STARTTLS']),
    ],
  }
}

function helo(session: Session, argument: string): Answer {
  return hello(session, 'HELO', argument) ?? { kind: 'reply', reply: reply(250, '', `${session.name} at your service`) }
}

function hello(session: Session, verb: string, argument: string): Answer | undefined {
  if (argument === '' || argument.length > 255 || argument.includes(' '))
    return { kind: 'reply', reply: reply(501, '', `Say ${verb} and your host name`) }
  session.openingCommand = verb
  session.hostNameAppearsAs = argument.toLowerCase()
  session._resetSession()
  return undefined
}

function startTls(session: Session, argument: string): Answer {
  if (argument !== '') return say(501, '5.5.4', 'STARTTLS takes no parameters')
  if (session.secure) return say(503, '5.5.1', 'TLS is already on')
  return { kind: 'start-tls' }
}

function auth(session: Session, argument: string): Answer {
  if (!session.secure) return say(538, '5.7.11', 'A password is taken only over TLS: STARTTLS first')
  if (session.user !== undefined) return say(503, '5.5.1', 'You are signed in already')
  if (session.transaction !== undefined) return say(503, '5.5.1', 'AUTH is not possible within a mail transaction; RSET first')
  if (!/^(?:PLAIN|LOGIN)(?: |$)/i.test(argument)) return say(504, '5.5.4', 'Only AUTH PLAIN and AUTH LOGIN are offered')
  return { kind: 'auth' }
}

async function mail(session: Session, argument: string): Promise<Answer> {
  const { settings, rules } = session.parts
  const refusal = rules.refuseSession(session.client, session)
  if (refusal !== undefined) return { kind: 'reply', reply: refusal }
  if (session.transaction !== undefined) return say(503, '5.5.1', 'A transaction is open; finish it or RSET first')
  const read = readMail(argument)
  if (read.kind === 'refused') return { kind: 'reply', reply: read.reply }
  const { reversePath, size } = read.value
  const most = settings['smtp.maxMessageSize']
  if (size !== undefined && size > most) return say(552, '5.3.4', tooLarge(most))
  const foreign = reversePath === '' ? undefined : rules.refuseSender(session.client, reversePath)
  if (foreign !== undefined) return { kind: 'reply', reply: foreign }
  const full = await refuseForRoom(session.parts, size)
  if (full !== undefined) return { kind: 'reply', reply: full }
  session.transaction = { mail: read.value, recipients: new Map() }
  return say(250, '2.1.0', 'Sender accepted')
}

function rcpt(session: Session, argument: string): Answer {
  const { settings } = session.parts
  const { transaction } = session
  if (transaction === undefined) return say(503, '5.5.1', 'Send MAIL first')
  const [domain] = settings['organisation.domains']
  const postmaster = domain === undefined ? undefined : `postmaster@${domain}`
  const read = readRcpt(argument, { smtpUtf8: transaction.mail.smtpUtf8, postmaster })
  if (read.kind === 'refused') return { kind: 'reply', reply: read.reply }
  const { recipients } = transaction
  const most = settings['smtp.maxRecipients']
  // RFC 5321 §4.5.3.1.10: 452, so that the client sends the message again to the rest.
  if (recipients.size >= most && !recipients.has(read.value.address))
    return say(452, '4.5.3', `More than ${most} recipients (smtp.maxRecipients); send the message again to the others`)
  recipients.set(read.value.address, read.value)
  return say(250, '2.1.5', 'Recipient accepted')
}

function data(session: Session, argument: string): Answer {
  const { transaction } = session
  if (argument !== '') return say(501, '5.5.4', 'DATA takes no parameters')
  if (transaction === undefined) return say(503, '5.5.1', 'Send MAIL first')
  if (transaction.recipients.size === 0) return say(503, '5.5.1', 'No recipient was accepted; send RCPT first')
  return { kind: 'data', transaction }
}

function rset(session: Session): Answer {
  session._resetSession()
  return say(250, '2.0.0', 'Forgotten')
}
