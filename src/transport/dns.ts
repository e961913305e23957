/** Our own DNS stub: asks the configured servers, follows aliases, and remembers answers, also the empty ones, for as long as they live. */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Answer, DecodedPacket } from 'dns-packet'
import type { Clock } from '../ops/clock.ts'
import { type DnsServer, type Exchange, exchange, type QueryType } from './dns-exchange.ts'
import { type AdTrust, createAdTrust, type TrustAd } from './dns-trust.ts'
import { readTlsa, type Tlsa } from './tlsa.ts'

type Found = {
  readonly MX: { readonly preference: number; readonly exchange: string }
  readonly A: string
  readonly AAAA: string
  readonly CNAME: string
  readonly TXT: string
  readonly TLSA: Tlsa
  /** The name of the primary server. */
  readonly SOA: string
}

/**
 * - records: at least one, from the end of any chain of aliases; `name` is where they stand.
 * - nodata: the name exists, without such a record. - nxdomain: no such name (RFC 8020).
 * - temporary: SERVFAIL, REFUSED, time-out, or an alias loop: nothing is known; never to be taken for "none".
 *   `bogus`: there is an answer, but its DNSSEC signatures do not hold.
 *
 * `secure`: a resolver that we trust has validated the answer, and every alias on the way to it (RFC 4033 §5).
 */
export type Look<T extends QueryType> =
  | { readonly kind: 'records'; readonly records: readonly Found[T][]; readonly name: string; readonly secure: boolean }
  | { readonly kind: 'nodata'; readonly name: string; readonly secure: boolean }
  | { readonly kind: 'nxdomain'; readonly secure: boolean }
  | { readonly kind: 'temporary'; readonly text: string; readonly bogus: boolean }

export type Resolver = {
  /** Never rejects. Names are compared without case, with or without the last dot. */
  readonly look: <T extends QueryType>(name: string, type: T) => Promise<Look<T>>
}

export type ResolverOptions = {
  /** `address[:port]`, IPv6 with a port in brackets; empty: the servers of /etc/resolv.conf. */
  readonly servers: readonly string[]
  readonly clock: Clock
  /** Milliseconds for one question to one server over one protocol; default 3000. */
  readonly timeout?: number
  /** How often the list of servers is gone through; default 2. */
  readonly rounds?: number
  /** Whether the AD bit is believed; default `auto`. */
  readonly trustAd?: TrustAd
}

type Cached = { readonly look: Look<QueryType>; readonly until: number }

const day = 24 * 60 * 60 * 1000
const mostCached = 10_000
// spec transport: eight aliases in a row, no more.
const mostAliases = 8

/** A resolver with its own cache. Nothing is asked before the first `look`. */
export function createResolver({ servers, clock, timeout = 3000, rounds = 2, trustAd = 'auto' }: ResolverOptions): Resolver {
  const trust = createAdTrust(trustAd, clock, timeout)
  const cache = new Map<string, Cached>()
  const underway = new Map<string, Promise<Look<QueryType>>>()

  const ask = async (name: string, type: QueryType): Promise<Look<QueryType>> => {
    const asking = await withTrust(await serverList(servers), trust)
    const fresh = await resolve(name, type, (question) => askServers(asking, question, timeout, rounds))
    if (fresh.ttl > 0 && cache.size >= mostCached) cache.delete(cache.keys().next().value ?? '')
    if (fresh.ttl > 0) cache.set(`${type} ${name}`, { look: fresh.look, until: clock() + Math.min(fresh.ttl * 1000, day) })
    return fresh.look
  }

  const look = async (given: string, type: QueryType): Promise<Look<QueryType>> => {
    const name = canonical(given)
    const key = `${type} ${name}`
    const known = cache.get(key)
    if (known && known.until > clock()) return known.look
    cache.delete(key)
    const running = underway.get(key) ?? ask(name, type).finally(() => underway.delete(key))
    underway.set(key, running)
    return running
  }
  return { look: look as Resolver['look'] }
}

const canonical = (name: string) => name.toLowerCase().replace(/\.$/, '')

type Question = { readonly name: string; readonly type: QueryType }
/** `ttl` in seconds; 0: do not keep. */
type Fresh = { readonly look: Look<QueryType>; readonly ttl: number }

/** Follows aliases, inside one answer or by asking on. */
async function resolve(start: string, type: QueryType, askOne: (question: Question) => Promise<Asked>): Promise<Fresh> {
  let name = start
  let ttl = Number.POSITIVE_INFINITY
  let secure = true
  for (let aliases = 0; aliases <= mostAliases; ) {
    if (!isName(name)) return { look: { kind: 'nxdomain', secure: false }, ttl: 0 }
    const result = await askOne({ name, type })
    if (result.kind === 'failed') return temporary(result.text, result.bogus)
    const { packet, rcode } = result
    // RFC 6840 §5.8: AD speaks of the whole answer, aliases included.
    secure &&= result.secure
    const answers = packet.answers ?? []
    const asked = name
    for (let alias = aliasOf(answers, name); alias && type !== 'CNAME' && aliases <= mostAliases; alias = aliasOf(answers, name)) {
      name = canonical(alias.data)
      ttl = Math.min(ttl, alias.ttl ?? 0)
      aliases++
    }
    const found = answers.filter((answer) => answer.type === onTheWire(type) && canonical(answer.name) === name)
    if (found.length > 0) {
      const records = found.flatMap((answer) => read(answer))
      const kept = Math.min(ttl, ...found.map(ttlOf))
      return { look: records.length > 0 ? { kind: 'records', records, name, secure } : { kind: 'nodata', name, secure }, ttl: kept }
    }
    // RFC 2308 §2.1: NXDOMAIN speaks of the last name of the chain.
    const negative = Math.min(ttl, negativeTtl(packet.authorities ?? []))
    if (rcode === 'NXDOMAIN') return { look: { kind: 'nxdomain', secure }, ttl: negative }
    if (name === asked) return { look: { kind: 'nodata', name, secure }, ttl: negative }
  }
  return temporary(`${start} is an alias of an alias, more than ${mostAliases} times`, false)
}

const temporary = (text: string, bogus: boolean): Fresh => ({ look: { kind: 'temporary', text, bogus }, ttl: 0 })

// dns-exchange.ts hides TLSA records from the codec.
const onTheWire = (type: QueryType) => (type === 'TLSA' ? 'NULL' : type)

const ttlOf = (answer: Answer): number => ('ttl' in answer ? (answer.ttl ?? 0) : 0)

function aliasOf(answers: readonly Answer[], name: string): { readonly data: string; readonly ttl: number } | undefined {
  for (const answer of answers) {
    if (answer.type === 'CNAME' && canonical(answer.name) === name) return { data: answer.data, ttl: answer.ttl ?? 0 }
  }
  return undefined
}

// RFC 2308 §5: the lesser of the SOA's TTL and its minimum; without an SOA, do not keep.
function negativeTtl(authorities: readonly Answer[]): number {
  for (const answer of authorities) if (answer.type === 'SOA') return Math.min(answer.ttl ?? 0, answer.data.minimum ?? 0, 3600)
  return 0
}

function read(answer: Answer): Found[QueryType][] {
  switch (answer.type) {
    case 'MX':
      return [{ preference: answer.data.preference ?? 0, exchange: canonical(answer.data.exchange) }]
    case 'A':
    case 'AAAA':
    case 'CNAME':
      return [answer.data]
    case 'TXT':
      // RFC 7208 §3.3: the strings of one record are joined without spaces.
      return [Buffer.concat([answer.data].flat().map((part) => Buffer.from(part as string))).toString('utf8')]
    case 'NULL':
      return [readTlsa(answer.data)]
    case 'SOA':
      return [canonical(answer.data.mname)]
    default:
      return []
  }
}

/** RFC 1035 §2.3.4. Names come from strangers and end up in logs and SNI: letters, digits, hyphen, underscore only. */
const isName = (name: string) =>
  name.length > 0 && name.length <= 253 && /^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(name)

type Trusted = { readonly server: DnsServer; readonly trust: AdTrust }

/** Where one of the servers validates, the others are not asked: they would answer what it refuses, and DANE would be gone unseen. */
async function withTrust(servers: readonly DnsServer[], trust: (server: DnsServer) => Promise<AdTrust>): Promise<readonly Trusted[]> {
  const all = await Promise.all(servers.map(async (server) => ({ server, trust: await trust(server) })))
  const validating = all.filter((one) => one.trust === 'trusted')
  return validating.length > 0 ? validating : all
}

type Asked =
  | { readonly kind: 'answer'; readonly packet: DecodedPacket; readonly rcode: 'NOERROR' | 'NXDOMAIN'; readonly secure: boolean }
  | { readonly kind: 'failed'; readonly text: string; readonly bogus: boolean; readonly silent: boolean }

/** The first server with something to say wins; SERVFAIL and REFUSED let the next one speak. */
async function askServers(servers: readonly Trusted[], question: Question, timeout: number, rounds: number): Promise<Asked> {
  let last: Asked = { kind: 'failed', text: 'no DNS server is configured', bogus: false, silent: true }
  for (let round = 0; round < rounds; round++) {
    for (const { server, trust } of servers) {
      last = await askServer(server, trust, question, timeout)
      if (last.kind === 'answer' || last.bogus) return last
    }
    // A server that says "failed" will say so again; only silence is worth another round.
    if (!last.silent) return last
  }
  return last
}

async function askServer(server: DnsServer, trust: AdTrust, question: Question, timeout: number): Promise<Asked> {
  const dnssec = trust !== 'untrusted'
  const result = await exchange(server, { ...question, dnssec }, timeout)
  const failed = (text: string, bogus = false): Asked => ({ kind: 'failed', text, bogus, silent: result.kind === 'silent' })
  if (result.kind === 'silent') return failed(result.text)
  const { packet, rcode } = result
  if (rcode === 'NOERROR' || rcode === 'NXDOMAIN') {
    if (trust === 'unknown' && packet.flag_ad) return failed(`the DNS server ${server.host} has yet to show that it validates DNSSEC`)
    return { kind: 'answer', packet, rcode, secure: trust === 'trusted' && packet.flag_ad }
  }
  if (rcode === 'SERVFAIL' && trust === 'trusted' && (await hasUnchecked(server, question, timeout)))
    return failed(`the DNSSEC signatures for ${question.name} ${question.type} do not hold`, true)
  return failed(`DNS answered ${rcode} for ${question.name} ${question.type}`)
}

/** RFC 4035 §5.5: whether there is an answer when validation is left out. Then it was the validation that failed. */
async function hasUnchecked(server: DnsServer, question: Question, timeout: number): Promise<boolean> {
  const result: Exchange = await exchange(server, { ...question, dnssec: true, unchecked: true }, timeout)
  return result.kind === 'answer' && (result.rcode === 'NOERROR' || result.rcode === 'NXDOMAIN')
}

async function serverList(configured: readonly string[]): Promise<readonly DnsServer[]> {
  if (configured.length > 0) return configured.map(readServer)
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  const found = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)]
    .map(([, address = '']) => address)
    .filter((address) => isIP(address.replace(/%.*/, '')))
  // resolv.conf(5): without a nameserver line, the one on this machine.
  return (found.length > 0 ? found.slice(0, 3) : ['127.0.0.1']).map(readServer)
}

function readServer(text: string): DnsServer {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text)
  if (bracketed) return { host: bracketed[1] ?? '', port: Number(bracketed[2] ?? 53) }
  if (isIP(text.replace(/%.*/, ''))) return { host: text, port: 53 }
  const [host = '', port = '53'] = text.split(':')
  return { host, port: Number(port) }
}
