/** Warnings about a policy that is correct but hardly meant so. */
import { policyAddresses, policyDetectors } from './asked.ts'
import { covers } from './covers.ts'
import { notLookedAt } from './lint-bound.ts'
import { overrideWarnings } from './lint-overrides.ts'
import { unreadableWarnings } from './lint-unreadable.ts'
import { plan } from './plan.ts'
import type { Policy, PolicyStep, Rule } from './policy.ts'
import { oneOf, type Problem } from './problem.ts'
import { factsOf } from './prove.ts'

/** In order of place; none of them forbids to apply the policy. `now`: milliseconds since 1970. */
export function lint(policy: Policy, now: number): Problem[] {
  const ladders = [...policy.rules.map((rule) => rule.steps), policy.default.steps]
  return [
    ...observing(policy),
    ...unreachableRules(policy.rules),
    ...unusedGroups(policy),
    ...unusedDetectors(policy),
    ...ladders.flatMap(idleSteps),
    ...unreadableWarnings(policy, { left: mostCompared }),
    ...defaultWarnings(policy),
    ...overrideWarnings(policy, now),
    ...untested(policy, now),
  ].sort((a, b) => a.line - b.line || a.column - b.column)
}

/** What comparing rules with each other may cost: a second or two. It is enough for some 1,500 rules of usual length. */
const mostCompared = 4_000_000

function unreachableRules(rules: readonly Rule[]): Problem[] {
  const effort = { left: mostCompared }
  const found: Problem[] = []
  for (const [index, rule] of rules.entries()) {
    const earlier = rules.slice(0, index).find(({ when }) => effort.left >= 0 && covers(when, rule.when, effort))
    if (effort.left < 0) return [...found, notLookedAt(rule, 'whether an earlier rule matches all its mail first')]
    if (earlier === undefined) continue
    const text = `rule "${rule.name}" is never reached: rule "${earlier.name}" in line ${earlier.line} matches all its mail first`
    found.push({ ...at(rule), text, hint: 'move it up, or remove it' })
  }
  return found
}

function unusedGroups(policy: Policy): Problem[] {
  const steps = [...policy.rules, policy.default].flatMap((ladder) => ladder.steps)
  const used = new Set([...policyAddresses(policy), ...steps.flatMap(({ groups = [] }) => groups.map((name) => `group:${name}`))])
  return policy.groups
    .filter(({ name }) => !used.has(`group:${name}`))
    .map((group) => ({ ...at(group), text: `group "${group.name}" is used by no rule` }))
}

function unusedDetectors(policy: Policy): Problem[] {
  const used = policyDetectors(policy)
  return policy.detectors
    .filter(({ name }) => !used.includes(name))
    .map((detector) => ({ ...at(detector), text: `detector "${detector.name}" is used by no rule` }))
}

function observing({ observe, rules, default: last }: Policy): Problem[] {
  const text = 'mail goes as it went before there was a gateway, in clear where no TLS is offered; what the rules would do is only recorded'
  const hint = 'take observe out to begin'
  if (observe) return [{ line: 1, column: 1, text: `observe: ${text}`, hint }]
  const watching = rules
    .filter((rule) => rule.observe)
    .map((rule) => ({ ...at(rule), text: `rule "${rule.name}" only observes: ${text}`, hint }))
  return [...watching, ...(last.observe ? [{ line: Math.max(1, last.line), column: 1, text: `default only observes: ${text}`, hint }] : [])]
}

/** One warning for all of them: a policy without tests is told so once. */
function untested(policy: Policy, now: number): Problem[] {
  const { rules, tests } = policy
  const examples = tests.filter((test) => test.kind === 'example')
  const decided = new Set(examples.map((example) => plan(policy, factsOf(policy, example, now)).rule.name))
  const [first, ...others] = rules.filter(({ name }) => !decided.has(name))
  if (first === undefined) return []
  const hint = `such as tests: [{ from: ann@org.example, to: max@lab.example, given: { tls: none }, expect: escrow, rule: ${first.name} }]`
  if (examples.length === 0) return [{ ...at(first), text: 'the policy has no tests', hint }]
  const names = [first, ...others].map(({ name }) => `"${name}"`)
  const shown = names.length > 5 ? [...names.slice(0, 5), `${names.length - 5} more`] : names
  return [{ ...at(first), text: `no test is decided by rule ${oneOf(shown, 'or')}`, hint }]
}

/** An opportunistic step takes all mail there is, and bounce is the end. */
const last = ['opportunistic', 'bounce']

function idleSteps(steps: readonly PolicyStep[]): Problem[] {
  const end = steps.findIndex(({ method }) => last.includes(method))
  const next = end < 0 ? undefined : steps[end + 1]
  const idle =
    next === undefined ? [] : [{ ...at(next), text: `${next.method} is never tried: ${steps[end]?.method} before it ends every delivery` }]
  const twice = steps.filter((step, index) => steps.slice(0, index).some((earlier) => written(earlier) === written(step)))
  return [...idle, ...twice.map((step) => ({ ...at(step), text: `${step.method} stands in this list twice with the same options` }))]
}

const written = ({ method, options }: PolicyStep): string => JSON.stringify([method, options])

function defaultWarnings(policy: Policy): Problem[] {
  const place = { line: Math.max(1, policy.default.line), column: 1 }
  if (!policy.default.written)
    return [
      {
        ...place,
        text: 'the policy has no default: mail that no rule matches is returned to its sender',
        hint: 'add default: { deliver: [tls, escrow] }',
      },
    ]
  const ladder = policy.default.steps.map(({ method }) => method)
  const open = ladder.includes('opportunistic')
    ? [{ ...place, text: 'default has an opportunistic step: any mail may travel unencrypted' }]
    : []
  return [...open, ...(['auto-submitted', 'dsn', 'encrypted'] as const).flatMap((trait) => traitWarning(policy, trait, ladder, place))]
}

/** What the default policy has rules for and this one may have lost. */
function traitWarning(
  { rules }: Policy,
  trait: 'auto-submitted' | 'dsn' | 'encrypted',
  ladder: readonly string[],
  place: { line: number; column: number },
): Problem[] {
  const wrong = (trait === 'encrypted' ? ['pgp', 'smime', 'escrow'] : ['escrow']).filter((method) => ladder.includes(method))
  if (wrong.length === 0 || rules.some(({ when }) => covers(when, { kind: 'is', traits: [trait] }))) return []
  const text = {
    'auto-submitted':
      'automatic mail (out-of-office, receipts) can become a letter by default: people would be asked to log in to read a machine',
    dsn: 'delivery reports (DSNs) can become letters by default',
    encrypted: 'mail already encrypted by its sender can become a letter by default, which the portal could not show',
  } satisfies Record<typeof trait, string>
  return [
    {
      ...place,
      text: text[trait],
      hint: `put a rule before it: when: { is: ${trait} }, deliver: [tls, { opportunistic: { i-understand: may travel unencrypted } }]`,
    },
  ]
}

const at = ({ line, column }: { readonly line: number; readonly column: number }) => ({ line, column })
