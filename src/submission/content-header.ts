/** Judges the header of an incoming message and writes the one it will travel with: our Received on top, Bcc and our own marks gone. */
import { canonicalDomain, parseMailboxes } from '../mail/address.ts'
import { type Field, field, fields, formatField, type Header, named, parseHeader } from '../mail/header.ts'
import { newMessageId } from '../mail/id.ts'
import { type Reply, reply } from './reply.ts'

/** What our trace field says (RFC 5321 §4.4). */
export type Trace = {
  readonly id: string
  readonly hostname: string
  readonly helo: string
  readonly address: string
  /** ESMTPSA and its relatives (RFC 3848, RFC 6531 §4.3). */
  readonly protocol: string
  /** Milliseconds since 1970. */
  readonly now: number
}

export type Accepted = {
  readonly kind: 'accepted'
  /** Ready to store; every field that stays is the one that came, byte for byte. */
  readonly header: Buffer
  /** With angle brackets. */
  readonly messageId: string
  /** Canonical; '' when there is none. */
  readonly headerFrom: string
  /** Lower-case addresses of To and Cc: who is not among them is a Bcc recipient. */
  readonly named: ReadonlySet<string>
  /** Octets above 127 in it. */
  readonly eightBit: boolean
}

export type Judged = Accepted | { readonly kind: 'refused'; readonly reply: Reply }

/** Passes of one message through this host before it counts as a loop; a mailing list may well come back once. */
const mostPasses = 4

/** Of these a second one would show one program another message than the next (RFC 5322 §3.6 allows one). */
const singles = ['From', 'Sender', 'Subject', 'Message-ID', 'Content-Type', 'Content-Transfer-Encoding'] as const

/**
 * The header `block` (CRLF line ends, without the empty line) judged and edited. `refuseFrom` is asked, only for a null reverse-path, about
 * each address of the From field. `mostReceived`: more trace fields than this are a loop (RFC 5321 §6.3).
 */
export function judgeHeader(
  block: Buffer,
  trace: Trace,
  {
    mostReceived,
    refuseFrom,
  }: { readonly mostReceived: number; readonly refuseFrom: ((address: string) => Reply | undefined) | undefined },
): Judged {
  const header = parseHeader(block)
  const refusal = malformed(header) ?? looping(header, trace.hostname, mostReceived) ?? foreign(header, refuseFrom)
  if (refusal !== undefined) return { kind: 'refused', reply: refusal }

  const kept = header.filter((one) => !isOurs(one) && !isEmptyMessageId(one))
  const added = [
    receivedField(trace),
    // RFC 6409 §8.2 and §8.3: what a submission client left out is added.
    ...(field(kept, 'Date') === undefined ? [formatField('Date', mailDate(trace.now))] : []),
  ]
  const messageId = messageIdOf(kept) ?? newMessageId(trace.hostname)
  if (field(kept, 'Message-ID') === undefined) added.push(formatField('Message-ID', messageId))
  return {
    kind: 'accepted',
    header: Buffer.concat([Buffer.from(added.join('')), ...kept.map((one) => one.raw)]),
    messageId,
    headerFrom: fromAddresses(header)[0] ?? '',
    named: namedAddresses(header),
    eightBit: kept.some((one) => one.raw.some((byte) => byte > 127)),
  }
}

function malformed(header: Header): Reply | undefined {
  const line = header.findIndex((one) => !/^[!-9;-~]+:/.test(one.raw.subarray(0, 1000).toString('latin1')))
  if (line !== -1)
    return reply(550, '5.6.0', `Header field ${line + 1} is not "Name: value"; put an empty line between header and body and send again`)
  const twice = singles.find((name) => named(header, name).length > 1)
  if (twice === undefined) return undefined
  return reply(550, '5.6.0', `The header has more than one ${twice} field: programs would disagree about it; keep one and send again`)
}

function looping(header: Header, hostname: string, mostReceived: number): Reply | undefined {
  const received = fields(header, 'Received')
  const passes = received.filter((value) => ` ${value.toLowerCase()}`.includes(` by ${hostname.toLowerCase()} with `)).length
  if (received.length <= mostReceived && passes < mostPasses) return undefined
  const seen = passes >= mostPasses ? `was here ${passes} times before` : `has ${received.length} Received fields`
  return reply(554, '5.4.6', `The message ${seen}: two servers send it round in a circle; look at its Received fields for the pair`)
}

/** A null reverse-path says nothing about whose mail it is: its header From must. */
function foreign(header: Header, refuseFrom: ((address: string) => Reply | undefined) | undefined): Reply | undefined {
  if (refuseFrom === undefined) return undefined
  const addresses = fromAddresses(header)
  if (addresses.length === 0)
    return reply(550, '5.7.1', 'A message with the null reverse-path needs a readable From field of one of organisation.domains')
  return addresses.map(refuseFrom).find((refusal) => refusal !== undefined)
}

const fromAddresses = (header: Header) => parseMailboxes(field(header, 'From') ?? '').map(({ address }) => address)

const namedAddresses = (header: Header) =>
  new Set(
    ['To', 'Cc', 'Resent-To', 'Resent-Cc']
      .flatMap((name) => fields(header, name))
      .flatMap(parseMailboxes)
      .map(({ address }) => address.toLowerCase()),
  )

/** RFC 5322 §3.6.3: Bcc is for the sender's eyes. X-Letterlock-… is our own language: nobody may speak it to us from outside. */
const isOurs = ({ name }: Field) => /^(?:(?:resent-)?bcc|x-letterlock-.*)$/i.test(name)

/** With angle brackets, which some programs forget; undefined when there is none that could be named. */
function messageIdOf(header: Header): string | undefined {
  const [id] = /[^<>\s]+/.exec(field(header, 'Message-ID') ?? '') ?? []
  return id === undefined || id.length > 900 ? undefined : `<${id}>`
}

const isEmptyMessageId = ({ name, value }: Field) => name.toLowerCase() === 'message-id' && value === ''

function receivedField({ id, hostname, helo, address, protocol, now }: Trace): string {
  const literal = address.includes(':') ? `[IPv6:${address}]` : `[${address}]`
  // What a client calls itself is a claim: what is no domain gives way to its address.
  const name = canonicalDomain(helo) ?? literal
  return formatField('Received', `from ${name} (${literal}) by ${hostname} with ${protocol} id ${id}; ${mailDate(now)}`)
}

/** RFC 5322 §3.3. */
const mailDate = (now: number) => new Date(now).toUTCString().replace('GMT', '+0000')
