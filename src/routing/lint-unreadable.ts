/** Warns where mail that cannot be looked into, which counts as found, would go a laxer way than mail in which nothing was found. */
import { leavesOf } from './asked.ts'
import { covers } from './covers.ts'
import { notLookedAt } from './lint-bound.ts'
import type { Effort } from './patterns.ts'
import { stepsOf } from './plan.ts'
import type { Condition, Ladder, Policy, PolicyStep, Rule } from './policy.ts'
import type { Problem } from './problem.ts'

type Decider = Ladder & { readonly name: string }

/** In order of the rules, as far as `effort` goes. Where two rules overlap in part, nothing is said: in doubt there is no warning. */
export function unreadableWarnings(policy: Policy, effort: Effort): Problem[] {
  const found: Problem[] = []
  for (const [index, rule] of policy.rules.entries()) {
    if (!leavesOf(rule.when).some(({ kind }) => kind === 'detect')) continue
    const warning = laxer(policy, index, rule, effort)
    // What was left undecided when the effort ended is no answer.
    if (effort.left < 0) return [...found, notLookedAt(rule, 'whether mail that cannot be looked into goes a laxer way')]
    if (warning !== undefined) found.push(warning)
  }
  return found
}

function laxer(policy: Policy, index: number, rule: Rule, effort: Effort): Problem | undefined {
  const [found, none] = [supposing(rule.when, true), supposing(rule.when, false)]
  const asFound = isWider(found, none, effort)
    ? rule
    : isWider(none, found, effort)
      ? deciderAfter(policy, index, none, true, effort)
      : undefined
  const asNone = asFound === rule ? deciderAfter(policy, index, found, false, effort) : rule
  if (asFound === undefined || strictness(policy, asFound) >= strictness(policy, asNone)) return undefined
  return {
    line: rule.line,
    column: rule.column,
    text:
      `mail that cannot be looked into counts as found: it goes by ${called(asFound)}, ` +
      `which asks less than ${called(asNone)}, by which it goes when nothing is found`,
    hint: 'where a detector finds something, ask at least as much as where it finds nothing',
  }
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
const isWider = (one: Supposed, other: Supposed, effort: Effort): boolean => holdsFor(one, other, effort) && !holdsFor(other, one, effort)

const holdsFor = (wide: Supposed, narrow: Supposed, effort: Effort): boolean => {
  if (wide === true || narrow === false) return true
  return typeof wide !== 'boolean' && typeof narrow !== 'boolean' && covers(wide, narrow, effort)
}

/** Who decides on all this mail when the rule at `index` does not. */
function deciderAfter(policy: Policy, index: number, mail: Supposed, found: boolean, effort: Effort): Decider {
  for (const rule of policy.rules.slice(index + 1)) {
    effort.left -= 1
    if (effort.left < 0) break
    if (holdsFor(supposing(rule.when, found), mail, effort)) return rule
  }
  return { ...policy.default, name: 'default' }
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
