/** Warnings about a policy that is correct but hardly meant so. */
import { policyAddresses } from './asked.ts'
import { covers } from './covers.ts'
import type { Policy, PolicyStep, Rule } from './policy.ts'
import type { Problem } from './problem.ts'

/** In order of place; none of them forbids to apply the policy. */
export function lint(policy: Policy): Problem[] {
  const ladders = [...policy.rules.map((rule) => rule.steps), policy.default.steps]
  return [...unreachableRules(policy.rules), ...unusedGroups(policy), ...ladders.flatMap(idleSteps), ...defaultWarnings(policy)].sort(
    (a, b) => a.line - b.line || a.column - b.column,
  )
}

/** Comparing each rule with those before it is quadratic: beyond this many only the nearest ones are compared. */
const compared = 300

function unreachableRules(rules: readonly Rule[]): Problem[] {
  return rules.flatMap((rule, index) => {
    const earlier = rules.slice(Math.max(0, index - compared), index).find(({ when }) => covers(when, rule.when))
    if (earlier === undefined) return []
    const text = `rule "${rule.name}" is never reached: rule "${earlier.name}" in line ${earlier.line} matches all its mail first`
    return [{ ...at(rule), text, hint: 'move it up, or remove it' }]
  })
}

function unusedGroups(policy: Policy): Problem[] {
  const used = new Set(policyAddresses(policy))
  return policy.groups
    .filter(({ name }) => !used.has(`group:${name}`))
    .map((group) => ({ ...at(group), text: `group "${group.name}" is used by no rule` }))
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
