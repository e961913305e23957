/** One look at a domain, put into the words and the JSON of `domain check`. */
import { inWords } from '../routing/remedy.ts'
import type { CertificateFacts } from '../transport/certificate.ts'
import { namesMx } from '../transport/mta-sts.ts'
import type { DomainProbe, HostProbe, ProbeStep } from '../transport/probe.ts'
import { stsText } from '../transport/probe-sts.ts'
import { tlsaSeenText } from '../transport/probe-tlsa.ts'
import { advice } from './advice.ts'
import { daneOf, judgeHost, type Level, levels } from './levels.ts'
import { type Posture, standing } from './posture.ts'
import type { WouldBe } from './would-be.ts'

/** The JSON of `domain check`; fields may be added. Times in milliseconds since 1970. */
export type DomainCheck = {
  readonly domain: string
  readonly at: number
  readonly posture: Posture
  /** Reason code: why it is less than verified. */
  readonly reason: string | null
  /** The same in words, with its code; absent in what was kept before there were such words. */
  readonly reasonText?: string | null
  /** Where its hosts come from; null: there is nowhere to go, and `problem` says why. */
  readonly source: string | null
  readonly problem: string | null
  readonly sts: { readonly mode: string | null; readonly text: string }
  readonly mx: readonly HostCheck[]
  /** Hosts and addresses that are not used, and why. */
  readonly unusable: readonly string[]
  /** What we would do now: `would go by tls, verified`. */
  readonly wouldBe: string
  readonly method: string
  readonly steps: readonly ProbeStep[]
  /** For their postmaster: the sentences of `fixes`; '' when nothing is to be repaired. */
  readonly advice: string
  readonly fixes: readonly string[]
}

export type HostCheck = {
  readonly host: string
  readonly preference: number | null
  readonly addresses: readonly string[]
  /** Null: it was not reached. */
  readonly starttls: boolean | null
  readonly protocol: string | null
  readonly cipher: string | null
  readonly certificate: (CertificateFacts & { readonly names: readonly string[] }) | null
  /** Whether the domain's MTA-STS policy names it; null without a policy. */
  readonly sts: { readonly mode: string; readonly named: boolean } | null
  /** Null: no TLSA records. `matches` is null where nothing could be compared. */
  readonly dane: { readonly text: string; readonly signed: boolean; readonly matches: boolean | null } | null
  readonly verdict: { readonly [L in Level]: boolean }
  /** Why the first level that is not reached is not. */
  readonly problem: string | null
}

/** Judge a probe made at `now`. */
export function describeCheck(probe: DomainProbe, would: WouldBe, now: number): DomainCheck {
  const { domain, source, none, sts, unusable, steps, hosts } = probe
  const fixes = advice(probe, now)
  const { posture, reason } = standing(probe)
  return {
    ...{ domain, at: now, posture, reason, reasonText: reason === null ? null : inWords(reason) },
    source: source ?? null,
    problem: none?.text ?? null,
    sts: { mode: sts.kind === 'policy' ? sts.policy.mode : null, text: stsText(sts) },
    mx: hosts.map((host) => describeHost(host, probe, now)),
    unusable: unusable.map(({ text }) => text),
    wouldBe: would.text,
    method: would.method,
    steps,
    advice: fixes.join(' '),
    fixes,
  }
}

function describeHost(host: HostProbe, probe: DomainProbe, now: number): HostCheck {
  const { channel, tlsa, names } = host
  const results = levels.map((level) => [level, judgeHost(host, { kind: 'forced', level }, probe)] as const)
  const failed = results.find(([level, { kind }]) => kind === 'short' && level !== 'dane' && level !== 'authenticated')?.[1]
  return {
    host: host.host,
    preference: host.preference ?? null,
    addresses: host.addresses,
    starttls: host.starttls ?? null,
    protocol: channel?.protocol ?? null,
    cipher: channel?.cipher ?? null,
    certificate: channel?.certificate ? { ...channel.certificate, names } : null,
    sts: probe.sts.kind === 'policy' ? { mode: probe.sts.policy.mode, named: namesMx(probe.sts.policy, host.host) } : null,
    dane:
      tlsa.kind === 'none'
        ? null
        : { text: tlsaSeenText(tlsa), signed: tlsa.kind === 'records', matches: matching(daneOf(host, now)?.kind) },
    verdict: Object.fromEntries(results.map(([level, { kind }]) => [level, kind === 'enough'])) as Record<Level, boolean>,
    problem: failed?.kind === 'short' ? failed.trouble.text : null,
  }
}

const matching = (kind: 'match' | 'mismatch' | 'unusable' | undefined): boolean | null =>
  kind === 'match' ? true : kind === 'mismatch' ? false : null
