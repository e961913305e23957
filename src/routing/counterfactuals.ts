/** Finds what would have changed the way of a message: each change is applied, and the plan and its forecast are asked again. Pure. */
import { domainOf } from '../mail/address.ts'
import type { Step, StepResult } from '../mail/plan.ts'
import { leavesOf, policyTags } from './asked.ts'
import type { PlanFacts } from './facts.ts'
import { foretell, type Met, type Side } from './foretell.ts'
import { overridden as laidOver, overlaid } from './overrides.ts'
import { plan } from './plan.ts'
import { bounce, type Condition, isPreferable, type Policy } from './policy.ts'
import { oneOf } from './problem.ts'
import { remedy } from './remedy.ts'
import type { Surroundings } from './replay.ts'
import { sameDemand, seenSide } from './seen.ts'
import { type SimulationSettings, witnessOf } from './simulate.ts'

/** The method that would have served, and the one change that it takes. */
export type WouldBe = { readonly method: string; readonly if: string }

/** One recipient's mail as it went. */
export type Went = {
  readonly facts: PlanFacts
  /** What became of the steps of its plan, in their order. */
  readonly steps: readonly StepResult[]
  /** The plan that was walked. */
  readonly planned: readonly Step[]
  /** What served; `bounce`; the step that waits or is held. */
  readonly method: string
  /** The policy that decided; undefined: only repairs are asked about. */
  readonly policy: Policy | undefined
  readonly around: Surroundings
  readonly settings: SimulationSettings
}

/** One change of the world, and what it makes of the mail. */
type Change = { readonly if: string; readonly steps: readonly Step[]; readonly side: Side; readonly fixes?: boolean }

const most = { all: 5, tags: 3 }

/** At most five, what can be repaired first. `rulesToo`: a rule decided how it went, so another rule would have decided otherwise. */
export function counterfactuals(went: Went, rulesToo: boolean): WouldBe[] {
  const side = seenSide(witnessOf(went, went.planned, went.around, went.settings), went.settings)
  const ask = (changes: readonly Change[]) => changes.flatMap((change) => outcome(change, went))
  const { policy } = went
  const byRule =
    policy === undefined || !rulesToo
      ? []
      : [ask(tagged(went, policy, side)).slice(0, most.tags), ask(less(went, policy, side)), ask(overridden(went, policy, side))]
  return [...ask(repaired(went, side)), ...byRule.flat()].slice(0, most.all)
}

/** Told only where it is another way, and one that is known to serve. */
function outcome({ if: words, steps, side, fixes = false }: Change, { method, settings }: Went): WouldBe[] {
  const told = foretell(steps, side, settings)
  const serves = told.method !== bounce.method && told.method !== 'wait' && told.method !== 'unknown' && !told.held
  return serves && (told.method !== method || fixes) ? [{ method: told.method, if: words }] : []
}

/** Each refusal undone, one by one. */
function repaired({ facts, steps, planned, method }: Went, side: Side): Change[] {
  const { recipient } = facts
  return steps.flatMap((step, i): Change[] => {
    const words = step.result === 'unsuitable' || step.result === 'deferred' ? remedy(step, recipient, domainOf(recipient)) : undefined
    const asked = planned[i]
    if (words === undefined || asked?.method !== step.method) return []
    // What waits is not served yet, so its own method is an answer too.
    return [{ if: words, steps: planned, side: serving(asked, side), fixes: step.result === 'deferred' && step.method === method }]
  })
}

/** The side as if that step could serve. */
function serving({ method, options }: Step, side: Side): Side {
  const served: Met = { kind: 'served', assurance: typeof options.level === 'string' ? options.level : null, clear: false }
  switch (method) {
    case 'tls':
      return { ...side, tls: (other) => (sameDemand(options, other) ? served : side.tls(other)) }
    case 'opportunistic':
      return { ...side, opportunistic: () => served }
    case 'pgp':
    case 'smime':
      return { ...side, [method]: (other: Step['options']) => (other.trust === options.trust ? served : side[method](other)) }
    default:
      return side
  }
}

/** The plan for other facts, where another rule decides then. */
function replanned({ facts }: Went, policy: Policy, side: Side, other: PlanFacts, words: string): Change[] {
  const { rule, steps } = plan(policy, other)
  if (rule.name === plan(policy, facts).rule.name) return []
  return [
    {
      if: `${words} (rule "${rule.name}"${rule.line > 0 ? `, line ${rule.line}` : ''})`,
      steps,
      side: { ...side, encrypted: other.mail.encrypted },
    },
  ]
}

/** The subject with each tag that the policy knows. */
function tagged(went: Went, policy: Policy, side: Side): Change[] {
  const { mail } = went.facts
  return policyTags(policy)
    .filter((tag) => !mail.subjectTags.includes(tag))
    .flatMap((tag) =>
      replanned(
        went,
        policy,
        side,
        { ...went.facts, mail: { ...mail, subjectTags: [...mail.subjectTags, tag] } },
        `the subject carries [${tag}]`,
      ),
    )
}

/** The message without what its rule asked for: a tag, a header field, a find, its size. */
function less(went: Went, policy: Policy, side: Side): Change[] {
  const decided = plan(policy, went.facts).rule.name
  const leaves = policy.rules.filter(({ name }) => name === decided).flatMap(({ when }) => leavesOf(when))
  return leaves.flatMap((leaf) => {
    const without = lacking(leaf, went.facts)
    return without === undefined ? [] : replanned(went, policy, side, without.facts, without.words)
  })
}

function lacking(leaf: Condition, facts: PlanFacts): { readonly facts: PlanFacts; readonly words: string } | undefined {
  switch (leaf.kind) {
    case 'subject-tag': {
      const { mail } = facts
      const found = mail.subjectTags.filter((tag) => leaf.tags.includes(tag))
      const subjectTags = mail.subjectTags.filter((tag) => !found.includes(tag))
      const shown = found.map((tag) => `[${tag}]`)
      return found.length === 0
        ? undefined
        : { facts: { ...facts, mail: { ...mail, subjectTags } }, words: `the subject does not carry ${oneOf(shown)}` }
    }
    case 'header': {
      const name = leaf.name.toLowerCase()
      if ((facts.headers?.[name]?.length ?? 0) === 0) return undefined
      return { facts: { ...facts, headers: { ...facts.headers, [name]: [] } }, words: `the header ${leaf.name} is not there` }
    }
    case 'detect': {
      const { detected } = facts
      if (detected === undefined || detected === 'unreadable') return undefined
      const found = leaf.detectors.filter((name) => (detected[name] ?? 0) > 0)
      const none = Object.fromEntries(found.map((name) => [name, 0]))
      return found.length === 0
        ? undefined
        : { facts: { ...facts, detected: { ...detected, ...none } }, words: `no ${oneOf(found)} is found in it` }
    }
    case 'size': {
      if (facts.size === undefined || leaf.over === undefined || facts.size <= leaf.over) return undefined
      return { facts: { ...facts, size: leaf.over }, words: `the message has at most ${leaf.over} bytes` }
    }
    default:
      return undefined
  }
}

/** Where a step was refused, an override for the recipient: another step first. It never asks less of a channel than the rule. */
function overridden({ facts, planned, steps }: Went, policy: Policy, side: Side): Change[] {
  const { recipient } = facts
  const own = { line: 0, column: 0, to: { words: [], lists: [] }, reason: '', until: 0 }
  const ladder = planned.filter(({ method }) => method !== bounce.method)
  const change = (prefer: string): Change => ({
    if: `an override for ${recipient} prefers ${prefer}`,
    steps: [...overlaid({ ...own, never: [], prefer, tls: undefined }, ladder), bounce],
    side,
  })
  if (!steps.some(({ result }) => result === 'unsuitable')) return []
  // One that is there already would give way to the new one, with all that it changes.
  if (plan(policy, facts).observed !== undefined || laidOver(policy.overrides, [], facts).override !== undefined) return []
  return [...new Set(ladder.slice(1).map(({ method }) => method))].filter(isPreferable).map(change)
}
