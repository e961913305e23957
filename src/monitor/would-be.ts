/** What we would do now with a plain message to a probed domain: the steps of the policy in force, walked on what was seen. Pure. */
import type { Outcome } from '../mail/outcome.ts'
import type { Step } from '../mail/plan.ts'
import { methods } from '../methods/index.ts'
import { needOf } from '../methods/tls/tls.ts'
import type { Settings } from '../ops/settings.ts'
import { bounce } from '../routing/policy.ts'
import type { DomainProbe } from '../transport/probe.ts'
import type { ForcedNeed } from '../transport/tls-need.ts'
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
  let because: { readonly reason: string; readonly after: string } | undefined
  const why = () => (because === undefined ? '' : ` because ${because.reason}${because.after}`)
  for (const { method, options } of steps) {
    if (method === 'escrow') return { method, assurance: null, reason: because?.reason ?? null, text: `would become a letter${why()}` }
    if (method === bounce.method)
      return { method, assurance: null, reason: because?.reason ?? null, text: `would be returned to its sender${why()}` }
    if (method === 'opportunistic') return opportunistically(known, because?.reason ?? null, why())
    if (method !== 'tls') continue
    const tried = tryTls(needOf(methods.tls.options.parse(options)) as ForcedNeed, known)
    if (tried.kind === 'enough')
      return { method, assurance: tried.assurance, reason: because?.reason ?? null, text: `would go by tls, ${tried.assurance}${why()}` }
    const { outcome } = tried
    if (outcome.kind === 'failed')
      return {
        method: bounce.method,
        assurance: null,
        reason: outcome.reason,
        text: `would be returned to its sender because ${outcome.reason}`,
      }
    if (outcome.kind === 'deferred' && outcome.retry.then === 'failed')
      return { method: 'wait', assurance: null, reason: outcome.reason, text: `would wait and be tried again because ${outcome.reason}` }
    if (outcome.kind === 'deferred') because = { reason: outcome.retry.as ?? outcome.reason, after: `, after ${lasting(outcome)}` }
    if (outcome.kind === 'unsuitable') because = { reason: outcome.reason, after: '' }
  }
  return { method: bounce.method, assurance: null, reason: because?.reason ?? null, text: `would be returned to its sender${why()}` }
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

function opportunistically({ probe }: Known, reason: string | null, why: string): WouldBe {
  const method = 'opportunistic'
  const results = probe.hosts.map((host) => judgeHost(host, { kind: 'forced', level: 'encrypted' }, probe))
  for (const result of results)
    if (result.kind === 'enough')
      return { method, assurance: result.assurance, reason, text: `would go by opportunistic TLS, ${result.assurance}${why}` }
  const clear = probe.hosts.some(({ trouble }) => trouble?.row === 'starttls-not-offered')
  if (clear) return { method, assurance: 'none', reason, text: `would go in clear text${why}` }
  const waits = probe.hosts[0]?.trouble?.text ?? probe.none?.text ?? 'no host can be reached'
  return { method: 'wait', assurance: null, reason, text: `would wait and be tried again: ${waits}` }
}
