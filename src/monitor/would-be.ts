/** What we would do now with a plain message to a probed domain: the steps of the policy in force, walked on what was seen. Pure. */
import type { Outcome } from '../mail/outcome.ts'
import type { Step } from '../mail/plan.ts'
import { methods } from '../methods/index.ts'
import { needOf } from '../methods/tls/tls.ts'
import type { Settings } from '../ops/settings.ts'
import { type Foretold, foretell, keyed, type Met, type Side } from '../routing/foretell.ts'
import { bounce } from '../routing/policy.ts'
import { inWords } from '../routing/remedy.ts'
import { metOf } from '../routing/worlds.ts'
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

export type Known = {
  readonly probe: DomainProbe
  readonly settings: Settings
  /** When verified TLS was last used there, within `tls.ratchet`. */
  readonly verifiedAt: number | undefined
}

/** Walk the steps until one serves, waits or fails. Keys of recipients are not known here: pgp and smime are passed over. */
export function wouldBe(steps: readonly Step[], known: Known): WouldBe {
  const side = { ...probedSide(known), pgp: () => keyed('pgp', false), smime: () => keyed('smime', false), encrypted: false }
  return describe(foretell(steps, side, known.settings), steps, known)
}

/** A forecast in words, with those of the probe where it was made on one. `steps`: those it was made for. */
export function describe(told: Foretold, steps: readonly Step[], known?: Pick<Known, 'probe'>): WouldBe {
  const { method, assurance, earlier } = told
  const last = earlier.findLast((refused) => refused.method === 'tls' || refused.method === 'opportunistic')
  if (method === 'wait') {
    const open = steps[earlier.length]?.method === 'opportunistic'
    const why = told.reason === null ? 'nothing can be told' : inWords(told.reason)
    const text = `would wait and be tried again${open && known !== undefined ? `: ${waitsFor(known.probe)}` : ` because ${why}`}`
    return { method, assurance: null, reason: (open ? last?.reason : told.reason) ?? null, text }
  }
  // Returned by a step of its own, or at the end of the ladder.
  const reason =
    told.reason !== null && (last === undefined || method === bounce.method) && !ofKeys(told.reason) ? told.reason : last?.reason
  const why = reason === undefined ? '' : ` because ${inWords(reason)}${reason === last?.reason ? last.after : ''}`
  return { method, assurance, reason: reason ?? null, text: `${words(told)}${why}` }
}

const ofKeys = (reason: string): boolean => reason === 'no-key' || reason === 'no-certificate'

function words({ method, assurance, clear, held }: Foretold): string {
  if (held) return 'would be held for an administrator'
  switch (method) {
    case 'tls':
      return assurance === 'none' ? 'would go by its own route (delivery.routes), which asks for no TLS' : `would go by tls, ${assurance}`
    case 'opportunistic':
      return clear ? 'would go in clear text' : `would go by opportunistic TLS, ${assurance}`
    case 'escrow':
      return 'would become a letter'
    case bounce.method:
      return 'would be returned to its sender'
    default:
      return `would go by ${method}`
  }
}

/** What a probe says of the recipient's hosts; keys are another matter. */
export const probedSide = (known: Known): Pick<Side, 'tls' | 'opportunistic'> => ({
  tls: (options) => meetTls(channelNeed(needOf(methods.tls.options.parse(options)), ...routed(known)), known),
  opportunistic: () => meetOpportunistic(known),
})

/** The route of the settings, and whether it is the organisation's own: then its word is the need. */
const routed = ({ probe: { domain }, settings }: Known) =>
  [
    routeOf(domain, settings),
    settings['organisation.domains'].includes(domain) && Object.hasOwn(settings['delivery.routes'], domain),
  ] as const

function meetTls(need: ChannelNeed, known: Known): Met {
  if (need.kind !== 'forced') return { kind: 'served', assurance: 'none', clear: false }
  const tried = tryTls(need, known)
  if (tried.kind === 'enough') return { kind: 'served', assurance: tried.assurance, clear: false }
  const met = metOf(tried.outcome)
  return met.kind === 'refused' && tried.outcome.kind === 'deferred' ? { ...met, after: `, after ${lasting(tried.outcome)}` } : met
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

const circumstances = (need: Pick<ForcedNeed, 'patience'>, { probe, settings, verifiedAt }: Known) => ({
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

function meetOpportunistic({ probe, settings }: Known): Met {
  for (const host of probe.hosts) {
    const result = judgeHost(host, { kind: 'forced', level: 'encrypted' }, probe)
    if (result.kind === 'enough') return { kind: 'served', assurance: result.assurance, clear: false }
  }
  // N2: a domain that vouches for its TLS does not get it in clear.
  const free = probe.hosts.filter((host) => publishedOf(host, probe) === 'none' || publishedOf(host, probe) === 'sts-testing')
  if (free.some(({ trouble }) => trouble?.row === 'starttls-not-offered')) return { kind: 'served', assurance: 'none', clear: true }
  const trouble: Trouble = probe.hosts[0]?.trouble ?? troublesOfHop(probe)[0] ?? { row: 'unreachable', text: '', evidence: {} }
  const met = metOf(verdict(trouble, { ...circumstances({}, { probe, settings, verifiedAt: undefined }), need: 'clear' }))
  return met.kind === 'refused' ? { kind: 'waits', reason: met.reason } : met
}

const waitsFor = ({ hosts, none }: DomainProbe): string => hosts[0]?.trouble?.text ?? none?.text ?? 'no host can be reached'
