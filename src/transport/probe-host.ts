/** Looks at one mail host as a delivery would see it, step by step up to its certificate; no MAIL is ever said. */
import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { readPeer } from './certificate.ts'
import { openSocket, shakeHands } from './handshake.ts'
import type { Candidate } from './next-hop.ts'
import type { ProbeParts, Tell } from './probe.ts'
import { type Reply, replyText } from './reply.ts'
import { sayGoodbye } from './session.ts'
import type { Channel } from './tls-need.ts'
import type { Row, Trouble } from './trouble.ts'
import { createWire, type Wire } from './wire.ts'

/** What a host showed. `channel`: the TLS channel that stood, judged later; `trouble`: why none did. */
export type Seen = {
  /** Undefined: it was not asked. */
  readonly starttls: boolean | undefined
  readonly channel: Channel | undefined
  /** The DNS and IP names of its certificate. */
  readonly names: readonly string[]
  /** SHA-256 of its public key, hex: what a TLSA record `3 1 1` holds. */
  readonly spki: string | undefined
  readonly trouble: Trouble | undefined
}

/** Milliseconds: shorter than a delivery's, because somebody is watching. A greeting may be held back against spam. */
const patience = { connect: 8_000, greeting: 25_000, ehlo: 8_000, starttls: 8_000, handshake: 8_000, quit: 1_000 }

/** Try the addresses of a host in turn until one can be reached. `base`: the name for SNI. Never rejects. */
export async function probeHost(candidates: readonly Candidate[], base: string, parts: ProbeParts, tell: Tell): Promise<Seen> {
  let seen = nothing('unreachable', 'it has no address')
  for (const candidate of candidates) {
    if (parts.signal.aborted) return nothing('unreachable', `${candidate.host} was not asked: the time for this check is over`)
    seen = await talk(candidate, { base, reduced: false }, parts, tell)
    if (seen.trouble?.row === 'no-shared-tls' && parts.minimum === 'TLSv1.2')
      seen = await talk(candidate, { base, reduced: true }, parts, tell)
    if (seen.trouble?.row !== 'unreachable') return seen
  }
  return seen
}

const nothing = (row: Row, text: string, more: Partial<Seen> = {}): Seen => ({
  ...{ starttls: undefined, channel: undefined, names: [], spki: undefined, ...more },
  trouble: { row, text, evidence: {} },
})

type ClientHello = { readonly base: string; readonly reduced: boolean }

/** Connect, greeting, EHLO, STARTTLS, certificate: each told with what it took. */
async function talk(candidate: Candidate, hello: ClientHello, parts: ProbeParts, tell: Tell): Promise<Seen> {
  const { host, address, port } = candidate
  const { signal } = parts
  const connected = await tell('connect', host, async () => {
    const done = await openSocket(candidate, { sources: parts.sources, deadline: patience.connect, signal })
    return { value: done, ok: done.kind === 'connected', text: done.kind === 'connected' ? `${address} port ${port}` : done.text }
  })
  if (connected.kind === 'unreachable') return nothing('unreachable', connected.text)
  const { socket } = connected
  const cut = () => void socket.destroy()
  signal.addEventListener('abort', cut, { once: true })
  try {
    return await converse(host, socket, hello, parts, tell)
  } finally {
    signal.removeEventListener('abort', cut)
  }
}

async function converse(host: string, socket: Socket, clientHello: ClientHello, parts: ProbeParts, tell: Tell): Promise<Seen> {
  const wire = createWire(socket, socket)
  const leave = (seen: Seen): Seen => {
    sayGoodbye(wire, patience.quit, true)
    return seen
  }
  const greeting = await hear('greeting', host, wire, tell, patience.greeting)
  if (greeting.kind === 'lost') return leave(nothing('connection-lost', greeting.text))
  if (greeting.reply.code !== 220)
    return leave(nothing(greeting.reply.code >= 500 ? 'greeting-5yz' : 'remote-4yz', `${host} greeted with "${replyText(greeting.reply)}"`))

  wire.say(`EHLO ${parts.hostname}`)
  const hello = await hear('ehlo', host, wire, tell, patience.ehlo)
  if (hello.kind === 'lost') return leave(nothing('connection-lost', hello.text))
  if (hello.reply.code !== 250) {
    const row = hello.reply.code < 500 ? 'remote-4yz' : 'starttls-not-offered'
    return leave(nothing(row, `${host} answered EHLO with "${replyText(hello.reply)}"`, { starttls: false }))
  }
  if (!hello.reply.lines.slice(1).some((line) => /^STARTTLS\b/i.test(line.trim()))) {
    await tell('starttls', host, async () => ({ value: undefined, ok: false, text: 'not offered' }))
    return leave(nothing('starttls-not-offered', `${host} offers no STARTTLS`, { starttls: false }))
  }
  wire.say('STARTTLS')
  const go = await hear('starttls', host, wire, tell, patience.starttls)
  if (go.kind === 'lost') return leave(nothing('tls-broken', `${go.text} after STARTTLS`, { starttls: true }))
  if (go.reply.code !== 220) {
    const row = go.reply.code >= 500 ? 'starttls-5yz' : 'starttls-4yz'
    return leave(nothing(row, `${host} answered STARTTLS with "${replyText(go.reply)}"`, { starttls: true }))
  }
  if (wire.unread() > 0) return leave(nothing('tls-broken', `${host}: somebody sent bytes before the TLS handshake`, { starttls: true }))
  wire.detach()
  return certificate(host, socket, clientHello, parts, tell)
}

type Said = { readonly kind: 'reply'; readonly reply: Reply } | { readonly kind: 'lost'; readonly text: string }

const hear = (step: 'greeting' | 'ehlo' | 'starttls', host: string, wire: Wire, tell: Tell, deadline: number): Promise<Said> =>
  tell(step, host, async (): Promise<{ value: Said; ok: boolean; text: string }> => {
    const heard = await wire.hear(deadline)
    if (heard.kind === 'lost') return { value: { kind: 'lost', text: `${host}: ${heard.text}` }, ok: false, text: heard.text }
    const text = step === 'ehlo' ? heard.reply.lines.slice(1).join(', ').slice(0, 200) : replyText(heard.reply)
    return { value: heard, ok: heard.reply.code < 300, text: step === 'ehlo' && heard.reply.code !== 250 ? replyText(heard.reply) : text }
  })

const certificate = (host: string, raw: Socket, { base, reduced }: ClientHello, parts: ProbeParts, tell: Tell): Promise<Seen> =>
  tell('certificate', host, async () => {
    const shaken = await shakeHands(raw, base, parts.trust.context(parts.minimum, reduced), patience.handshake)
    if (shaken.kind === 'failed') {
      raw.destroy()
      return { value: nothing(shaken.row, shaken.text, { starttls: true }), ok: false, text: shaken.text }
    }
    const seen = look(shaken.socket, host, parts)
    // Nothing was asked of it, so nothing is owed: RFC 5321 wants QUIT, said through the channel.
    sayGoodbye(createWire(shaken.socket, raw), patience.quit, true)
    const { channel } = seen
    return { value: seen, ok: channel.chain.kind === 'trusted' && channel.names(host), text: certificateText(seen, channel) }
  })

function certificateText({ names }: Seen, { protocol, chain, certificate: facts }: Channel): string {
  if (chain.kind !== 'trusted') return `${protocol}, ${chain.text}`
  return `${protocol}, for ${names.slice(0, 3).join(', ') || 'no name'}, until ${facts?.notAfter.slice(0, 10) ?? 'nobody knows'}`
}

function look(socket: TLSSocket, host: string, { trust, now }: ProbeParts): Seen & { readonly channel: Channel } {
  const peer = readPeer(socket, host, trust, now())
  const channel: Channel = {
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().standardName,
    chain: peer.chain,
    certificate: peer.facts,
    names: peer.names,
    spki: peer.spki,
    shown: peer.shown,
    seenAt: now(),
  }
  return { starttls: true, channel, names: namesOf(peer.shown[0]), spki: peer.spki, trouble: undefined }
}

/** `DNS:a.example, DNS:*.b.example, IP Address:192.0.2.1` as names; strangers wrote them. What cannot be read has none. */
function namesOf(der: Buffer | undefined): string[] {
  try {
    const alternative = der ? new X509Certificate(der).subjectAltName : undefined
    return [...(alternative ?? '').matchAll(/(?:^|, )(?:DNS|IP Address):([\w.*:-]{1,253})/g)].map(([, name = '']) => name)
  } catch {
    return []
  }
}
