/** Whether a DNS server's word that an answer was validated (the AD bit) can be believed (RFC 4035 §4.9.3, RFC 7672 §2.1). */
import type { Clock } from '../ops/clock.ts'
import { isLoopbackHost } from '../ops/loopback.ts'
import { type DnsServer, exchange } from './dns-exchange.ts'

/** The setting dns.trustAd. */
export type TrustAd = 'auto' | 'always' | 'never'

/** `unknown`: it may be trusted, but has not answered the self-test yet. */
export type AdTrust = 'trusted' | 'untrusted' | 'unknown'

type Known = { readonly trust: AdTrust; readonly until: number }

const second = 1000
const minute = 60 * second
const day = 24 * 60 * minute

/**
 * Tells of a server whether it is trusted. `auto`: it is on this machine, so that nobody on the way can set the bit, and it validates:
 * the SOA of the signed root comes back with AD. The answer is kept for the SOA's TTL, then asked for again. Never rejects.
 */
export function createAdTrust(mode: TrustAd, clock: Clock, timeout: number): (server: DnsServer) => Promise<AdTrust> {
  const known = new Map<string, Known>()
  const underway = new Map<string, Promise<AdTrust>>()

  const test = async (server: DnsServer, key: string): Promise<AdTrust> => {
    const tested = await selfTest(server, timeout)
    // No answer says nothing new: who validated an hour ago still does.
    const trust = tested.trust === 'unknown' ? (known.get(key)?.trust ?? 'unknown') : tested.trust
    known.set(key, { trust, until: clock() + tested.keep })
    return trust
  }

  return async (server) => {
    if (mode !== 'auto') return mode === 'always' ? 'trusted' : 'untrusted'
    if (!isLoopbackHost(server.host)) return 'untrusted'
    const key = `${server.host} ${server.port}`
    const found = known.get(key)
    if (found && found.until > clock()) return found.trust
    const running = underway.get(key) ?? test(server, key).finally(() => underway.delete(key))
    underway.set(key, running)
    return running
  }
}

/** `keep` in milliseconds. */
async function selfTest(server: DnsServer, timeout: number): Promise<{ readonly trust: AdTrust; readonly keep: number }> {
  const answer = await exchange(server, { name: '', type: 'SOA', dnssec: true }, timeout)
  if (answer.kind === 'silent') return { trust: 'unknown', keep: 10 * second }
  const soa = (answer.packet.answers ?? []).find(({ type }) => type === 'SOA')
  const ttl = soa && 'ttl' in soa ? (soa.ttl ?? 0) * second : 0
  if (answer.rcode === 'NOERROR' && soa && answer.packet.flag_ad) return { trust: 'trusted', keep: Math.min(Math.max(ttl, minute), day) }
  // SERVFAIL may be a resolver that has only just started.
  if (answer.rcode === 'SERVFAIL') return { trust: 'unknown', keep: 10 * second }
  return { trust: 'untrusted', keep: 5 * minute }
}
