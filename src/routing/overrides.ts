/** Lays what a recipient asked for over the steps of a rule; it may reorder, leave out and pin, but never add a way. Pure. */
import { assurances } from '../mail/outcome.ts'
import type { Looked, Step } from '../mail/plan.ts'
import type { PlanFacts } from './facts.ts'
import { wordFor } from './patterns.ts'
import type { Override } from './policy.ts'

/** The steps as the first override that fits leaves them, and the line of the trace that tells of it. */
export function overridden(
  overrides: readonly Override[],
  steps: readonly Step[],
  { recipient, at }: PlanFacts,
): { readonly steps: readonly Step[]; readonly override?: Looked } {
  const found = overrides.find(({ to, until }) => wordFor(to, recipient) !== undefined && (at === undefined || at < until))
  if (found === undefined) return { steps }
  const because = `yes: ${wordFor(found.to, recipient)}, until ${new Date(found.until - 1).toISOString().slice(0, 10)}: ${found.reason}`
  return { steps: overlaid(found, steps), override: { name: `override in line ${found.line}`, matched: true, because } }
}

/** The steps as one override leaves them. */
export function overlaid({ never, prefer, tls }: Override, steps: readonly Step[]): readonly Step[] {
  const kept = steps.filter(({ method }) => !never.includes(method))
  const ordered = preferred(kept, prefer)
  return ordered.map((step) => (step.method === 'tls' && tls ? { ...step, options: laidOver(step.options, tls) } : step))
}

/** The wish of a recipient may ask more of a channel than the rule does, and never less. What is pinned belongs to its level. */
function laidOver(own: Step['options'], wish: Step['options']): Step['options'] {
  const isLess = (name: string, order: readonly unknown[]) => name in wish && order.indexOf(wish[name]) < order.indexOf(own[name])
  const { level, pin, min } = own
  return {
    ...{ ...own, ...wish },
    ...(isLess('level', assurances) && { level, ...(pin !== undefined && { pin }) }),
    ...(isLess('min', versions) && { min }),
  }
}

const versions = [undefined, 'TLSv1.2', 'TLSv1.3']

/** What stands behind a hold stays behind it: nothing that somebody asked for goes past the person who is to look at it. */
function preferred(steps: readonly Step[], prefer: string | undefined): readonly Step[] {
  const place = steps.findIndex(({ method }) => method === prefer)
  if (place < 0) return steps
  const from = steps.slice(0, place).findLastIndex(isHold) + 1
  const next = steps.slice(from).findIndex(isHold)
  const end = next < 0 ? steps.length : from + next
  const between = steps.slice(from, end)
  const first = between.filter(({ method }) => method === prefer)
  return [...steps.slice(0, from), ...first, ...between.filter((step) => !first.includes(step)), ...steps.slice(end)]
}

const isHold = ({ method }: Step): boolean => method === 'hold'
