/** Warns where mail that cannot be looked into, which counts as found, would go a laxer way than mail in which nothing was found. */
import { leavesOf } from './asked.ts'
import { covers } from './covers.ts'
import { stepsOf } from './plan.ts'
import type { Condition, Ladder, Policy, PolicyStep } from './policy.ts'
import type { Problem } from './problem.ts'

type Decider = Ladder & { readonly name: string }

/** In order of the rules. Where two rules overlap in part, nothing is said: in doubt there is no warning. */
export function unreadableWarnings(policy: Policy): Problem[] {
  return policy.rules.flatMap((rule, index) => {
    if (!leavesOf(rule.when).some(({ kind }) => kind === 'detect')) return []
    const [found, none] = [supposing(rule.when, true), supposing(rule.when, false)]
    const asFound = isWider(found, none) ? rule : isWider(none, found) ? deciderAfter(policy, index, none, true) : undefined
    const asNone = asFound === rule ? deciderAfter(policy, index, found, false) : rule
    if (asFound === undefined || strictness(policy, asFound) >= strictness(policy, asNone)) return []
    const text =
      `mail that cannot be looked into counts as found: it goes by ${called(asFound)}, ` +
      `which asks less than ${called(asNone)}, by which it goes when nothing is found`
    return [
      {
        line: rule.line,
        column: rule.column,
        text,
        hint: 'where a detector finds something, ask at least as much as where it finds nothing',
      },
    ]
  })
}

const called = ({ name }: Decider): string => (name === 'default' ? 'default' : `rule "${name}"`)

/** A condition with its detectors answered: true or false where nothing else decides. */
type Supposed = Condition | boolean

function supposing(condition: Condition, found: boolean): Supposed {
  switch (condition.kind) {
    case 'detect':
      return found
    case 'not': {
      const inner = supposing(condition.condition, found)
      return typeof inner === 'boolean' ? !inner : { kind: 'not', condition: inner }
    }
    case 'all':
    case 'any': {
      const parts = condition.conditions.map((part) => supposing(part, found))
      const decisive = condition.kind === 'any'
      if (parts.includes(decisive)) return decisive
      const open = parts.filter((part) => typeof part !== 'boolean')
      return open.length === 0 ? !decisive : { kind: condition.kind, conditions: open }
    }
    default:
      return condition
  }
}

/** Does the first hold for more mail than the second, as far as can be told? */
const isWider = (one: Supposed, other: Supposed): boolean => holdsFor(one, other) && !holdsFor(other, one)

const holdsFor = (wide: Supposed, narrow: Supposed): boolean => {
  if (wide === true || narrow === false) return true
  return typeof wide !== 'boolean' && typeof narrow !== 'boolean' && covers(wide, narrow)
}

/** Rules that are looked at behind each: of thousands of rules with detectors, comparing all takes too long. */
const compared = 300

/** Who decides on all this mail when the rule at `index` does not. */
const deciderAfter = (policy: Policy, index: number, mail: Supposed, found: boolean): Decider =>
  policy.rules.slice(index + 1, index + 1 + compared).find(({ when }) => holdsFor(supposing(when, found), mail)) ?? {
    ...policy.default,
    name: 'default',
  }

/** What the least of its steps asks. */
function strictness(policy: Policy, decider: Decider): number {
  const steps = stepsOf(policy, decider, decider.steps)
  const end = steps.findIndex(({ method }) => method === 'hold' || method === 'bounce')
  const walked = steps.slice(0, end)
  // Nothing goes before a person has looked, or nothing goes at all.
  const ways = walked.length === 0 ? [5] : walked.map(asks)
  return Math.min(...ways)
}

function asks({ method, options }: Pick<PolicyStep, 'method' | 'options'>): number {
  if (method === 'opportunistic') return 0
  if (method === 'tls') return options.level === 'encrypted' ? 1 : options.level === 'verified' ? 2 : 3
  return method === 'escrow' && options.proof === 'link' ? 2 : 3
}
