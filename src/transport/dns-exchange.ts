/** One DNS question to one server: UDP first, TCP when the answer did not fit (RFC 1035 §4.2, RFC 7766). */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import * as codec from 'dns-packet'
import { hideTlsa } from './tlsa.ts'

export type DnsServer = { readonly host: string; readonly port: number }
export type QueryType = 'MX' | 'A' | 'AAAA' | 'CNAME' | 'TXT' | 'TLSA' | 'SOA'

/** `answer`: it is for our question, whatever its rcode. `silent`: nothing usable came in time. */
export type Exchange =
  | { readonly kind: 'answer'; readonly packet: codec.DecodedPacket; readonly rcode: string }
  | { readonly kind: 'silent'; readonly text: string }

/** The root is the empty name. */
export type Question = {
  readonly name: string
  readonly type: QueryType
  /** Ask for DNSSEC: whether the answer was validated (AD), with what validates it (DO). */
  readonly dnssec?: boolean
  /** Ask for the answer as it is, validated or not (CD, RFC 4035 §3.2.2). */
  readonly unchecked?: boolean
}

/** Ask once, waiting at most `timeout` milliseconds for each protocol. */
export async function exchange(server: DnsServer, question: Question, timeout: number): Promise<Exchange> {
  const first = await overUdp(server, question, timeout, true)
  if (first.kind === 'silent') return first
  // RFC 6891 §7: an old server may not understand EDNS; ask again without.
  const edns = !['FORMERR', 'NOTIMP'].includes(first.rcode)
  const again = edns ? first : await overUdp(server, question, timeout, false)
  if (again.kind === 'silent' || !again.packet.flag_tc) return again
  return overTcp(server, question, timeout, edns)
}

function encode({ name, type, dnssec, unchecked }: Question, edns: boolean): { readonly id: number; readonly bytes: Buffer } {
  const id = randomInt(65_536)
  // 1232: what fits an IPv6 packet everywhere (RFC 9715).
  const opt = {
    type: 'OPT' as const,
    name: '.',
    udpPayloadSize: 1232,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: dnssec ? codec.DNSSEC_OK : 0,
    flag_do: dnssec === true,
    options: [],
  }
  const bytes = codec.encode({
    type: 'query',
    id,
    // RFC 6840 §5.7: AD in a question says that AD in the answer is understood.
    flags: codec.RECURSION_DESIRED | (dnssec ? codec.AUTHENTIC_DATA : 0) | (unchecked ? codec.CHECKING_DISABLED : 0),
    questions: [{ name: name === '' ? '.' : name, type, class: 'IN' }],
    additionals: edns ? [opt] : [],
  })
  return { id, bytes }
}

/** The answer to exactly our question, or undefined: a stray or forged packet (RFC 5452 §9.1). */
function accept(bytes: Buffer, id: number, { name, type }: Question): Exchange | undefined {
  try {
    const packet = codec.decode(hideTlsa(bytes))
    const asked = packet.questions?.[0]
    if (packet.id !== id || !packet.flag_qr) return undefined
    const rcode = (packet as { rcode?: string }).rcode ?? 'NOERROR'
    if (!asked && rcode !== 'NOERROR') return { kind: 'answer', packet, rcode }
    if (!asked || asked.type !== type || asked.name.toLowerCase().replace(/\.$/, '') !== name) return undefined
    return { kind: 'answer', packet, rcode }
  } catch {
    return undefined
  }
}

function overUdp(server: DnsServer, question: Question, timeout: number, edns: boolean): Promise<Exchange> {
  const { id, bytes } = encode(question, edns)
  return new Promise((resolve) => {
    // A fresh socket per question: the random source port is half of the protection against forged answers (RFC 5452 §9.2).
    const socket = createSocket(isIPv6(server.host) ? 'udp6' : 'udp4')
    let finished = false
    const finish = (result: Exchange) => {
      if (finished) return
      finished = true
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      socket.close()
      resolve(result)
    }
    const timer = setTimeout(() => finish(silent(server, `no answer within ${timeout} ms`)), timeout)
    socket.on('error', (error) => finish(silent(server, error.message)))
    socket.on('message', (message) => {
      const answer = accept(message, id, question)
      if (answer) finish(answer)
    })
    // Node hands its error (no route, no such host) to this callback; to send all the same would throw.
    socket.connect(server.port, server.host, (error?: Error) => {
      if (error) return finish(silent(server, error.message))
      socket.send(bytes, (failed) => failed && finish(silent(server, failed.message)))
    })
  })
}

function overTcp(server: DnsServer, question: Question, timeout: number, edns: boolean): Promise<Exchange> {
  const { id, bytes } = encode(question, edns)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return new Promise((resolve) => {
    const socket = connect(server.port, server.host, () => socket.write(Buffer.concat([length, bytes])))
    let seen: Buffer = Buffer.alloc(0)
    const finish = (result: Exchange) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(() => finish(silent(server, `no answer over TCP within ${timeout} ms`)), timeout)
    socket.on('error', (error) => finish(silent(server, error.message)))
    socket.on('close', () => finish(silent(server, 'closed the TCP connection without an answer')))
    socket.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk])
      if (seen.length < 2 || seen.length < 2 + seen.readUInt16BE(0)) return
      const answer = accept(seen.subarray(2, 2 + seen.readUInt16BE(0)), id, question)
      finish(answer ?? silent(server, 'answered something else over TCP'))
    })
  })
}

const silent = ({ host, port }: DnsServer, why: string): Exchange => ({ kind: 'silent', text: `DNS server ${host}:${port}: ${why}` })
