/** Warns of a tls level that nobody a rule was ever asked for has met, by what was seen of past mail. */
import { domainOf } from '../mail/address.ts'
import type { Step, StepResult } from '../mail/plan.ts'
import { createDecider } from './decider.ts'
import type { Policy, PolicyStep } from './policy.ts'
import type { Problem } from './problem.ts'
import type { Replayed, Surroundings } from './replay.ts'
import { seenSide } from './seen.ts'
import { type SimulationSettings, witnessOf } from './simulate.ts'

export type HistoryLint = {
  readonly add: (decision: Replayed) => void
  /** Every level was met by somebody: there is nothing more to learn. */
  readonly done: () => boolean
  /** In order of place. `since`: how far the decisions go back, in words: `90 days`. */
  readonly warnings: (since: string) => Problem[]
}

type Watched = { readonly rule: string; readonly step: PolicyStep; met: boolean; readonly short: Set<string>; decisions: number }

/** Add decisions, newest last. `then`: the policy that decided them; undefined when it cannot be read. */
export function lintHistory(
  policy: Policy,
  then: (revision: number) => Policy | undefined,
  around: Surroundings,
  settings: SimulationSettings,
): HistoryLint {
  const decider = createDecider(policy)
  const deciders = new Map<Policy, ReturnType<typeof createDecider>>()
  const watched = watchedSteps(policy)

  const stepsThen = ({ facts, revision }: Replayed): readonly Step[] => {
    const under = then(revision)
    if (under === undefined) return []
    const known = deciders.get(under) ?? createDecider(under)
    deciders.set(under, known)
    const decided = known(facts, under)
    return 'plan' in decided ? decided.plan.steps : []
  }
  const add = (decision: Replayed) => {
    const decided = decider(decision.facts, then(decision.revision))
    if (!('plan' in decided)) return
    const { rule } = decided.plan
    const open = watched.filter((one) => one.rule === rule.name && !one.met)
    if (open.length === 0) return
    const side = seenSide(witnessOf(decision, stepsThen(decision), around, settings), settings)
    for (const one of open) {
      const met = side.tls(one.step.options)
      // A host that is down, or mail that is too large, says nothing of the level.
      if (met.kind === 'served') one.met = true
      else if (met.kind === 'refused' && !decision.steps.some(ofMessage)) {
        one.short.add(domainOf(decision.facts.recipient))
        one.decisions += 1
      }
    }
  }
  return {
    add,
    done: () => watched.every(({ met }) => met),
    warnings: (since) =>
      watched
        .filter(({ met, decisions }) => !met && decisions > 0)
        .map(({ rule, step, short, decisions }) => ({
          ...{ line: step.line, column: step.column },
          text: `rule "${rule}" asks for tls ${String(step.options.level)}, which none of its ${counted(short.size, 'domain')} has met in ${since} (${counted(decisions, 'decision')})`,
          hint: 'all of that mail takes the next step: ask for less, or ask them for more (letterlock domain check)',
        })),
  }
}

const ofMessage = ({ reason }: StepResult): boolean => reason === 'message-too-large' || reason === 'eightbit-unsupported'

const watchedSteps = ({ rules, default: last }: Policy): Watched[] =>
  [...rules, { ...last, name: 'default' }].flatMap(({ name, steps }) =>
    steps
      .filter(({ method, options }) => method === 'tls' && options.level !== 'encrypted')
      .map((step) => ({ rule: name, step, met: false, short: new Set<string>(), decisions: 0 })),
  )

const counted = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`
