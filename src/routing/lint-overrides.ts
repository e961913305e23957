/** Warnings about overrides: those that have ended, change nothing, or leave a recipient without a way. */
import { overlaid } from './overrides.ts'
import type { Ladder, Override, Policy } from './policy.ts'
import { oneOf, type Problem } from './problem.ts'

const week = 7 * 24 * 60 * 60_000

/** `now`: milliseconds since 1970. */
export function overrideWarnings(policy: Policy, now: number): Problem[] {
  const ladders = differentLadders(policy)
  const lastEscrow = deciders(policy).filter(({ steps }) => steps.filter(({ method }) => method !== 'bounce').at(-1)?.method === 'escrow')
  let effort = mostLadders
  return policy.overrides.flatMap((override) => {
    const at = { line: override.line, column: override.column }
    const who = override.to.words.slice(0, 3).join(', ')
    const day = new Date(override.until - 1).toISOString().slice(0, 10)
    if (override.until <= now)
      return [{ ...at, text: `the override for ${who} ended on ${day}`, hint: 'remove it, or give it a later until' }]
    const soon = override.until - now < week ? [{ ...at, text: `the override for ${who} ends on ${day}` }] : []
    const before = effort
    if (before > 0) effort -= ladders.length
    const useless = before <= 0 ? [] : effort > 0 ? idle(ladders, override, who) : [notLookedAt(who)]
    return [...soon, ...useless, ...wayless(lastEscrow, override, who)].map((problem) => ({ ...at, ...problem }))
  })
}

/** Lists of steps that are laid over, for all overrides together: a second or two. */
const mostLadders = 200_000

const notLookedAt = (who: string): Said => ({
  text: `the overrides are too many to be tried on all rules: of the one for ${who} and those behind it, it was not looked whether they change anything`,
})

/** Lists of steps, each once: thousands of rules share a few. */
const differentLadders = (policy: Policy): readonly Ladder['steps'][] => [
  ...new Map(deciders(policy).map(({ steps }) => [written(steps), steps])).values(),
]

type Said = Omit<Problem, 'line' | 'column'>
type Decider = Ladder & { readonly name: string }

const deciders = (policy: Policy): readonly Decider[] => [...policy.rules, { ...policy.default, name: 'default' }]
const written = (steps: Ladder['steps'] | ReturnType<typeof overlaid>): string =>
  JSON.stringify(steps.map(({ method, options }) => [method, options]))

function idle(ladders: readonly Ladder['steps'][], override: Override, who: string): Said[] {
  const changes = ladders.some((steps) => written(overlaid(override, steps)) !== written(steps))
  return changes ? [] : [{ text: `the override for ${who} changes nothing: no rule has the steps that it names` }]
}

/** A ladder whose last way was the portal: without it, mail goes back where nothing before serves. */
function wayless(lost: readonly Decider[], override: Override, who: string): Said[] {
  if (!override.never.includes('escrow') || lost.length === 0) return []
  const rules = oneOf(
    lost.slice(0, 4).map(({ name }) => `"${name}"`),
    'and',
  )
  return [
    {
      text: `the override for ${who} forbids the portal, which is the last way of ${rules}: mail that no step before can serve goes back to its sender`,
      hint: 'add another way to those rules, or keep it so and tell the senders',
    },
  ]
}
