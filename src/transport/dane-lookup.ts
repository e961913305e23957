/** Looks up the TLSA records of a mail host, where DNSSEC lets them mean something (RFC 7672 §2.2). */
import type { Resolver } from './dns.ts'
import type { Tlsa } from './tlsa.ts'

/** What DNSSEC proves about a host: at least one TLSA record, perhaps none that can be used (RFC 7672 §2.2.3). */
export type HostDane = {
  /** The TLSA base domain: the name for SNI, and in the certificate (§8.1). */
  readonly base: string
  readonly records: readonly Tlsa[]
  /** Names of which one must be in a certificate under a trust anchor (§3.2.2). */
  readonly names: readonly string[]
}

/** - none: no DANE for this host. - failed: nobody knows, so the host may not be used this time (§2.1.2); `bogus`: signatures do not hold. */
export type DaneLook =
  | { readonly kind: 'tlsa'; readonly dane: HostDane }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly bogus: boolean; readonly text: string }

/** A host whose name is proven, its addresses as they were found at the end of any aliases. `expanded`: the name they stand at. */
export type ProvenHost = {
  readonly name: string
  readonly port: number
  readonly expanded: string
  /** Whether the addresses, and every alias on the way to them, are validated. */
  readonly secure: boolean
  /** Other names by which the host may be known: the domain that the mail is for. */
  readonly also: readonly string[]
}

/** Never rejects. Without secure addresses TLSA is not asked for: many servers of unsigned zones cannot answer that (§2.2.2). */
export async function lookUpDane(host: ProvenHost, resolver: Resolver): Promise<DaneLook> {
  const bases = await basesOf(host, resolver)
  if (bases.kind === 'failed') return bases
  for (const base of bases.names) {
    const look = await resolver.look(`_${host.port}._tcp.${base}`, 'TLSA')
    if (look.kind === 'temporary') {
      const text = `the TLSA records of ${base} ${look.bogus ? 'are not what their signatures say' : 'cannot be looked up now'} (${look.text})`
      return { kind: 'failed', bogus: look.bogus, text }
    }
    if (look.kind === 'records' && look.secure)
      return { kind: 'tlsa', dane: { base, records: look.records, names: [...new Set([base, host.name, ...host.also])] } }
  }
  return { kind: 'none' }
}

type Bases = { readonly kind: 'names'; readonly names: readonly string[] } | (DaneLook & { readonly kind: 'failed' })

/** §2.2.2: the name at the end of the aliases first, then the name that was given. */
async function basesOf({ name, expanded, secure }: ProvenHost, resolver: Resolver): Promise<Bases> {
  if (secure) return { kind: 'names', names: [...new Set([expanded, name])] }
  if (expanded === name) return { kind: 'names', names: [] }
  // A signed alias may lead out of signed zones: then the records stand where the alias does.
  const alias = await resolver.look(name, 'CNAME')
  if (alias.kind === 'temporary') return { kind: 'failed', bogus: alias.bogus, text: `${name} cannot be looked up now (${alias.text})` }
  return { kind: 'names', names: alias.kind === 'records' && alias.secure ? [name] : [] }
}
