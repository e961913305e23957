/** What a message demands of the channel once the route is known, and whether a channel is good enough. Pure. */
import type { Assurance } from '../mail/outcome.ts'
import type { Route } from '../ops/settings.ts'
import type { CertificateFacts, ChainVerdict, Peer } from './certificate.ts'
import { type DaneVerdict, judgeDane } from './dane.ts'
import type { HostDane } from './dane-lookup.ts'
import type { HopSource } from './next-hop.ts'
import { usableTlsa } from './tlsa.ts'
import type { Need } from './transport.ts'
import type { Published, Row } from './trouble.ts'
import type { TlsVersion } from './trust.ts'

/** A need without `route`: the route's word has been put in its place. */
export type ChannelNeed = Exclude<Need, { kind: 'route' }>
export type ForcedNeed = Extract<Need, { kind: 'forced' }>
export type ClearNeed = Exclude<ChannelNeed, { kind: 'forced' }>

/** A standing TLS channel, as far as it is to be judged. */
export type Channel = {
  readonly protocol: string
  readonly cipher: string
  readonly chain: ChainVerdict
  readonly certificate: CertificateFacts | null
  readonly names: Peer['names']
  readonly spki: string | undefined
  readonly shown: Peer['shown']
  /** When the handshake ended, milliseconds since 1970. */
  readonly seenAt: number
}

/** Whom the channel leads to. */
export type Goal = Aim & { readonly host: string }

/** What is the same for all hosts of an attempt, or said of one beforehand. */
export type Aim = {
  readonly domain: string
  readonly source: HopSource
  /** The host is in an MTA-STS policy in force: its certificate must be valid and name it, whatever the need asks (RFC 8461 §4.1). */
  readonly sts?: boolean
  /** An enforced policy of the domain ran out lately: what may travel in clear elsewhere may not here (posture.ts). */
  readonly lapsed?: boolean
  /** The host's own TLSA records, where DNSSEC proves them: what they say counts, whatever the need asks, and before MTA-STS. */
  readonly dane?: HostDane | undefined
  /** An earlier host of this attempt offered STARTTLS and failed at it: opportunistic mail does not go on in clear elsewhere. */
  readonly tlsFailed?: boolean
}

export type Judgement =
  | { readonly kind: 'enough'; readonly assurance: Assurance; readonly identity: string }
  | { readonly kind: 'short'; readonly row: Row; readonly text: string }

/** For `organisation.domains` the route's tls is the need; for other domains the stricter of route and rule holds. */
export function channelNeed(need: Need, route: Route | undefined, own: boolean): ChannelNeed {
  if (!route) return need.kind === 'route' ? { kind: 'notice' } : need
  if (own || need.kind === 'route') return route.tls === 'none' ? { kind: 'notice' } : { kind: 'forced', level: route.tls }
  if (route.tls === 'none') return need
  if (need.kind !== 'forced') return { kind: 'forced', level: route.tls }
  return need.level === 'encrypted' ? { ...need, level: route.tls } : need
}

/** A need that no channel to this goal can meet: said before anything is sent. */
export function hopeless(need: ChannelNeed, source: HopSource, domain: string): string | undefined {
  if (need.kind !== 'forced') return undefined
  if (need.level === 'pinned' && fingerprints(need).length === 0) return 'the rule asks for a pinned key but lists none'
  // spec transport: no name stands for an address literal.
  if (source === 'literal' && need.level !== 'encrypted' && need.level !== 'pinned')
    return `${domain} is an address, for which no certificate can be verified`
  return undefined
}

/** The same for one host. */
export const hopelessAt = (need: ChannelNeed, host: string, { dane }: Aim): string | undefined =>
  need.kind === 'forced' && need.level === 'dane' && dane === undefined
    ? `the rule asks for DANE, but ${host} has no TLSA records that DNSSEC proves to us`
    : undefined

/** N1 and N2: clear text is for needs that allow it, at hosts that nobody has promised TLS of (RFC 7672 §2.2, RFC 8461 §5). */
export const mayBeClear = (need: ChannelNeed, { dane, sts, lapsed, tlsFailed }: Aim): boolean =>
  need.kind !== 'forced' && dane === undefined && sts !== true && lapsed !== true && !(need.kind === 'opportunistic' && tlsFailed === true)

const withoutTls: readonly Row[] = ['starttls-not-offered', 'starttls-4yz', 'starttls-5yz', 'no-shared-tls', 'tls-broken', 'tlsa-invalid']

/** What binds us in this trouble because of the host's own records: records that nobody can use ask for TLS, and for no more. */
export function boundByDane(row: Row, { dane }: Aim): Published | undefined {
  if (dane === undefined) return undefined
  return usableTlsa(dane.records).length > 0 || withoutTls.includes(row) ? 'dane' : undefined
}

/** Whether the channel is what the need asks, and what it proves. */
export function judgeChannel(need: ChannelNeed, channel: Channel, goal: Goal): Judgement {
  const { dane } = goal
  const proven: DaneVerdict | undefined = dane && judgeDane(channel.shown, dane.records, dane.names, channel.seenAt)
  // Nothing rescues what fails here: no MTA-STS policy, no trusted chain.
  if (proven?.kind === 'mismatch') return { kind: 'short', row: proven.row, text: `${goal.host} fails DANE: ${proven.text}` }
  const byDane = proven?.kind === 'match'
  const reached = reach(need, channel, goal, byDane)
  const bound = goal.sts || (goal.lapsed && need.kind !== 'forced')
  const refused = bound && !byDane ? againstPolicy(channel, goal) : undefined
  if (refused) return refused
  if (need.kind !== 'forced') return { kind: 'enough', ...reached }
  if (need.min === 'TLSv1.3' && channel.protocol !== 'TLSv1.3') {
    return { kind: 'short', row: 'too-low', text: `${goal.host} speaks ${channel.protocol}, the rule asks for TLS 1.3` }
  }
  switch (need.level) {
    case 'encrypted':
      return { kind: 'enough', ...reached }
    case 'pinned':
      return reached.assurance === 'pinned'
        ? { kind: 'enough', ...reached }
        : tooLow(`the key of ${goal.host} is not one of those that the rule lists`)
    case 'dane':
      if (reached.assurance === 'dane') return { kind: 'enough', ...reached }
      if (proven) return { kind: 'short', row: 'tlsa-invalid', text: `${goal.host} has only TLSA records that cannot be used` }
      return tooLow(`the rule asks for DANE, which ${goal.host} does not have`)
    case 'verified':
    case 'authenticated':
      return judgeIdentity(need.level, reached, channel, goal)
  }
}

/** RFC 8461 §4.2: a trusted chain that names the MX host itself. What no renewal repairs comes first. */
function againstPolicy({ chain, names }: Channel, { host }: Goal): (Judgement & { readonly kind: 'short' }) | undefined {
  if (chain.kind === 'untrusted') return { kind: 'short', row: 'not-trusted', text: chain.text }
  if (!names(host)) return { kind: 'short', row: 'name-mismatch', text: `certificate of ${host} is for another name` }
  return chain.kind === 'expired' ? { kind: 'short', row: 'expired', text: chain.text } : undefined
}

type Reached = { readonly assurance: Assurance; readonly identity: string }

function judgeIdentity(
  level: 'verified' | 'authenticated',
  reached: Reached,
  { chain, names }: Channel,
  { host, domain }: Goal,
): Judgement {
  if (reached.assurance === 'dane') return { kind: 'enough', ...reached }
  const named = names(host) || names(domain)
  // What no renewal repairs comes first: it decides whether waiting makes sense.
  if (chain.kind === 'untrusted') return { kind: 'short', row: 'not-trusted', text: chain.text }
  if (!named && reached.assurance !== 'authenticated')
    return { kind: 'short', row: 'name-mismatch', text: `certificate of ${host} is for another name` }
  if (chain.kind === 'expired') return { kind: 'short', row: 'expired', text: chain.text }
  if (level === 'verified' || reached.assurance === 'authenticated') return { kind: 'enough', ...reached }
  return tooLow(`certificate of ${host} names the MX host, but nothing proves that host for ${domain}; the rule asks for authenticated`)
}

const tooLow = (text: string): Judgement => ({ kind: 'short', row: 'too-low', text })

/** The best that the channel proves, whatever was asked. */
function reach(need: ChannelNeed, channel: Channel, { host, domain, source, sts }: Goal, byDane: boolean): Reached {
  const pins = need.kind === 'forced' ? need : undefined
  if (pins?.level === 'pinned' && channel.spki !== undefined && fingerprints(pins).includes(channel.spki))
    return { assurance: 'pinned', identity: 'pin' }
  if (byDane) return { assurance: 'dane', identity: 'dane' }
  if (channel.chain.kind !== 'trusted') return { assurance: 'encrypted', identity: 'none' }
  // The policy vouches for the MX host, the certificate for its name.
  if (sts && channel.names(host)) return { assurance: 'authenticated', identity: 'sts' }
  // The domain itself, a name the admin pinned, or the host the admin routed to: no unsigned DNS answer stands between.
  const sure = [domain, ...(source === 'mx' ? [] : [host]), ...pinnedNames(pins)]
  if (source !== 'literal' && sure.some((name) => channel.names(name))) return { assurance: 'authenticated', identity: 'webpki' }
  if (source === 'mx' && channel.names(host)) return { assurance: 'verified', identity: 'webpki (MX name from unsigned DNS)' }
  return { assurance: 'encrypted', identity: 'none' }
}

const isFingerprint = (pin: string) => /^[\da-f]{64}$/.test(pin)
const fingerprints = ({ pin = [] }: ForcedNeed): readonly string[] => pin.filter(isFingerprint)
const pinnedNames = (need: ForcedNeed | undefined): readonly string[] => (need?.pin ?? []).filter((pin) => !isFingerprint(pin))

/** The oldest version for the handshake: the setting's. A rule's own minimum is judged afterwards, so that it can be told apart. */
export const handshakeMinimum = (setting: '1.2' | '1.3'): TlsVersion => `TLSv${setting}`
