/** An authoritative DNS server on loopback, over UDP and TCP, that answers from a table: the demo's and the tests' internet. */
import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import * as codec from 'dns-packet'

/** Types and data as dns-packet writes them, e.g. `{ type: 'MX', data: { preference: 10, exchange: 'mx.a.example' } }`. */
export type FakeRecord =
  | { readonly type: 'A' | 'AAAA' | 'CNAME' | 'NS' | 'PTR'; readonly data: string; readonly ttl?: number }
  | { readonly type: 'MX'; readonly data: { readonly preference: number; readonly exchange: string }; readonly ttl?: number }
  | { readonly type: 'TXT'; readonly data: string | readonly string[]; readonly ttl?: number }
  | { readonly type: 'SOA'; readonly data: codec.SoaData; readonly ttl?: number }
  /** RDATA: usage, selector, matching type, then the data (RFC 6698 §2.1). */
  | { readonly type: 'TLSA'; readonly data: Buffer; readonly ttl?: number }

/** What is answered for one name. A name without an entry is NXDOMAIN, a type without a record NODATA. */
export type FakeName = {
  readonly records?: readonly FakeRecord[]
  readonly rcode?: 'NOERROR' | 'SERVFAIL' | 'NXDOMAIN' | 'REFUSED' | 'FORMERR' | 'NOTIMP'
  /** Milliseconds before the answer. */
  readonly delay?: number
  /** Never answer. */
  readonly silent?: boolean
  /** Over UDP say only "truncated". */
  readonly truncate?: boolean
  /** As a validating resolver answers for a signed zone: with AD, for this name and the names below it that are not listed. */
  readonly secure?: boolean
  /** As a validating resolver answers where signatures do not hold: SERVFAIL, unless it is asked not to check (CD). */
  readonly bogus?: boolean
  /** Applies only to queries of these types; others are answered from `records` as usual. */
  readonly only?: readonly string[]
}

export type FakeQuery = { readonly name: string; readonly type: string; readonly over: 'udp' | 'tcp'; readonly cd: boolean }

/** The entry of the name `.` that makes this server pass for a validating resolver. */
export const signedRoot: FakeName = {
  // Not for the top-level domains: each name says itself whether it is signed.
  records: [
    { type: 'SOA', ttl: 3600, data: { mname: 'a.root', rname: 'nobody.root', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 } },
  ],
  secure: true,
  only: ['SOA'],
}

export type FakeDns = {
  /** `127.0.0.1:port`, as the setting `dns.servers` takes it. */
  readonly address: string
  /** Replace what is known of a name; undefined forgets it. */
  readonly set: (name: string, entry: FakeName | undefined) => void
  /** Every query so far, in order. */
  readonly queries: FakeQuery[]
  readonly close: () => Promise<void>
}

const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const

/** Listen on `host` (default 127.0.0.1), the same port for both protocols (0: a free one). Keys of `zone` are names, any case. */
export async function startFakeDns(zone: { readonly [name: string]: FakeName } = {}, host = '127.0.0.1', wanted = 0): Promise<FakeDns> {
  const names = new Map(Object.entries(zone).map(([name, entry]) => [canonical(name), entry]))
  const queries: FakeQuery[] = []
  let open = true
  const answer = (bytes: Buffer, over: 'udp' | 'tcp', send: (reply: Buffer) => void) => {
    const query = decode(bytes)
    const question = query?.questions?.[0]
    if (!query || !question) return
    queries.push({ name: canonical(question.name), type: question.type, over, cd: query.flag_cd })
    const entry = names.get(canonical(question.name))
    const special = entry && (!entry.only || entry.only.includes(question.type)) ? entry : undefined
    if (special?.silent) return
    const reply = encodeReply(query, question, names, special, over)
    setTimeout(() => open && send(reply), special?.delay ?? 0)
  }
  const { udp, tcp, port, sockets } = await listen(host, wanted, answer)
  return {
    address: `${host}:${port}`,
    queries,
    set: (name, entry) => void (entry ? names.set(canonical(name), entry) : names.delete(canonical(name))),
    close: async () => {
      open = false
      for (const socket of sockets) socket.destroy()
      await Promise.all([new Promise<void>((done) => udp.close(() => done())), new Promise((done) => tcp.close(done))])
    },
  }
}

const canonical = (name: string) => name.toLowerCase().replace(/\.$/, '')

function decode(bytes: Buffer): codec.DecodedPacket | undefined {
  try {
    return codec.decode(bytes)
  } catch {
    return undefined
  }
}

function encodeReply(
  query: codec.DecodedPacket,
  question: codec.Question,
  names: ReadonlyMap<string, FakeName>,
  special: FakeName | undefined,
  over: 'udp' | 'tcp',
): Buffer {
  const { answers, rcode, secure } = lookUp(question, names, special, query.flag_cd)
  const base = { id: query.id ?? 0, type: 'response' as const, questions: [question] }
  // RFC 6840 §5.8: AD only for those who show that they know it.
  const opt = query.additionals?.find((record) => record.type === 'OPT') as { udpPayloadSize?: number; flag_do?: boolean } | undefined
  const ad = secure && (query.flag_ad || opt?.flag_do) ? codec.AUTHENTIC_DATA : 0
  const flags = codec.AUTHORITATIVE_ANSWER | codec.RECURSION_DESIRED | codec.RECURSION_AVAILABLE | ad | rcodes[rcode]
  const authorities = answers.length > 0 ? [] : [soa(question.name)]
  const full = codec.encode({ ...base, flags, answers, authorities })
  // RFC 6891 §6.2.5: without EDNS a UDP answer holds 512 octets.
  if (over === 'tcp' || (!special?.truncate && full.length <= Math.max(opt?.udpPayloadSize ?? 512, 512))) return full
  return codec.encode({ ...base, flags: flags | codec.TRUNCATED_RESPONSE })
}

type LookedUp = { readonly answers: codec.Answer[]; readonly rcode: keyof typeof rcodes; readonly secure: boolean }

function lookUp(
  question: codec.Question,
  names: ReadonlyMap<string, FakeName>,
  special: FakeName | undefined,
  unchecked: boolean,
): LookedUp {
  if (special?.rcode && special.rcode !== 'NOERROR') return { answers: [], rcode: special.rcode, secure: false }
  const answers: codec.Answer[] = []
  let name = canonical(question.name)
  let secure = true
  // A server follows CNAMEs inside its own zone (RFC 1034 §3.6.2), not for ever.
  for (let hop = 0; hop < 16; hop++) {
    const entry = names.get(name)
    const applies = !entry?.only || entry.only.includes(question.type)
    secure &&= applies && isSecure(name, names) && !unchecked
    if (entry?.bogus && applies && !unchecked) return { answers: [], rcode: 'SERVFAIL', secure: false }
    if (!entry) return { answers, rcode: answers.length > 0 ? 'NOERROR' : 'NXDOMAIN', secure }
    const { records = [] } = entry
    const alias = records.find((record) => record.type === 'CNAME')
    const wanted = alias && question.type !== 'CNAME' ? [alias] : records.filter((record) => record.type === question.type)
    answers.push(...wanted.map((record) => toAnswer(name, record)))
    if (!alias || question.type === 'CNAME') break
    name = canonical(alias.data as string)
  }
  return { answers, rcode: 'NOERROR', secure }
}

/** A name that is not listed is as secure as the nearest one above it. */
function isSecure(name: string, names: ReadonlyMap<string, FakeName>): boolean {
  const entry = names.get(name)
  if (entry) return entry.secure === true
  const parent = name.indexOf('.') < 0 ? undefined : name.slice(name.indexOf('.') + 1)
  return parent !== undefined && isSecure(parent, names)
}

// The codec's own TLSA cannot write records of the wrong length: 52 is written as an unknown type.
const toAnswer = (name: string, record: FakeRecord): codec.Answer =>
  ({ name, ttl: 300, class: 'IN', ...record, ...(record.type === 'TLSA' && { type: 'UNKNOWN_52' }) }) as codec.Answer

// The negative TTL is the smaller of the SOA's own TTL and its minimum (RFC 2308 §5).
const soa = (name: string): codec.Answer => ({
  type: 'SOA',
  name,
  ttl: 60,
  data: { mname: 'ns.invalid', rname: 'nobody.invalid', serial: 1, refresh: 3600, retry: 600, expire: 86400, minimum: 60 },
})

type Answering = (bytes: Buffer, over: 'udp' | 'tcp', send: (reply: Buffer) => void) => void

async function listen(host: string, wanted: number, answer: Answering) {
  for (let attempt = 0; ; attempt++) {
    const sockets = new Set<Socket>()
    const tcp = createServer((socket) => serveTcp(socket, answer, sockets))
    await new Promise<void>((done, fail) => tcp.once('error', fail).listen(wanted, host, done))
    const port = (tcp.address() as { port: number }).port
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    udp.on('message', (bytes, from) => answer(bytes, 'udp', (reply) => udp.send(reply, from.port, from.address, () => undefined)))
    const bound = await new Promise<boolean>((done) => udp.once('error', () => done(false)).bind(port, host, () => done(true)))
    if (bound) return { udp, tcp, port, sockets }
    // The port was free for TCP but taken for UDP: draw again.
    tcp.close()
    if (attempt === 20) throw new Error(`no port on ${host} is free for both UDP and TCP`)
  }
}

// RFC 1035 §4.2.2: each message over TCP is preceded by its length in two octets.
function serveTcp(socket: Socket, answer: Answering, sockets: Set<Socket>): void {
  let seen = Buffer.alloc(0)
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk])
    while (seen.length >= 2 && seen.length >= 2 + seen.readUInt16BE(0)) {
      const length = seen.readUInt16BE(0)
      const message = seen.subarray(2, 2 + length)
      seen = seen.subarray(2 + length)
      answer(message, 'tcp', (reply) => {
        const framed = Buffer.alloc(2)
        framed.writeUInt16BE(reply.length)
        if (!socket.destroyed) socket.write(Buffer.concat([framed, reply]))
      })
    }
  })
}
