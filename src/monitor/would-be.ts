/** What we would do now with a plain message to a probed domain: the steps of the policy in force, walked on what was seen. Pure. */
import type { Outcome } from '../mail/outcome.ts'
import type { Step } from '../mail/plan.ts'
import { demandFor } from '../methods/escrow/proof.ts'
import { methods } from '../methods/index.ts'
import { needOf } from '../methods/tls/tls.ts'
import type { Settings } from '../ops/settings.ts'
import { bounce } from '../routing/policy.ts'
import { routeOf } from '../transport/next-hop.ts'
import type { DomainProbe } from '../transport/probe.ts'
import { type ChannelNeed, channelNeed, type ForcedNeed } from '../transport/tls-need.ts'
import { mostHopeful, strictest, type Trouble } from '../transport/trouble.ts'
import { verdict } from '../transport/verdict.ts'
import { judgeHost, publishedOf } from './levels.ts'

export type WouldBe = {
  /** A step of the plan, `wait` when only time can tell. */
  readonly method: string
  readonly assurance: string | null
  /** Why not the step before, or why it waits. */
  readonly reason: string | null
  /** `would go by tls, verified`. */
  readonly text: string
}

type Known = {
  readonly probe: DomainProbe
  readonly settings: Settings
  /** When verified TLS was last used there, within `tls.ratchet`. */
  readonly verifiedAt: number | undefined
}

/** Walk the steps until one serves, waits or fails. Keys of recipients are not known here: pgp and smime are passed over. */
export function wouldBe(steps: readonly Step[], known: Known): WouldBe {
  const earlier: Refused[] = []
  for (const step of steps) {
    const met = take(step, earlier, known)
    if (met?.kind === 'end') return met.would
    if (met) earlier.push(met)
  }
  // A plan ends with bounce, written or not.
  return { method: bounce.method, assurance: null, reason: null, text: 'would be returned to its sender' }
}

/** Why a step cannot serve, and how long it would have been tried. */
type Refused = { readonly kind: 'refused'; readonly method: string; readonly reason: string; readonly after: string }
type End = { readonly kind: 'end'; readonly would: WouldBe }

function take({ method, options }: Step, earlier: readonly Refused[], known: Known): End | Refused | undefined {
  const last = earlier.at(-1)
  const end = (text: string, more: Partial<WouldBe> = {}): End => {
    const why = last === undefined || more.method === 'wait' ? '' : ` because ${last.reason}${last.after}`
    return { kind: 'end', would: { method, assurance: null, reason: last?.reason ?? null, ...more, text: `${text}${why}` } }
  }
  switch (method) {
    case 'tls':
      return takeTls(channelNeed(needOf(methods.tls.options.parse(options)), ...routed(known)), known, end)
    case 'opportunistic':
      return takeOpportunistic(known, end)
    case 'escrow':
      // A code sent over a path that looks attacked proves nothing.
      return demandFor(options, earlier, known.settings).kind === 'proof'
        ? end('would become a letter')
        : end('would be held for an administrator')
    case 'hold':
      return end('would be held until a person releases it')
    case bounce.method:
      return end('would be returned to its sender')
    default:
      return undefined
  }
}

type Ending = (text: string, more?: Partial<WouldBe>) => End

/** The route of the settings, and whether it is the organisation's own: then its word is the need. */
const routed = ({ probe: { domain }, settings }: Known) =>
  [
    routeOf(domain, settings),
    settings['organisation.domains'].includes(domain) && Object.hasOwn(settings['delivery.routes'], domain),
  ] as const

function takeTls(need: ChannelNeed, known: Known, end: Ending): End | Refused {
  if (need.kind !== 'forced') return end('would go by its own route (delivery.routes), which asks for no TLS', { assurance: 'none' })
  const tried = tryTls(need, known)
  if (tried.kind === 'enough') return end(`would go by tls, ${tried.assurance}`, { assurance: tried.assurance })
  const { outcome } = tried
  const { reason } = outcome
  if (outcome.kind === 'unsuitable') return { kind: 'refused', method: 'tls', reason, after: '' }
  if (outcome.kind === 'deferred' && outcome.retry.then === 'unsuitable')
    return { kind: 'refused', method: 'tls', reason: outcome.retry.as ?? reason, after: `, after ${lasting(outcome)}` }
  const text = outcome.kind === 'failed' ? 'would be returned to its sender' : 'would wait and be tried again'
  return {
    kind: 'end',
    would: { method: outcome.kind === 'failed' ? bounce.method : 'wait', assurance: null, reason, text: `${text} because ${reason}` },
  }
}

type Tried =
  | { readonly kind: 'enough'; readonly assurance: string }
  | { readonly kind: 'not'; readonly outcome: Exclude<Outcome, { kind: 'delivered' }> }

/** The first host whose channel is enough; else what the decision table says of their troubles. */
function tryTls(need: ForcedNeed, known: Known): Tried {
  const { probe } = known
  const results = probe.hosts.map((host) => judgeHost(host, need, probe))
  for (const result of results) if (result.kind === 'enough') return { kind: 'enough', assurance: result.assurance }
  const [first, ...others] = [...results.flatMap((result) => (result.kind === 'short' ? [result.trouble] : [])), ...troublesOfHop(probe)]
  const worst: Trouble = first ? mostHopeful([first, ...others]) : { row: 'local-fault', text: 'no host was looked at', evidence: {} }
  const outcome = verdict(worst, circumstances(need, known))
  return outcome.kind === 'delivered' ? { kind: 'enough', assurance: outcome.assurance } : { kind: 'not', outcome }
}

function troublesOfHop({ none, unusable }: DomainProbe): Trouble[] {
  if (none) return [{ row: none.why, text: none.text, evidence: {} }]
  return unusable.flatMap(({ why, text }) =>
    why === 'dns-temporary' || why === 'dnssec-invalid' ? [{ row: why, text, evidence: {} }] : [],
  )
}

const circumstances = (need: ForcedNeed, { probe, settings, verifiedAt }: Known) => ({
  published: strictest([
    ...probe.hosts.map((host) => publishedOf(host, probe)),
    verifiedAt === undefined ? undefined : ('ratchet' as const),
  ]),
  verifiedAt,
  need: 'forced' as const,
  soft: settings['retry.tls.soft'],
  ratchet: settings['retry.tls.ratchet'],
  enforced: settings['retry.tls.enforced'],
  patience: need.patience,
})

function lasting({ retry }: Extract<Outcome, { kind: 'deferred' }>): string {
  const minutes = Math.round((retry.offsets?.at(-1) ?? retry.until ?? 0) / 60_000)
  if (minutes >= 120) return `${Math.round(minutes / 60)} hours of trying`
  return minutes <= 1 ? 'another try' : `${minutes} minutes of trying`
}

function takeOpportunistic({ probe }: Known, end: Ending): End {
  for (const host of probe.hosts) {
    const result = judgeHost(host, { kind: 'forced', level: 'encrypted' }, probe)
    if (result.kind === 'enough') return end(`would go by opportunistic TLS, ${result.assurance}`, { assurance: result.assurance })
  }
  // N2: a domain that vouches for its TLS does not get it in clear.
  const free = probe.hosts.filter((host) => publishedOf(host, probe) === 'none' || publishedOf(host, probe) === 'sts-testing')
  if (free.some(({ trouble }) => trouble?.row === 'starttls-not-offered')) return end('would go in clear text', { assurance: 'none' })
  const waits = probe.hosts[0]?.trouble?.text ?? probe.none?.text ?? 'no host can be reached'
  return end(`would wait and be tried again: ${waits}`, { method: 'wait' })
}
