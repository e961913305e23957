/** Where a peer's mail goes: to one host on loopback, or to 200 domains at a distance, a tenth of them dead. */
import { type FakeDns, type FakeName, startFakeDns } from '../src/demo/fake-dns.ts'
import type { Certificates } from './certificates.ts'
import { isolated } from './isolate.ts'
import type { Next } from './peers/peer.ts'
import type { Sink, Tool } from './tools.ts'

export type Ground = {
  readonly next: Next
  readonly sink: Sink
  /** What the generator takes as recipients: %d is first the number of the message, then of its domain. */
  readonly recipient: string
  readonly domains: number
  /** The same for what is sent before anything is measured: to hosts that live, and are met again only where there is but one. */
  readonly warmUp: { readonly recipient: string; readonly domains: number }
  /** How many of so many accepted messages have a host that is not dead. */
  readonly reachable: (accepted: number) => number
  readonly close: () => void
}

export type GroundParts = { readonly folder: string; readonly tool: Tool; readonly certificates: Certificates }

/** One next hop on loopback, a free port. */
export async function nearGround({ folder, tool, certificates }: GroundParts): Promise<Ground> {
  const sink = await tool.startSink({ folder, certificate: certificates })
  return {
    next: { kind: 'smarthost', host: 'localhost', port: sink.port },
    sink,
    recipient: 'rcpt%d@example.net',
    domains: 1,
    warmUp: { recipient: 'rcpt%d@example.net', domains: 1 },
    reachable: (accepted) => accepted,
    close: sink.close,
  }
}

const domains = 200
/** Domains whose host refuses connections, and whose host never answers a SYN. */
const refusing = 10
const silent = 10
const alive = domains - refusing - silent
/** Further domains, with living hosts of their own, for the warm-up. */
const warming = 20
/** Milliseconds from one to the other and back. */
export const distance = 50

/** The names that the hosts' certificate is for. */
export const farHosts = '*.hosts.example'

/**
 * 200 domains with a host each, 50 ms away: 127.N.0.1 and so on. `number` is the peer's own N, 1 to 250. The system's DNS is asked, which is
 * ours; without namespaces of our own there is no such ground.
 */
export async function farGround({ folder, tool, certificates }: GroundParts, number: number, dns: FakeDns): Promise<Ground> {
  const address = (host: number) => `127.${number}.0.${host}`
  for (const [name, entry] of zone(number, address)) dns.set(name, entry)
  const listen = [`${address(1)}:25+${alive}`, `${address(domains + 1)}:25+${warming}`]
  const dead = [`${address(alive + refusing + 1)}:25+${silent}`]
  const sink = await tool.startSink({ folder, certificate: certificates, listen, dead, distance })
  return {
    next: { kind: 'internet' },
    sink,
    recipient: `rcpt%d@d%d.p${number}.example`,
    domains,
    warmUp: { recipient: `rcpt%d@w%d.p${number}.example`, domains: warming },
    reachable: (accepted) => Math.floor(accepted / domains) * alive + Math.min(accepted % domains, alive),
    close: sink.close,
  }
}

/** Domain d0 goes to host number 1, and w0 to the first one behind all of those. */
const zone = (number: number, address: (host: number) => string): [string, FakeName][] =>
  Array.from({ length: domains + warming }, (_, index): [string, FakeName][] => {
    const name = index < domains ? `d${index}` : `w${index - domains}`
    const host = `${name}-p${number}.hosts.example`
    return [
      [`${name}.p${number}.example`, { records: [{ type: 'MX', ttl: 3600, data: { preference: 10, exchange: host } }] }],
      [host, { records: [{ type: 'A', ttl: 3600, data: address(index + 1) }] }],
    ]
  }).flat()

/** The DNS server that everything in our namespaces asks; undefined where they are not ours. */
export const startDns = async (): Promise<FakeDns | undefined> => (isolated() ? startFakeDns({}, '127.0.0.1', 53) : undefined)
