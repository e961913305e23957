/** Runs the tests of a policy: each example in its world, each invariant over every rule, override and world there is. Pure. */
import { subjectTags } from '../mail/facts.ts'
import type { Step } from '../mail/plan.ts'
import { policyDetectors, policyHeaders } from './asked.ts'
import { thresholdOf } from './detectors.ts'
import type { PlanFacts } from './facts.ts'
import { type Foretold, foretell } from './foretell.ts'
import { overlaid } from './overrides.ts'
import { plan, stepsOf } from './plan.ts'
import type { Example, Given, Invariant, Ladder, Override, Policy, PolicyTest } from './policy.ts'
import { quote } from './problem.ts'
import { usualMail } from './read-tests.ts'
import { allWorlds, sideOf, type WorldSettings } from './worlds.ts'

/** One test and what came of it; `text` is one line: what was asked, and what would happen where that differs. */
export type Proved = {
  readonly line: number
  readonly column: number
  readonly name: string
  readonly passed: boolean
  readonly text: string
}

/** Every test of the policy, in its order. `now`: milliseconds since 1970, for examples without `at`. */
export function prove(policy: Policy, settings: WorldSettings, now: number): Proved[] {
  const prover = createProver(policy, settings)
  return policy.tests.map((test) => ({
    line: test.line,
    column: test.column,
    name: nameOf(test),
    ...(test.kind === 'example' ? proveExample(policy, test, settings, now) : proveInvariant(policy, test, prover)),
  }))
}

function nameOf(test: PolicyTest): string {
  if (test.kind === 'invariant')
    return test.except.length === 0 ? test.invariant : `${test.invariant} except ${test.except.map((name) => `"${name}"`).join(', ')}`
  const { from, to, given, expect, proof } = test
  const keys = [given.pgp ? 'PGP key' : '', given.smime ? 'certificate' : ''].filter((word) => word !== '')
  const world = [...mailWords(test), `TLS ${given.tls}`, ...keys].join(', ')
  return `${from === '' ? '<>' : from} to ${to} (${world}): ${expect}${proof === undefined ? '' : `, proof ${proof}`}`
}

/** What is special about the mail of a test: two of them between the same people must be told apart. */
function mailWords({ from, headerFrom, subject, is, headers, detect, authenticatedAs, client, size }: Example): string[] {
  return [
    ...(headerFrom === from || headerFrom === '' ? [] : [`header From ${headerFrom}`]),
    ...(subject === '' ? [] : [quote(subject)]),
    ...is,
    ...Object.entries(headers).map(([name, values]) => `${name}: ${values.join(', ')}`),
    ...detect.map((name) => `${name} found`),
    ...(authenticatedAs === undefined ? [] : [`signed in as ${authenticatedAs}`]),
    ...(client === usualMail.client ? [] : [`client ${client}`]),
    ...(size === usualMail.size ? [] : [`${size} bytes`]),
  ]
}

type Verdict = Pick<Proved, 'passed' | 'text'>

function proveExample(policy: Policy, example: Example, settings: WorldSettings, now: number): Verdict {
  const facts = factsOf(policy, example, now)
  const { rule, steps } = plan(policy, facts)
  const told = foretell(steps, sideOf(example.given, facts.mail.encrypted, settings), settings)
  const would = `would be ${wordsFor(told)} by rule "${rule.name}"${rule.line > 0 ? ` (line ${rule.line})` : ''}`
  const missed = [
    meets(example.expect, told) ? undefined : `expected ${example.expect}`,
    example.proof === undefined || example.proof === told.proof ? undefined : `expected proof ${example.proof}`,
    example.rule === undefined || example.rule === rule.name ? undefined : `expected rule "${example.rule}"`,
  ].filter((text) => text !== undefined)
  return { passed: missed.length === 0, text: missed.length === 0 ? would : `${missed.join(', ')}, but it ${would}` }
}

/** What is not written is ordinary: no header field, nothing found, an own client. */
export function factsOf(policy: Policy, example: Example, now: number): PlanFacts {
  const { from, to, headerFrom, subject, is, headers, size, detect, authenticatedAs, client, at } = example
  const has = (trait: Example['is'][number]) => is.includes(trait)
  return {
    reversePath: from,
    recipient: to,
    mail: {
      headerFrom,
      subjectTags: subjectTags(subject),
      autoSubmitted: has('auto-submitted'),
      dsn: has('dsn'),
      encrypted: has('encrypted'),
      signed: has('signed'),
      calendar: has('calendar'),
      rightsManaged: has('rights-managed'),
      forwarded: has('forwarded'),
    },
    size,
    client: { address: client, authenticatedAs: authenticatedAs ?? null },
    headers: {
      ...Object.fromEntries(policyHeaders(policy).map((name) => [name, []])),
      ...(subject === '' ? {} : { subject: [subject] }),
      ...headers,
    },
    detected: Object.fromEntries(
      policyDetectors(policy).map((name) => [name, detect.includes(name) ? thresholdOf(name, policy.detectors) : 0]),
    ),
    at: at ?? now,
  }
}

const meets = (expected: string, told: Foretold): boolean =>
  expected === told.method || (expected === 'clear' && told.clear) || (expected === 'hold' && told.held)

function wordsFor({ method, clear, proof, held, reason, earlier }: Foretold): string {
  const declined = earlier.map((refused) => `${refused.method} ${refused.reason}`)
  const why = declined.length > 0 ? declined : reason === null ? [] : [reason]
  const because = why.length === 0 ? '' : ` (${why.join(', ')})`
  const detail = [
    clear ? 'in clear' : '',
    proof === null ? '' : `proof ${proof}`,
    held && method !== 'hold' ? 'held until a person decides' : '',
  ]
  return `${[method, ...detail.filter((word) => word !== '')].join(', ')}${because}`
}

/** Where a list of steps would send in clear: a world, or undefined where it never does. */
type Leak = { readonly world: Given; readonly by: string } | undefined

/** Looks for leaks; each list of steps is walked once, however many rules and invariants share it. */
type Prover = { readonly leakOf: (decider: Ladder) => Leak; readonly states: () => number }

/** Proven, not sampled: a ladder meets only finitely many worlds, and an override only changes a ladder. */
function createProver(policy: Policy, settings: WorldSettings): Prover {
  const walked = new Map<string, Given | undefined>()
  const found = new Map<Ladder, Leak>()
  const overrides = differentOverrides(policy)
  const walk = (written: readonly Step[]): Given | undefined => {
    // What is held can be released: then the walk goes on.
    const steps = written.filter(({ method }) => method !== 'hold')
    const key = JSON.stringify(steps.map(({ method, options }) => [method, options]))
    if (!walked.has(key))
      walked.set(
        key,
        allWorlds.find((world) => [false, true].some((encrypted) => foretell(steps, sideOf(world, encrypted, settings), settings).clear)),
      )
    return walked.get(key)
  }
  const look = (decider: Ladder): Leak => {
    const own = walk(stepsOf(policy, decider, decider.steps))
    if (own !== undefined) return { world: own, by: '' }
    for (const override of overrides) {
      const world = walk(stepsOf(policy, decider, overlaid(override, decider.steps)))
      if (world !== undefined) return { world, by: ` with the override in line ${override.line}` }
    }
    return undefined
  }
  const leakOf = (decider: Ladder): Leak => {
    if (!found.has(decider)) found.set(decider, look(decider))
    return found.get(decider)
  }
  return { leakOf, states: () => walked.size * allWorlds.length * 2 }
}

function proveInvariant({ rules, default: last }: Policy, { except }: Invariant, { leakOf, states }: Prover): Verdict {
  const excepted = new Set(except)
  const deciders = rules
    .filter(({ name }) => !excepted.has(name))
    .map((rule) => ({ ladder: rule as Ladder & { line: number }, name: rule.name }))
  if (!excepted.has('default')) deciders.push({ ladder: last, name: 'default' })
  for (const { ladder, name } of deciders) {
    const leak = leakOf(ladder)
    if (leak === undefined) continue
    const { tls, pgp } = leak.world
    const place = ladder.line > 0 ? ` (line ${ladder.line})` : ''
    const world = `where TLS is ${tls} and ${pgp ? 'a PGP key is known' : 'no key is known'}`
    return {
      passed: false,
      text: `rule "${name}"${place}${leak.by} sends in clear ${world}: name the rule under except, or change its steps`,
    }
  }
  return {
    passed: true,
    text: `holds for ${deciders.length} ${deciders.length === 1 ? 'rule' : 'rules'} in ${allWorlds.length * 2} worlds (${states()} states)`,
  }
}

/** Those that change steps in different ways: a thousand recipients may have the same wish. */
const differentOverrides = ({ overrides }: Policy): readonly Override[] =>
  [...new Map([...overrides].reverse().map((one) => [JSON.stringify([one.prefer, one.never, one.tls]), one])).values()].reverse()
