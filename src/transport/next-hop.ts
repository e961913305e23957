/** Where mail for a domain goes: its MX hosts by RFC 5321 §5.1, or the route that the settings give. */
import { isIP } from 'node:net'
import type { Settings } from '../ops/settings.ts'
import { addressLiteral, isOwnAddress, isSpecialPurpose } from './addresses.ts'
import { type DaneLook, type HostDane, lookUpDane } from './dane-lookup.ts'
import type { Look, Resolver } from './dns.ts'
import type { QueryType } from './dns-exchange.ts'

/** One address of one host, to be connected to. */
export type Candidate = { readonly host: string; readonly address: string; readonly port: number }

/** Where a candidate's host name came from: how much a certificate for it proves. */
export type HopSource = 'mx' | 'implicit' | 'literal' | 'route'

/**
 * - hops: where to try, best first; `unusable` says which hosts were left out and why; `dane`, by host, what DNSSEC proves about them.
 * - none: no use to try; `why` is a row of the decision table.
 */
export type NextHop =
  | {
      readonly kind: 'hops'
      readonly source: HopSource
      readonly candidates: readonly Candidate[]
      readonly unusable: readonly Unusable[]
      readonly dane: ReadonlyMap<string, HostDane>
    }
  | { readonly kind: 'none'; readonly why: NoHop; readonly text: string; readonly unusable: readonly Unusable[] }

export type NoHop =
  | 'domain-not-found'
  | 'null-mx'
  | 'mx-unresolvable'
  | 'mail-loop'
  | 'address-not-allowed'
  | 'dns-temporary'
  | 'dnssec-invalid'
export type Unusable = {
  readonly host: string
  readonly why: 'dns-temporary' | 'dnssec-invalid' | 'unresolvable' | 'own' | 'not-allowed'
  readonly text: string
}

export type HopParts = { readonly settings: Settings; readonly resolver: Resolver; readonly random?: () => number }

// spec transport: at most five addresses an attempt.
const mostAddresses = 5
// A domain with a thousand MX records may not cost a thousand look-ups.
const mostHosts = 20

/** The candidates for a domain (canonical: lower-case A-labels, or an address literal). Never rejects. */
export async function nextHop(domain: string, parts: HopParts): Promise<NextHop> {
  const route = routeOf(domain, parts.settings)
  // Inside the organisation its route's own word is the need.
  const also = parts.settings['organisation.domains'].includes(domain) ? undefined : []
  if (route) return hostsToHop('route', [{ name: route.host, port: route.port, also }], parts)
  const port = parts.settings['delivery.port']
  const literal = addressLiteral(domain)
  if (literal !== undefined) return hostsToHop('literal', [{ name: literal, port }], parts)
  const mx = await parts.resolver.look(domain, 'MX')
  switch (mx.kind) {
    case 'temporary':
      return mx.bogus
        ? none('dnssec-invalid', `the MX records of ${domain} are not what their signatures say (${mx.text})`)
        : none('dns-temporary', `the MX records of ${domain} cannot be looked up now (${mx.text})`)
    case 'nxdomain':
      return none('domain-not-found', `the domain ${domain} does not exist`)
    case 'nodata':
      // RFC 5321 §5.1: no MX: the domain itself is the host.
      return implicit(domain, { name: domain, port, also: mx.secure ? [] : undefined }, parts)
    case 'records':
      // RFC 7672 §2.2.1: names from an unsigned answer are nobody's word. §3.2.2: the certificate may also name the domain itself.
      return explicit(domain, mx.records, mx.secure ? [domain, mx.name] : undefined, parts)
  }
}

/** The route of the settings for a domain, its own or the smarthost's. */
export function routeOf(domain: string, settings: Pick<Settings, 'delivery.routes'>): Settings['delivery.routes'][string] | undefined {
  const routes = settings['delivery.routes']
  return Object.hasOwn(routes, domain) ? routes[domain] : routes['*']
}

/** `also`: other names that a certificate under DANE may have; undefined: the name is not proven, so there is no DANE. */
type Host = { readonly name: string; readonly port: number; readonly preference?: number; readonly also?: readonly string[] | undefined }

async function implicit(domain: string, host: Host, parts: HopParts): Promise<NextHop> {
  const hop = await hostsToHop('implicit', [host], parts)
  if (hop.kind === 'none' && hop.why === 'mx-unresolvable')
    return none('domain-not-found', `${domain} has neither an MX record nor an address`)
  return hop
}

async function explicit(
  domain: string,
  records: readonly { preference: number; exchange: string }[],
  also: Host['also'],
  parts: HopParts,
): Promise<NextHop> {
  // RFC 7505 §3: "0 ." alone; beside other records it means nothing.
  const named = records.filter(({ exchange }) => exchange !== '' && exchange !== '.')
  if (named.length === 0) return none('null-mx', `${domain} says that it accepts no mail (null MX)`)
  const port = parts.settings['delivery.port']
  const sorted = shuffleEqual(named, parts.random ?? Math.random).slice(0, mostHosts)
  const own = sorted.find(({ exchange }) => exchange === parts.settings.hostname.toLowerCase())
  return hostsToHop(
    'mx',
    sorted.map(({ exchange: name, preference }) => ({ name, preference, port, also })),
    parts,
    own?.preference,
  )
}

/** RFC 5321 §5.1: by preference; the equal ones in random order, so that load is spread. */
function shuffleEqual<T extends { readonly preference: number }>(records: readonly T[], random: () => number): T[] {
  return records
    .map((record) => ({ record, luck: random() }))
    .sort((a, b) => a.record.preference - b.record.preference || a.luck - b.luck)
    .map(({ record }) => record)
}

/** Looks up hosts in order until there are enough addresses, and drops what must not be connected to. */
async function hostsToHop(source: HopSource, hosts: readonly Host[], parts: HopParts, loopAt = Number.POSITIVE_INFINITY): Promise<NextHop> {
  const candidates: (Candidate & { readonly preference: number })[] = []
  const unusable: Unusable[] = []
  const dane = new Map<string, HostDane>()
  let limit = loopAt
  for (const host of hosts) {
    const { name, port, preference = 0 } = host
    // RFC 5321 §5.1: ourselves, and everything not better than ourselves, would be a loop.
    if (preference >= limit) unusable.push({ host: name, why: 'own', text: `${name} is not nearer to the mailbox than we are` })
    if (preference >= limit || candidates.length >= mostAddresses) continue
    const found = await addressesOf(name, parts)
    if (found.kind === 'unusable') {
      unusable.push(found.unusable)
      continue
    }
    const looked = await daneOf(host, found, parts)
    if (looked.kind === 'failed') {
      unusable.push({ host: name, why: looked.bogus ? 'dnssec-invalid' : 'dns-temporary', text: looked.text })
      continue
    }
    if (looked.kind === 'tlsa') dane.set(name, looked.dane)
    for (const address of found.addresses) {
      if (source !== 'route' && isOwnAddress(address, port, ownListeners(parts.settings))) {
        limit = Math.min(limit, preference)
        unusable.push({ host: name, why: 'own', text: `${name} (${address}) is this machine` })
      } else if (source !== 'route' && !parts.settings['delivery.allowPrivateAddresses'] && isSpecialPurpose(address)) {
        unusable.push({ host: name, why: 'not-allowed', text: `${name} has the address ${address}, which is not a public one` })
      } else candidates.push({ host: name, address, port, preference })
    }
  }
  const usable = chooseAddresses(candidates.filter(({ preference }) => preference < limit))
  if (usable.length > 0) return { kind: 'hops', source, candidates: usable, unusable, dane }
  return { ...whyNone(unusable), unusable }
}

const ownListeners = (settings: Settings) => [...settings['smtp.listen'], ...settings['smtp.implicitTlsListen']]

const daneOf = async ({ name, port, also }: Host, { expanded, secure }: Addressed, { resolver }: HopParts): Promise<DaneLook> =>
  also === undefined ? { kind: 'none' } : lookUpDane({ name, port, expanded, secure, also }, resolver)

/** `expanded`: the name at the end of any aliases; `secure`: DNSSEC proves it all. */
type Addressed = { readonly addresses: readonly string[]; readonly expanded: string; readonly secure: boolean }
type Addresses = ({ readonly kind: 'addresses' } & Addressed) | { readonly kind: 'unusable'; readonly unusable: Unusable }

/** All addresses of a host: both families, in turns. A family that cannot be looked up does not hide the other. */
async function addressesOf(name: string, { settings, resolver }: HopParts): Promise<Addresses> {
  const unproven = { expanded: name, secure: false }
  if (isIP(name)) return { kind: 'addresses', addresses: [name], ...unproven }
  // RFC 6761 §6.3: localhost is never asked of a DNS server.
  if (name === 'localhost')
    return { kind: 'addresses', addresses: settings['delivery.ipv6'] ? ['127.0.0.1', '::1'] : ['127.0.0.1'], ...unproven }
  const looks: Look<QueryType>[] = await Promise.all([
    resolver.look(name, 'A'),
    ...(settings['delivery.ipv6'] ? [resolver.look(name, 'AAAA')] : []),
  ])
  const [first = [], second = []] = looks.map((look) => (look.kind === 'records' ? (look.records as string[]) : []))
  const addresses = [...first.keys(), ...second.keys()].length > 0 ? inTurns(first, second) : []
  const filled = looks.filter((look) => look.kind === 'records')
  if (addresses.length > 0)
    return { kind: 'addresses', addresses, expanded: filled[0]?.name ?? name, secure: filled.every(({ secure }) => secure) }
  const failed = looks.find((look) => look.kind === 'temporary')
  if (failed?.bogus) return unusable(name, 'dnssec-invalid', `the address of ${name} is not what its signatures say (${failed.text})`)
  if (failed) return unusable(name, 'dns-temporary', `the address of ${name} cannot be looked up now (${failed.text})`)
  return unusable(name, 'unresolvable', `the host ${name} has no address`)
}

const unusable = (host: string, why: Unusable['why'], text: string): Addresses => ({ kind: 'unusable', unusable: { host, why, text } })

const inTurns = (first: readonly string[], second: readonly string[]): string[] =>
  Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]])
    .flat()
    .filter((address) => address !== undefined)

/** The first five, but the last place is for the other family when the first five are all of one. */
function chooseAddresses(all: readonly Candidate[]): Candidate[] {
  const chosen = all.slice(0, mostAddresses).map(({ host, address, port }) => ({ host, address, port }))
  const family = isIP(chosen[0]?.address ?? '')
  const other = all.find(({ address }) => isIP(address) !== family)
  if (other === undefined || chosen.some(({ address }) => isIP(address) !== family)) return chosen
  return [...chosen.slice(0, mostAddresses - 1), { host: other.host, address: other.address, port: other.port }]
}

/** The row for "no candidate left": the most hopeful reason of all. */
function whyNone(unusable: readonly Unusable[]): { readonly kind: 'none'; readonly why: NoHop; readonly text: string } {
  const rows = {
    'dns-temporary': 'dns-temporary',
    'dnssec-invalid': 'dnssec-invalid',
    own: 'mail-loop',
    'not-allowed': 'address-not-allowed',
    unresolvable: 'mx-unresolvable',
  } as const
  for (const why of ['dns-temporary', 'dnssec-invalid', 'own', 'not-allowed', 'unresolvable'] as const) {
    const found = unusable.find((host) => host.why === why)
    if (found) return { kind: 'none', why: rows[why], text: found.text }
  }
  return { kind: 'none', why: 'mx-unresolvable', text: 'no host is left to try' }
}

const none = (why: NoHop, text: string): NextHop => ({ kind: 'none', why, text, unusable: [] })
