/** One message over one session: MAIL, RCPT …, DATA, the content and its final dot, with an answer for every recipient. */

import type { Readable } from 'node:stream'
import type { Envelope, Notify } from '../mail/envelope.ts'
import { failpoint } from '../ops/failpoint.ts'
import { damaged, sendContent } from './content.ts'
import type { Deadlines } from './deadlines.ts'
import { type Mended, reencoded } from './reencode.ts'
import { type Reply, replyText, statusOf } from './reply.ts'
import type { Session, SessionView } from './session.ts'
import type { ChannelNeed } from './tls-need.ts'
import type { Row, Trouble } from './trouble.ts'
import type { Heard, Wire } from './wire.ts'

export type Recipient = { readonly id: string; readonly address: string; readonly orcpt?: string; readonly notify: readonly Notify[] }

/** What is to be carried; `need` is in its type, so that it meets only sessions that satisfy it. */
export type Content<K extends ChannelNeed['kind']> = {
  readonly need: K
  readonly reversePath: string
  readonly recipients: readonly Recipient[]
  readonly envelope: Pick<Envelope, 'ret' | 'envid' | 'body' | 'smtpUtf8'>
  readonly size: number
  readonly open: () => Readable
  /** What `open` gives, where it is in memory. */
  readonly whole?: Buffer | undefined
  /** The 7-bit rendering, where it is not made of what `open` gives. */
  readonly sevenBit?: (() => Promise<Mended>) | undefined
}

/**
 * - accepted: the next hop took responsibility; `reencoded`: for a 7-bit rendering (reencode.ts).
 * - refused: said of this recipient or content; no other host is asked.
 */
export type Settled =
  | { readonly kind: 'accepted'; readonly reply: string; readonly reencoded?: true }
  | { readonly kind: 'refused'; readonly trouble: Trouble }

/**
 * `trouble` holds for the recipients that are not settled: another host may do better.
 * - connection `good`: the last transaction ended with a 2yz after its final dot. - `silent`: it was gone, or closing, before it answered anything.
 */
export type Transferred = {
  readonly settled: ReadonlyMap<string, Settled>
  readonly trouble: Trouble | undefined
  readonly connection: 'good' | 'silent' | 'spent'
}
type Result = Pick<Transferred, 'settled' | 'trouble'> & { readonly connection?: Transferred['connection'] }

// RFC 5321 §4.5.3.1.8: every server must take a hundred.
const mostRecipients = 100

/** Send the content to all recipients, in as many transactions as the server wants. Never rejects. */
export async function transfer<K extends ChannelNeed['kind']>(
  session: Session<K>,
  content: Content<K>,
  deadlines: Deadlines,
): Promise<Transferred> {
  if (session.carries !== content.need) throw new Error(`a ${session.carries} session was given ${content.need} content`)
  const settled = new Map<string, Settled>()
  const fit = await fitted(session, content)
  // Nothing was said yet: the next message may have less to ask.
  if (fit.kind === 'trouble') return { settled, trouble: fit.trouble, connection: 'good' }
  let connection: Transferred['connection'] = 'spent'
  let rest = content.recipients
  while (rest.length > 0) {
    const batch = rest.slice(0, mostRecipients)
    const result = await transact(session, { ...fit.content, recipients: batch }, deadlines)
    for (const [id, one] of result.settled) settled.set(id, one.kind === 'accepted' && fit.reencoded ? { ...one, reencoded: true } : one)
    connection = result.connection === 'silent' && settled.size > 0 ? 'spent' : (result.connection ?? 'spent')
    if (result.trouble) return { settled, trouble: result.trouble, connection }
    rest = rest.filter(({ id }) => !settled.has(id))
  }
  return { settled, trouble: undefined, connection }
}

type AnyContent = Content<ChannelNeed['kind']>

type Fitted =
  | { readonly kind: 'fit'; readonly content: AnyContent; readonly reencoded: boolean }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }

/** The content as this server can take it: 8-bit content is encoded for one without 8BITMIME where nothing is lost by it (RFC 6152 §3). */
async function fitted(session: SessionView, content: AnyContent): Promise<Fitted> {
  const missing = whatIsMissing(session, content)
  if (missing) return { kind: 'trouble', trouble: missing }
  if (content.envelope.body !== '8bit' || session.keywords.has('8BITMIME')) return { kind: 'fit', content, reencoded: false }
  const render = content.sevenBit ?? (() => reencoded(content.open))
  const mended = await render().catch(damaged)
  if (mended.kind === 'damaged') return { kind: 'trouble', trouble: troubleOf(session, mended.row, mended.text) }
  if (mended.kind === 'unmendable') {
    const text = `${session.facts.candidate.host} does not take 8-bit content (8BITMIME), and it cannot be re-encoded: ${mended.why}`
    return { kind: 'trouble', trouble: troubleOf(session, 'eightbit', text) }
  }
  const { size, open, changed } = mended
  const seven = { ...content, size, open, whole: undefined, envelope: { ...content.envelope, body: '7bit' as const } }
  // It has grown.
  const unfit = whatIsMissing(session, seven)
  return unfit ? { kind: 'trouble', trouble: unfit } : { kind: 'fit', content: seven, reencoded: changed }
}

/** What the server does not offer and the content needs; 8BITMIME apart, which can be done without. */
function whatIsMissing(session: SessionView, content: AnyContent): Trouble | undefined {
  const { keywords } = session
  const { host } = session.facts.candidate
  const limit = Number(keywords.get('SIZE') || 0)
  if (limit > 0 && content.size > limit)
    return troubleOf(session, 'too-large', `${host} takes at most ${limit} octets, the message has ${content.size}`)
  if (needsUtf8(content) && !keywords.has('SMTPUTF8'))
    return troubleOf(session, 'smtputf8', `${host} does not take international addresses (SMTPUTF8)`)
  return undefined
}

const needsUtf8 = ({ envelope, reversePath, recipients }: AnyContent) =>
  envelope.smtpUtf8 || [reversePath, ...recipients.map(({ address }) => address)].some((address) => /[^\x00-\x7f]/.test(address))

function troubleOf({ facts }: SessionView, row: Row, text: string, reply?: Reply): Trouble {
  const evidence = { ...facts.candidate, ...(reply && { reply: replyText(reply) }) }
  return { row, text, evidence, ...(reply && { status: statusOf(reply) }) }
}

/** Ask a command and hear its answer: already sent when pipelined (RFC 2920). */
type Ask = (command: string, deadline: number) => Promise<Heard>

async function transact(session: SessionView, content: AnyContent, deadlines: Deadlines): Promise<Result> {
  const { wire, keywords } = session
  const settled = new Map<string, Settled>()
  const commands = [mailCommand(content, keywords), ...content.recipients.map((recipient) => rcptCommand(recipient, keywords))]
  if (commands.some((command) => /[\r\n\0]/.test(command))) throw new Error('an address with a line end reached the transport')
  const pipelined = keywords.has('PIPELINING')
  if (pipelined) wire.say(...commands, 'DATA')
  const ask: Ask = (command, deadline) => {
    if (!pipelined) wire.say(command)
    return wire.hear(deadline)
  }

  const mail = await ask(commands[0] ?? '', deadlines.command)
  failpoint('send.mail')
  const refusal = mailRefused(session, mail)
  if (refusal) return { settled, trouble: refusal, ...(isGone(mail) && { connection: 'silent' }) }
  const asked = await askRecipients(session, content, commands.slice(1), ask, deadlines, settled)
  if (asked.trouble) return { settled, trouble: asked.trouble }
  if (asked.accepted.length === 0) return withoutRecipients(wire, ask, pipelined, deadlines, settled)
  const data = await ask('DATA', deadlines.dataStart)
  if (data.kind === 'lost') return { settled, trouble: lost(session, data, 'after DATA') }
  if (data.reply.code !== 354) {
    // The transaction is still open there: the next one must not meet a 503.
    wire.say('RSET')
    await wire.hear(deadlines.command)
    return settleAll(session, asked.accepted, data.reply, 'DATA', settled)
  }
  return deliverContent(session, content, asked.accepted, deadlines, settled)
}

// RFC 5321 §3.8: 421 may come at any time: a server that ends an idle connection says so at the next command.
const isGone = (heard: Heard) => heard.kind === 'lost' || heard.reply.code === 421

function mailCommand({ reversePath, envelope, size, ...content }: AnyContent, keywords: ReadonlyMap<string, string>): string {
  const dsn = keywords.has('DSN')
  const utf8 = needsUtf8({ reversePath, envelope, size, ...content })
  const parameters = [
    keywords.has('SIZE') && `SIZE=${size}`,
    envelope.body === '8bit' && 'BODY=8BITMIME',
    utf8 && 'SMTPUTF8',
    dsn && envelope.ret && `RET=${envelope.ret}`,
    dsn && envelope.envid && `ENVID=${envelope.envid}`,
  ]
  return [`MAIL FROM:<${reversePath}>`, ...parameters.filter(Boolean)].join(' ')
}

function rcptCommand({ address, orcpt, notify }: Recipient, keywords: ReadonlyMap<string, string>): string {
  const dsn = keywords.has('DSN')
  const parameters = [dsn && notify.length > 0 && `NOTIFY=${notify.join(',')}`, dsn && orcpt && `ORCPT=${orcpt}`]
  return [`RCPT TO:<${address}>`, ...parameters.filter(Boolean)].join(' ')
}

function mailRefused(session: SessionView, heard: Heard): Trouble | undefined {
  if (heard.kind === 'lost') return lost(session, heard, 'after MAIL')
  const { reply } = heard
  if (reply.code >= 200 && reply.code < 300) return undefined
  const text = `${session.facts.candidate.host} refused the sender: "${replyText(reply)}"`
  return troubleOf(session, reply.code < 500 ? 'remote-4yz' : isTooLarge(reply) ? 'too-large' : 'sender-5yz', text, reply)
}

const lost = (session: SessionView, { text }: { readonly text: string }, when: string): Trouble =>
  troubleOf(session, 'connection-lost', `${session.facts.candidate.host}: ${text} ${when}`)

// 552 alone after MAIL, DATA or the dot is about size (RFC 1870 §6); an enhanced status may say otherwise.
const isTooLarge = ({ code, enhanced }: Reply) => (enhanced === undefined ? code === 552 : enhanced === '5.3.4' || enhanced === '5.2.3')

type Asked = { readonly accepted: readonly Recipient[]; readonly trouble?: Trouble }

async function askRecipients(
  session: SessionView,
  { recipients }: AnyContent,
  commands: readonly string[],
  ask: Ask,
  { command: deadline }: Deadlines,
  settled: Map<string, Settled>,
): Promise<Asked> {
  const accepted: Recipient[] = []
  for (const [i, recipient] of recipients.entries()) {
    const heard = await ask(commands[i] ?? '', deadline)
    if (heard.kind === 'lost') return { accepted, trouble: lost(session, heard, 'after RCPT') }
    const { reply } = heard
    // RFC 5321 §3.8: 421 is about the connection, whatever was asked.
    if (reply.code === 421)
      return { accepted, trouble: troubleOf(session, 'remote-4yz', `${session.facts.candidate.host} closes: "${replyText(reply)}"`, reply) }
    if (reply.code >= 200 && reply.code < 300) accepted.push(recipient)
    else if (!isTooMany(reply, accepted.length)) settled.set(recipient.id, refuse(session, recipient, reply))
  }
  return { accepted }
}

// RFC 5321 §4.5.3.1.10: 452, and 552 of old servers. Those asked in vain get a transaction of their own.
function isTooMany({ code, enhanced }: Reply, accepted: number): boolean {
  if (accepted === 0 || (code !== 452 && code !== 552)) return false
  return enhanced === undefined || enhanced === '4.5.3' || enhanced === '5.5.3'
}

function refuse(session: SessionView, { address }: Recipient, reply: Reply): Settled {
  const text = `${session.facts.candidate.host} answered for ${address}: "${replyText(reply)}"`
  return { kind: 'refused', trouble: troubleOf(session, reply.code < 500 ? 'recipient-4yz' : 'recipient-5yz', text, reply) }
}

/** Nobody is left: end the transaction. RFC 2920 §3.1: a 354 that came all the same is answered with a lone dot. */
async function withoutRecipients(
  wire: Wire,
  ask: Ask,
  pipelined: boolean,
  deadlines: Deadlines,
  settled: Map<string, Settled>,
): Promise<Result> {
  const heard = pipelined ? await ask('DATA', deadlines.dataStart) : undefined
  wire.say(heard?.kind === 'reply' && heard.reply.code === 354 ? '.' : 'RSET')
  await wire.hear(deadlines.command)
  return { settled, trouble: undefined }
}

/** One answer for all whom the server had accepted. */
function settleAll(session: SessionView, accepted: readonly Recipient[], reply: Reply, to: string, settled: Map<string, Settled>): Result {
  const row = reply.code < 500 ? 'remote-4yz' : isTooLarge(reply) ? 'too-large' : 'content-5yz'
  return settleWith(
    accepted,
    troubleOf(session, row, `${session.facts.candidate.host} answered ${to} with "${replyText(reply)}"`, reply),
    settled,
  )
}

function settleWith(accepted: readonly Recipient[], trouble: Trouble, settled: Map<string, Settled>): Result {
  for (const { id } of accepted) settled.set(id, { kind: 'refused', trouble })
  return { settled, trouble: undefined }
}

async function deliverContent(
  session: SessionView,
  content: AnyContent,
  accepted: readonly Recipient[],
  deadlines: Deadlines,
  settled: Map<string, Settled>,
): Promise<Result> {
  const { host } = session.facts.candidate
  const sent = await sendContent(session.wire, content, deadlines)
  switch (sent.kind) {
    case 'lost':
      return { settled, trouble: lost(session, sent, 'before the end of the content') }
    case 'damaged':
      return settleWith(accepted, troubleOf(session, sent.row, sent.text), settled)
    case 'interrupted':
      return settleAll(session, accepted, sent.reply, 'the content', settled)
    case 'sent':
      break
  }
  failpoint('send.dot')
  const end = await session.wire.hear(deadlines.finalDot)
  failpoint('send.replied')
  // RFC 1047: the server may have it. Never another host, never another method.
  if (end.kind === 'lost')
    return settleWith(accepted, troubleOf(session, 'in-doubt', `${host}: ${end.text} after the whole message was sent`), settled)
  if (end.reply.code < 200 || end.reply.code >= 300) return settleAll(session, accepted, end.reply, 'the content', settled)
  for (const { id } of accepted) settled.set(id, { kind: 'accepted', reply: replyText(end.reply) })
  return { settled, trouble: undefined, connection: 'good' }
}
