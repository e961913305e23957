/** An SMTP session with one next hop, from the greeting to a channel that satisfies the need: nobody gets one that does not. */

import type { Socket } from 'node:net'
import type { Assurance, Evidence, Fact } from '../mail/outcome.ts'
import { failpoint } from '../ops/failpoint.ts'
import { readPeer } from './certificate.ts'
import type { Deadlines } from './deadlines.ts'
import { openSocket, shakeHands } from './handshake.ts'
import type { Candidate } from './next-hop.ts'
import type { Place } from './places.ts'
import { type Reply, replyText, statusOf } from './reply.ts'
import { type Aim, type Channel, type ChannelNeed, judgeChannel, mayBeClear } from './tls-need.ts'
import type { Row, Trouble } from './trouble.ts'
import type { TlsVersion, Trust } from './trust.ts'
import { createWire, type Heard, type Wire } from './wire.ts'

/** EHLO keywords in upper case with their parameters. */
export type Keywords = ReadonlyMap<string, string>

/** What stands between us and the next hop. */
export type SessionFacts = {
  readonly candidate: Candidate
  readonly assurance: Assurance
  /** `dane`, `sts`, `webpki`, `webpki (MX name from unsigned DNS)`, `pin` or `none`. */
  readonly identity: string
  /** Undefined: clear text. */
  readonly channel: Channel | undefined
}

/** A connection that has said EHLO, with all that was seen when it was opened. What may go over it is judged for each message anew. */
export type Connection = {
  readonly wire: Wire
  readonly keywords: Keywords
  readonly candidate: Candidate
  /** Undefined: clear text. */
  readonly channel: Channel | undefined
  /** When it was opened, milliseconds since 1970. */
  readonly openedAt: number
  /** It no longer ends with the attempt that it was opened for. */
  readonly release: () => void
}

/**
 * A session ready for MAIL. `K` says what content it may carry, and content of another kind does not compile (`in out`: neither more nor less).
 * The constructor is private: a forced need gets a session only from `secured`, which wants a judged channel.
 */
export class Session<in out K extends ChannelNeed['kind']> {
  readonly #carries: K
  readonly connection: Connection
  readonly facts: SessionFacts

  private constructor(carries: K, connection: Connection, facts: SessionFacts) {
    this.#carries = carries
    this.connection = connection
    this.facts = facts
  }

  get carries(): K {
    return this.#carries
  }

  get wire(): Wire {
    return this.connection.wire
  }

  get keywords(): Keywords {
    return this.connection.keywords
  }

  static secured<N extends ChannelNeed>(
    need: N,
    connection: Connection,
    facts: SessionFacts & { readonly channel: Channel },
  ): Session<N['kind']> {
    return new Session<N['kind']>(need.kind, connection, facts)
  }

  /** Undefined for a need that clear text cannot meet. */
  static inClear<N extends ChannelNeed>(
    need: N,
    connection: Connection,
    facts: SessionFacts & { readonly channel: undefined },
  ): Session<N['kind']> | undefined {
    return need.kind === 'forced' ? undefined : new Session<N['kind']>(need.kind, connection, facts)
  }
}

/** What any session shows, whatever it may carry. */
export type SessionView = { readonly wire: Wire; readonly keywords: Keywords; readonly facts: SessionFacts }

export type Opened<K extends ChannelNeed['kind']> =
  | { readonly kind: 'session'; readonly session: Session<K> }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }

/** What a session is opened with. */
export type SessionParts = {
  readonly hostname: string
  readonly trust: Trust
  readonly minimum: TlsVersion
  readonly sources: readonly string[]
  readonly deadlines: Deadlines
  readonly now: () => number
  readonly signal: AbortSignal
}

export type Manner = Aim & {
  /** The last candidate of the attempt: its greeting is waited for longer. */
  readonly last: boolean
  /** Go without STARTTLS even where it is offered: only for a `notice`, after its TLS failed. */
  readonly clear: boolean
  /** A ClientHello for old servers. */
  readonly reduced: boolean
  /** Where its connection counts; one at a time. */
  readonly place: Place
}

/** Connect and raise the channel as far as the need asks. Never rejects; on trouble nothing but EHLO, STARTTLS and QUIT was said in clear. */
export async function openSession<N extends ChannelNeed>(
  candidate: Candidate,
  need: N,
  manner: Manner,
  parts: SessionParts,
): Promise<Opened<N['kind']>> {
  const { deadlines, signal } = parts
  await manner.place.empty()
  failpoint('connect.before')
  const connected = await openSocket(candidate, { sources: parts.sources, deadline: deadlines.connect, signal })
  if (connected.kind === 'unreachable') return trouble(candidate, { row: 'unreachable', text: connected.text })
  const raw = connected.socket
  failpoint('connect.connected')
  manner.place.hold(raw)
  const release = cutInTime(raw, signal, deadlines.whole)
  const clear = createWire(raw, raw)
  const stop = (stopped: Stop): Opened<N['kind']> => {
    sayGoodbye(clear, deadlines.quit, stopped.polite)
    return trouble(candidate, stopped)
  }

  const greeted = await greet(clear, candidate.host, manner.last ? deadlines.lastGreeting : deadlines.greeting)
  if (greeted) return stop(greeted)
  const hello = await sayHello(clear, candidate.host, parts, mayBeClear(need, manner))
  if (hello.kind === 'stop') return stop(hello)
  if (manner.clear || !hello.keywords.has('STARTTLS')) {
    const { keywords } = hello
    const connection = { wire: clear, keywords, candidate, channel: undefined, openedAt: parts.now(), release }
    const session = inClear(connection, candidate, need, manner)
    if (session) return { kind: 'session', session }
    return stop({ row: 'starttls-not-offered', text: `${candidate.host} offers no STARTTLS`, polite: true })
  }
  const upgraded = await startTls(clear, raw, candidate.host, manner, parts)
  return upgraded.kind === 'stop' ? stop(upgraded) : overTls(candidate, need, manner, { ...upgraded, release }, parts)
}

/** A TLS channel stands: judge it, before anything else is said over it. */
async function overTls<N extends ChannelNeed>(
  candidate: Candidate,
  need: N,
  aim: Aim,
  { wire, channel, release }: { readonly wire: Wire; readonly channel: Channel; readonly release: () => void },
  parts: SessionParts,
): Promise<Opened<N['kind']>> {
  const { host } = candidate
  const stop = (stopped: Stop): Opened<N['kind']> => {
    sayGoodbye(wire, parts.deadlines.quit, stopped.polite)
    return trouble(candidate, stopped, channelEvidence(channel))
  }
  const judged = judgeChannel(need, channel, { ...aim, host })
  if (judged.kind === 'short') return stop({ ...judged, polite: true })
  // RFC 3207 §4.2: what was said before TLS is forgotten.
  const hello = await sayHello(wire, host, parts, true)
  // In TLS 1.3 a server that will not have us says so only now: still a TLS failure, not network trouble.
  if (hello.kind === 'stop') return stop(hello.row === 'connection-lost' ? { ...hello, row: 'tls-broken' } : hello)
  const facts = { candidate, assurance: judged.assurance, identity: judged.identity, channel }
  const connection = { wire, keywords: hello.keywords, candidate, channel, openedAt: parts.now(), release }
  return { kind: 'session', session: Session.secured(need, connection, facts) }
}

const inClear = <N extends ChannelNeed>(connection: Connection, candidate: Candidate, need: N, aim: Aim): Session<N['kind']> | undefined =>
  mayBeClear(need, aim)
    ? Session.inClear(need, connection, { candidate, assurance: 'none', identity: 'none', channel: undefined })
    : undefined

/**
 * A session for another message over a connection that stands. The message's own need is judged against what was seen at its opening: undefined
 * when that is not enough, or when in clear STARTTLS is offered and was passed over for somebody else's mail.
 */
export function sessionOver<N extends ChannelNeed>(
  connection: Connection,
  candidate: Candidate,
  need: N,
  aim: Aim,
): Session<N['kind']> | undefined {
  const { channel, keywords } = connection
  if (channel === undefined) return keywords.has('STARTTLS') ? undefined : inClear(connection, candidate, need, aim)
  const judged = judgeChannel(need, channel, { ...aim, host: candidate.host })
  if (judged.kind === 'short') return undefined
  const facts = { candidate, assurance: judged.assurance, identity: judged.identity, channel }
  return Session.secured(need, connection, facts)
}

const trouble = (
  candidate: Candidate,
  { row, text, status }: Pick<Stop, 'row' | 'text' | 'status'>,
  more: Evidence = {},
): { readonly kind: 'trouble'; readonly trouble: Trouble } => ({
  kind: 'trouble',
  trouble: { row, text, ...(status && { status }), evidence: { ...candidate, ...more } },
})

/** The channel as a decision record keeps it. */
export const channelEvidence = ({ protocol, cipher, certificate }: Channel): { readonly [name: string]: Fact } => ({
  protocol,
  cipher,
  certificate,
})

/** QUIT and close; whoever does not answer is cut off. `polite: false` cuts at once. */
export function sayGoodbye(wire: Wire, deadline: number, polite: boolean): void {
  if (!polite || wire.lost()) return wire.cut()
  wire.say('QUIT')
  void wire.hear(deadline).then(() => wire.cut())
}

type Stop = { readonly row: Row; readonly text: string; readonly status?: string; readonly polite: boolean }

/** The connection ends with the attempt, or when a server that is always just in time has had an hour; until the answer is called. */
export function cutInTime(raw: Socket, signal: AbortSignal, whole: number): () => void {
  const cut = () => raw.destroy()
  const timer = setTimeout(cut, whole)
  signal.addEventListener('abort', cut, { once: true })
  const release = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', cut)
    raw.off('close', release)
  }
  raw.once('close', release)
  if (signal.aborted) cut()
  return release
}

async function greet(wire: Wire, host: string, deadline: number): Promise<Stop | undefined> {
  const heard = await wire.hear(deadline)
  if (heard.kind === 'lost') return { row: 'connection-lost', text: `${host}: ${heard.text} before its greeting`, polite: false }
  const { reply } = heard
  if (reply.code === 220) return undefined
  const row = reply.code >= 500 ? 'greeting-5yz' : 'remote-4yz'
  return { row, text: `${host} greeted with "${replyText(reply)}"`, status: statusOf(reply), polite: true }
}

type Hello = { readonly kind: 'hello'; readonly keywords: Keywords } | ({ readonly kind: 'stop' } & Stop)

/** EHLO; where it is refused, HELO when no TLS is needed any more. */
async function sayHello(wire: Wire, host: string, { hostname, deadlines }: SessionParts, heloWillDo: boolean): Promise<Hello> {
  wire.say(`EHLO ${hostname}`)
  const heard = await wire.hear(deadlines.ehlo)
  if (heard.kind === 'lost') return { kind: 'stop', row: 'connection-lost', text: `${host}: ${heard.text} after EHLO`, polite: false }
  if (heard.reply.code === 250) return { kind: 'hello', keywords: keywordsOf(heard.reply) }
  if (heard.reply.code < 500) return refused(host, 'remote-4yz', 'EHLO', heard.reply)
  if (!heloWillDo) return refused(host, 'starttls-not-offered', 'EHLO', heard.reply)
  wire.say(`HELO ${hostname}`)
  const second = await wire.hear(deadlines.ehlo)
  if (second.kind === 'lost') return { kind: 'stop', row: 'connection-lost', text: `${host}: ${second.text} after HELO`, polite: false }
  if (second.reply.code === 250) return { kind: 'hello', keywords: new Map() }
  return refused(host, second.reply.code < 500 ? 'remote-4yz' : 'greeting-5yz', 'HELO', second.reply)
}

const refused = (host: string, row: Row, command: string, reply: Reply): { readonly kind: 'stop' } & Stop => ({
  kind: 'stop',
  row,
  text: `${host} answered ${command} with "${replyText(reply)}"`,
  status: statusOf(reply),
  polite: true,
})

// RFC 5321 §4.1.1.1: keywords by their first token, any case; the first line is the greeting.
const keywordsOf = ({ lines }: Reply): Keywords =>
  new Map(
    lines.slice(1).map((line) => {
      const [keyword = '', ...parameters] = line.trim().split(/\s+/)
      return [keyword.toUpperCase(), parameters.join(' ')] as const
    }),
  )

type Upgraded = { readonly kind: 'upgraded'; readonly wire: Wire; readonly channel: Channel } | ({ readonly kind: 'stop' } & Stop)

async function startTls(clear: Wire, raw: Socket, host: string, { reduced, dane }: Manner, parts: SessionParts): Promise<Upgraded> {
  clear.say('STARTTLS')
  const heard = await clear.hear(parts.deadlines.command)
  const broken = (text: string): Upgraded => ({ kind: 'stop', row: 'tls-broken', text, polite: false })
  if (heard.kind === 'lost') return broken(`${host}: ${heard.text} after STARTTLS`)
  if (heard.reply.code !== 220) return refused(host, heard.reply.code >= 500 ? 'starttls-5yz' : 'starttls-4yz', 'STARTTLS', heard.reply)
  // CVE-2011-0411: whatever came along with the 220 was put there in clear, perhaps by somebody else.
  if (clear.unread() > 0) return broken(`${host}: somebody sent bytes between its 220 and the TLS handshake (an injection?)`)
  clear.detach()
  // RFC 7672 §8.1: the server picks its certificate by the TLSA base domain.
  const shaken = await shakeHands(raw, dane?.base ?? host, parts.trust.context(parts.minimum, reduced), parts.deadlines.handshake)
  if (shaken.kind === 'failed') return { kind: 'stop', row: shaken.row, text: shaken.text, polite: false }
  failpoint('connect.starttls')
  const peer = readPeer(shaken.socket, host, parts.trust, parts.now())
  const channel: Channel = {
    protocol: shaken.socket.getProtocol() ?? 'unknown',
    cipher: shaken.socket.getCipher().standardName,
    chain: peer.chain,
    certificate: peer.facts,
    names: peer.names,
    spki: peer.spki,
    shown: peer.shown,
    seenAt: parts.now(),
  }
  return { kind: 'upgraded', wire: createWire(shaken.socket, raw), channel }
}

/** For the texts of later stages. */
export const heardText = (heard: Heard): string => (heard.kind === 'reply' ? replyText(heard.reply) : heard.text)
