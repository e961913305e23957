/** Writes a policy as text again: what parse read, in the order of the language, without comments. */
import { stringify } from 'yaml'
import type { PatternList } from './patterns.ts'
import type { Condition, Example, Group, HeaderTest, Ladder, Override, Policy, PolicyStep, PolicyTest } from './policy.ts'

/** YAML that parses to the same policy but for its places and its fingerprint. */
export function printPolicy(policy: Policy): string {
  const { observe, groups, detectors, overrides, rules, tests } = policy
  const document = {
    version: 1,
    ...(observe ? { observe } : {}),
    ...(groups.length > 0 ? { groups: Object.fromEntries(groups.map(({ name, members }) => [name, printMembers(members)])) } : {}),
    ...(detectors.length > 0
      ? { detectors: Object.fromEntries(detectors.map(({ name, ...detector }) => [name, printDetector(detector)])) }
      : {}),
    ...(overrides.length > 0 ? { overrides: overrides.map(printOverride) } : {}),
    rules: rules.map(({ name, when, ...ladder }) => ({ name, when: printCondition(when), ...printLadder(ladder, groups) })),
    ...(policy.default.written ? { default: printLadder(policy.default, groups) } : {}),
    ...(tests.length > 0 ? { tests: tests.map(printTest) } : {}),
  }
  return stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })
}

const printMembers = ({ address, domain, below }: PatternList): string[] => [
  ...address.keys(),
  ...domain.keys(),
  ...[...below.keys()].map((name) => `*.${name}`),
]

const printDetector = ({ words, patterns, threshold }: Omit<Policy['detectors'][number], 'name'>) => ({
  ...(words.length > 0 ? { words } : {}),
  ...(patterns.length > 0 ? { patterns } : {}),
  ...(threshold === undefined ? {} : { threshold }),
})

const day = 24 * 60 * 60_000

const printOverride = ({ to, prefer, never, tls, reason, until }: Override) => ({
  to: to.words,
  ...(prefer === undefined ? {} : { prefer }),
  ...(never.length > 0 ? { never } : {}),
  ...(tls === undefined ? {} : { tls }),
  reason,
  until: printDate(until - day),
})

const printDate = (at: number): string => new Date(at).toISOString().slice(0, 10)

/** A list of one-word mappings, so that no two conditions of a kind meet in one mapping. */
function printCondition(condition: Condition): object {
  switch (condition.kind) {
    case 'from':
    case 'header-from':
    case 'to':
      return { [condition.kind]: condition.patterns.words }
    case 'subject-tag':
      return { 'subject-tag': condition.tags }
    case 'is':
      return { is: condition.traits }
    case 'header':
      return { header: { [condition.name]: printHeaderTest(condition.test) } }
    case 'size':
      return {
        size: {
          ...(condition.over === undefined ? {} : { over: `${condition.over}B` }),
          ...(condition.under === undefined ? {} : { under: `${condition.under}B` }),
        },
      }
    case 'detect':
      return { detect: condition.detectors }
    case 'authenticated-as':
      return { 'authenticated-as': condition.names }
    case 'client':
      return { client: condition.networks }
    case 'all':
    case 'any':
      return { [condition.kind]: condition.conditions.map(printCondition) }
    case 'not':
      return { not: [printCondition(condition.condition)] }
  }
}

const printHeaderTest = (test: HeaderTest) => (test.kind === 'present' ? { present: test.present } : { [test.kind]: test.values })

const printLadder = ({ steps, alsoTo, observe }: Ladder, groups: readonly Group[]) => ({
  deliver: steps.map((step) => printStep(step, groups)),
  ...(alsoTo.length > 0 ? { 'also-to': alsoTo } : {}),
  ...(observe ? { observe } : {}),
})

const printStep = ({ method, options, groups: named = [] }: PolicyStep, groups: readonly Group[]) => {
  if (named.length > 0) return { [method]: { ...options, approvers: printApprovers(options.approvers, named, groups) } }
  return Object.keys(options).length === 0 ? method : { [method]: options }
}

/** Groups by name again, and who stands in none of them. */
function printApprovers(approvers: unknown, named: readonly string[], groups: readonly Group[]): unknown[] {
  const members = groups.filter(({ name }) => named.includes(name)).map(({ members }) => members)
  const others = Array.isArray(approvers) ? approvers.filter((one) => !members.some(({ address }) => address.has(one))) : []
  return [...named.map((name) => `group:${name}`), ...others]
}

function printTest(test: PolicyTest): object {
  if (test.kind === 'invariant') return { invariant: test.invariant, ...(test.except.length > 0 ? { except: test.except } : {}) }
  const { from, headerFrom, to, given, expect, proof, rule } = test
  return {
    from: from === '' ? '<>' : from,
    ...(headerFrom === '' ? {} : { 'header-from': headerFrom }),
    to,
    ...printMail(test),
    given,
    expect,
    ...(proof === undefined ? {} : { proof }),
    ...(rule === undefined ? {} : { rule }),
  }
}

const printMail = ({ subject, is, headers, size, detect, authenticatedAs, client, at }: Example) => ({
  ...(subject === '' ? {} : { subject }),
  ...(is.length > 0 ? { is } : {}),
  ...(Object.keys(headers).length > 0 ? { header: headers } : {}),
  size: `${size}B`,
  ...(detect.length > 0 ? { detect } : {}),
  ...(authenticatedAs === undefined ? {} : { 'authenticated-as': authenticatedAs }),
  client,
  ...(at === undefined ? {} : { at: printDate(at) }),
})
