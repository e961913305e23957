/** The TLSA records of one mail host for the eye: what binds deliveries is nextHop's word (RFC 7672 §2.2). */
import type { HostDane } from './dane-lookup.ts'
import type { Resolver } from './dns.ts'
import { type Tlsa, tlsaText, usableTlsa } from './tlsa.ts'

/**
 * - records: DNSSEC proves them, so they bind. - insecure: there, but nothing proves them to us, so nobody may count on them.
 * - none: nothing to be found.
 */
export type TlsaSeen =
  | { readonly kind: 'records'; readonly records: readonly Tlsa[]; readonly usable: number }
  | { readonly kind: 'insecure'; readonly records: readonly Tlsa[] }
  | { readonly kind: 'none' }

/** `dane`: what nextHop found proven. Never rejects. */
export async function probeTlsa(host: string, port: number, dane: HostDane | undefined, resolver: Resolver): Promise<TlsaSeen> {
  if (dane) return { kind: 'records', records: dane.records, usable: usableTlsa(dane.records).length }
  const looked = await resolver.look(`_${port}._tcp.${host}`, 'TLSA')
  return looked.kind === 'records' ? { kind: 'insecure', records: looked.records } : { kind: 'none' }
}

/** In a few words. */
export function tlsaSeenText(seen: TlsaSeen): string {
  switch (seen.kind) {
    case 'none':
      return 'no TLSA record'
    case 'insecure':
      return `${listed(seen.records)}, but DNSSEC does not prove it to us`
    case 'records':
      return `${listed(seen.records)}, signed${seen.usable === 0 ? ', none of them usable for mail' : ''}`
  }
}

const listed = (records: readonly Tlsa[]) =>
  `${records.slice(0, 3).map(tlsaText).join(', ')}${records.length > 3 ? ` and ${records.length - 3} more` : ''}`
