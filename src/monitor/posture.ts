/** How a domain stands, in one word, and whether that is better or worse than before. Pure. */
import type { DomainProbe } from '../transport/probe.ts'
import { mostHopeful, type Trouble } from '../transport/trouble.ts'
import { verdict } from '../transport/verdict.ts'
import { judgeHost } from './levels.ts'

/** Worst first: `clear` offers no TLS that stands, `encrypted` TLS that proves nobody. */
export const ranked = ['clear', 'encrypted', 'verified', 'authenticated'] as const
export type Ranked = (typeof ranked)[number]
/** What says nothing about TLS: nobody answered, no mail is taken, DNS does not say. */
export const untold = ['unreachable', 'no-mail', 'unknown'] as const
export type Posture = Ranked | (typeof untold)[number]

export type Standing = { readonly posture: Posture; readonly reason: string | null }

/** The best of its hosts counts: that is where forced mail goes. `reason`: why it is less than verified. */
export function standing(probe: DomainProbe): Standing {
  const { none, hosts } = probe
  if (none) return { posture: none.why === 'dns-temporary' || none.why === 'dnssec-invalid' ? 'unknown' : 'no-mail', reason: none.why }
  const at = (level: 'encrypted' | 'verified' | 'authenticated') => hosts.map((host) => judgeHost(host, { kind: 'forced', level }, probe))
  if (at('authenticated').some(({ kind }) => kind === 'enough')) return { posture: 'authenticated', reason: null }
  const verified = at('verified')
  if (verified.some(({ kind }) => kind === 'enough')) return { posture: 'verified', reason: null }
  const [first, ...others] = verified.flatMap((result) => (result.kind === 'short' ? [result.trouble] : []))
  const worst: Trouble = first ? mostHopeful([first, ...others]) : { row: 'unreachable', text: '', evidence: {} }
  const reason = reasonOf(worst)
  if (at('encrypted').some(({ kind }) => kind === 'enough')) return { posture: 'encrypted', reason }
  // A host that fell silent may be verified again tomorrow: only what was said about TLS counts against it.
  return { posture: toldNothing.includes(worst.row) ? 'unreachable' : 'clear', reason }
}

const toldNothing: readonly Trouble['row'][] = [
  'unreachable',
  'connection-lost',
  'remote-4yz',
  'greeting-5yz',
  'dns-temporary',
  'dnssec-invalid',
]

function reasonOf(trouble: Trouble): string | null {
  const outcome = verdict(trouble, {
    ...{ published: 'none', need: 'forced', soft: 0, ratchet: 0, enforced: 0, patience: undefined },
  })
  return outcome.kind === 'delivered' ? null : outcome.reason
}

/** What is remembered of a domain between probes. */
export type Remembered = { readonly posture: Ranked | null; readonly since: number | null; readonly fallenFrom: Ranked | null }
export type Change = 'downgraded' | 'recovered' | undefined

const rank = (posture: Ranked | null): number => (posture === null ? -1 : ranked.indexOf(posture))
const isRanked = (posture: Posture): posture is Ranked => (ranked as readonly string[]).includes(posture)

/** After one more probe: what is remembered now, and whether it is worth telling. What tells nothing changes nothing. */
export function remember(before: Remembered, posture: Posture, at: number): { readonly after: Remembered; readonly change: Change } {
  if (!isRanked(posture) || posture === before.posture) return { after: before, change: undefined }
  const fell = before.posture !== null && rank(posture) < rank(before.posture)
  const fallenFrom = before.fallenFrom ?? (fell ? before.posture : null)
  const recovered = fallenFrom !== null && rank(posture) >= rank(fallenFrom)
  return {
    after: { posture, since: at, fallenFrom: recovered ? null : fallenFrom },
    change: fell ? 'downgraded' : recovered ? 'recovered' : undefined,
  }
}
