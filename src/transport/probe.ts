/** Looks at where mail for a domain would go and how safely, without sending any: the facts behind `domain check` and the daily probes. */
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { HostDane } from './dane-lookup.ts'
import { createResolver, type Resolver } from './dns.ts'
import { type Candidate, type HopSource, type NoHop, nextHop, type Unusable } from './next-hop.ts'
import { probeHost, type Seen } from './probe-host.ts'
import { probeSts, type StsSeen, stsText } from './probe-sts.ts'
import { probeTlsa, type TlsaSeen, tlsaSeenText } from './probe-tlsa.ts'
import { handshakeMinimum } from './tls-need.ts'
import { loadTrust, type TlsVersion, type Trust } from './trust.ts'

export const stepNames = ['mx', 'sts', 'addresses', 'tlsa', 'connect', 'greeting', 'ehlo', 'starttls', 'certificate'] as const
export type StepName = (typeof stepNames)[number]

/** One step as it was finished. `host`: '' for a step of the whole domain; `ms` in milliseconds; `result`: a few words for a person. */
export type ProbeStep = {
  readonly name: StepName
  readonly host: string
  readonly ms: number
  readonly ok: boolean
  readonly result: string
}

/** Do a step, time it, and tell it. */
export type Tell = <T>(
  name: StepName,
  host: string,
  work: () => Promise<{ readonly value: T; readonly ok: boolean; readonly text: string }>,
) => Promise<T>

export type HostProbe = Seen & {
  readonly host: string
  readonly preference: number | undefined
  readonly addresses: readonly string[]
  /** What DNSSEC proves about it; undefined: no DANE. */
  readonly dane: HostDane | undefined
  readonly tlsa: TlsaSeen
}

export type DomainProbe = {
  readonly domain: string
  /** Undefined: there is nowhere to go, see `none`. */
  readonly source: HopSource | undefined
  readonly none: { readonly why: NoHop; readonly text: string } | undefined
  readonly sts: StsSeen
  /** In the order in which they would be tried. */
  readonly hosts: readonly HostProbe[]
  readonly unusable: readonly Unusable[]
  readonly steps: readonly ProbeStep[]
}

/** - probed: whatever came of it. - no-dns: our own DNS servers cannot be reached, so nothing is known. - local-fault: our list of CAs cannot be read. */
export type Probed =
  | { readonly kind: 'probed'; readonly probe: DomainProbe }
  | { readonly kind: 'no-dns' | 'local-fault'; readonly text: string }

export type ProbeOptions = {
  readonly settings: Settings
  readonly clock: Clock
  /** Called with each step when it is finished. */
  readonly onStep?: (step: ProbeStep) => void
  /** A resolver without old answers; default: a new one. */
  readonly resolver?: Resolver
  readonly signal?: AbortSignal
  /** Where policies are served; default 443, another one only in tests. */
  readonly stsPort?: number | undefined
  /** Milliseconds for everything; default 58 s. */
  readonly whole?: number
}

/** What the steps share. */
export type ProbeParts = {
  readonly hostname: string
  readonly trust: Trust
  readonly minimum: TlsVersion
  readonly sources: readonly string[]
  readonly now: Clock
  readonly signal: AbortSignal
  readonly settings: Settings
  readonly resolver: Resolver
  readonly stsPort: number | undefined
}

/** Probe a domain (canonical: lower-case A-labels, or an address literal), in less than a minute. Never rejects for what peers or DNS do. */
export async function probeDomain(domain: string, options: ProbeOptions): Promise<Probed> {
  const { settings, clock, onStep = () => undefined, whole = 58_000 } = options
  const trust = await loadTrust(settings['tls.ca']).catch((error: Error) => error)
  if (trust instanceof Error) return { kind: 'local-fault', text: `the certificate authorities cannot be read: ${trust.message}` }
  const timeout = AbortSignal.timeout(whole)
  const resolver =
    options.resolver ?? createResolver({ servers: settings['dns.servers'], clock, timeout: 2000, trustAd: settings['dns.trustAd'] })
  const parts: ProbeParts = {
    hostname: settings.hostname,
    trust,
    minimum: handshakeMinimum(settings['tls.minVersion']),
    sources: settings['delivery.sourceAddresses'],
    now: clock,
    signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    ...{ settings, resolver, stsPort: options.stsPort },
  }
  const steps: ProbeStep[] = []
  const tell = teller((step) => {
    steps.push(step)
    onStep(step)
  })
  return inTime(parts.signal, walk(domain, parts, tell, steps))
}

const teller =
  (done: (step: ProbeStep) => void): Tell =>
  async (name, host, work) => {
    const started = performance.now()
    const { value, ok, text } = await work()
    done({ name, host, ms: Math.round(performance.now() - started), ok, result: text })
    return value
  }

/** Sessions end with the signal by themselves; a DNS server that is silent for long does not. */
function inTime(signal: AbortSignal, walking: Promise<Probed>): Promise<Probed> {
  const tooLong = { kind: 'no-dns', text: 'the DNS servers did not answer in time' } as const
  return Promise.race([
    walking,
    new Promise<Probed>((resolve) => signal.addEventListener('abort', () => setTimeout(() => resolve(tooLong), 1500).unref())),
  ])
}

async function walk(domain: string, parts: ProbeParts, tell: Tell, steps: readonly ProbeStep[]): Promise<Probed> {
  const preferences = await lookUpMx(domain, parts, tell)
  if (preferences.temporary !== undefined && (await isDeaf(parts.resolver)))
    return { kind: 'no-dns', text: `DNS cannot be reached: ${preferences.temporary}` }
  const [sts, hop] = await Promise.all([
    tell('sts', '', async () => {
      const value = await probeSts(domain, parts)
      return { value, ok: value.kind !== 'invalid', text: stsText(value) }
    }),
    tell('addresses', '', async () => {
      const value = await nextHop(domain, parts)
      return { value, ok: value.kind === 'hops', text: value.kind === 'none' ? value.text : addressWords(value.candidates, value.unusable) }
    }),
  ])
  const probe = { domain, sts, unusable: hop.unusable, steps }
  if (hop.kind === 'none') {
    const { why, text } = hop
    return { kind: 'probed', probe: { ...probe, source: undefined, none: { why, text }, hosts: [] } }
  }
  const hosts = await Promise.all(
    [...byHost(hop.candidates)].map(async ([host, candidates]): Promise<HostProbe> => {
      const dane = hop.dane.get(host)
      const tlsa = await tell('tlsa', host, async () => {
        const value = await probeTlsa(host, candidates[0]?.port ?? 25, dane, parts.resolver)
        return { value, ok: value.kind !== 'records' || value.usable > 0, text: tlsaSeenText(value) }
      })
      const seen = await probeHost(candidates, dane?.base ?? host, parts, tell)
      return { ...seen, host, preference: preferences.of.get(host), addresses: candidates.map(({ address }) => address), dane, tlsa }
    }),
  )
  return { kind: 'probed', probe: { ...probe, source: hop.source, none: undefined, hosts } }
}

type Preferences = { readonly of: ReadonlyMap<string, number>; readonly temporary?: string }

/** The MX records, for the eye: where mail goes is nextHop's word. */
const lookUpMx = (domain: string, { resolver, settings }: ProbeParts, tell: Tell): Promise<Preferences> =>
  tell('mx', '', async (): Promise<{ value: Preferences; ok: boolean; text: string }> => {
    const none = { of: new Map<string, number>() }
    if (domain.startsWith('[')) return { value: none, ok: true, text: 'an address: there is no MX to look up' }
    const route = settings['delivery.routes'][domain] ?? settings['delivery.routes']['*']
    if (route) return { value: none, ok: true, text: `not asked: delivery.routes sends it to ${route.host} port ${route.port}` }
    const look = await resolver.look(domain, 'MX')
    switch (look.kind) {
      case 'temporary':
        return { value: { ...none, temporary: look.text }, ok: false, text: look.text }
      case 'nxdomain':
        return { value: none, ok: false, text: 'the domain does not exist' }
      case 'nodata':
        return { value: none, ok: true, text: 'no MX record: the domain itself is the host' }
      case 'records': {
        const sorted = [...look.records].sort((a, b) => a.preference - b.preference)
        const words = sorted.slice(0, 8).map(({ preference, exchange }) => `${preference} ${exchange || '.'}`)
        const more = sorted.length > 8 ? ` and ${sorted.length - 8} more` : ''
        const signed = look.secure ? ' (signed)' : ''
        return {
          value: { of: new Map(look.records.map(({ preference, exchange }) => [exchange, preference])) },
          ok: true,
          text: `${words.join(', ')}${more}${signed}`,
        }
      }
    }
  })

/** Whether even `invalid` (RFC 6761 §6.4: every resolver says no) is not answered: then it is our DNS, not theirs. */
const isDeaf = async (resolver: Resolver): Promise<boolean> => (await resolver.look('invalid', 'A')).kind === 'temporary'

const byHost = (candidates: readonly Candidate[]): Map<string, Candidate[]> => {
  const hosts = new Map<string, Candidate[]>()
  for (const candidate of candidates) hosts.set(candidate.host, [...(hosts.get(candidate.host) ?? []), candidate])
  return hosts
}

const addressWords = (candidates: readonly Candidate[], unusable: readonly Unusable[]): string =>
  [...candidates.map(({ host, address }) => `${host} ${address}`), ...unusable.slice(0, 5).map(({ text }) => `(${text})`)].join(', ')
