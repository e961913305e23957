/** Reads the policy language: text in, one typed value out, or every mistake with its place. */
import { createHash } from 'node:crypto'
import { checkPattern } from '../detect/pattern.ts'
import { parseAddress } from '../mail/address.ts'
import { readConditions, readMembers } from './conditions.ts'
import { collectPatterns } from './patterns.ts'
import { type Group, type Ladder, later, type Policy, type Rule } from './policy.ts'
import { type Mistakes, type Problem, problemList, quote, type Report } from './problem.ts'
import { described, fields, isName, list, text } from './read.ts'
import { readDetectors } from './read-detectors.ts'
import { readOverrides } from './read-overrides.ts'
import { readTests } from './read-tests.ts'
import { type MethodWords, policyWords, readSteps } from './steps.ts'
import { type Entry, readTree, type Tree } from './tree.ts'

export type Parsed = { readonly kind: 'policy'; readonly policy: Policy } | Mistakes

const mostRules = 2000

/** The keys of a policy, of a rule, and of the default. */
export const documentWords = ['version', 'observe', 'groups', 'detectors', 'overrides', 'rules', 'default', 'tests'] as const
export const ladderWords = ['deliver', 'also-to', 'observe'] as const
export const ruleWords = ['name', 'when', ...ladderWords] as const

/**
 * Parse a policy text with the methods that this program has. Never throws, whatever the text; the policy has revision 0.
 * At most 1 MiB, 2,000 rules, and what readTree reads.
 */
export function parsePolicy(source: string, methods: MethodWords): Parsed {
  const tree = readTree(source)
  if (tree.kind === 'errors') return tree
  const { problems, report } = problemList()
  const policy = readPolicy(source, tree.root, methods, report)
  return policy !== undefined && problems.length === 0
    ? { kind: 'policy', policy }
    : { kind: 'errors', problems: [...problems].sort(byPlace) }
}

/** First 12 hex digits of the SHA-256 of the text. */
export const fingerprintOf = (source: string): string => createHash('sha256').update(source).digest('hex').slice(0, 12)

const byPlace = (a: Problem, b: Problem): number => a.line - b.line || a.column - b.column

function readPolicy(source: string, root: Tree, methods: MethodWords, report: Report): Policy | undefined {
  if (root.kind !== 'map') {
    report(root.at, `expected a policy, found ${described(root)}`, 'a policy begins with version: 1')
    return undefined
  }
  // Read on with the known keys, so that one check shows all mistakes; what a mistyped key was to be is not missed as well.
  const known = fields(root, { what: 'policy', words: documentWords, later: later.policy }, report)
  const part = (name: string) => root.entries.find(({ key }) => key === name)
  checkVersion(part('version')?.value, root, report)
  const groups = readGroups(part('groups')?.value, report)
  const detectors = readDetectors(part('detectors')?.value, checkPattern, report)
  const context = { groups, detectors: new Set(detectors.map(({ name }) => name)), methods, report }
  const names = new Map<string, number>()
  const rules = readRules(part('rules')?.value, names, context)
  if (known && !known.has('rules') && !known.has('default'))
    report(root.at, 'the policy has neither rules nor default', 'write at least default: { deliver: [tls, escrow] }')
  return {
    revision: 0,
    fingerprint: fingerprintOf(source),
    observe: readObserve(part('observe')?.value, report),
    groups: [...groups.values()],
    detectors,
    overrides: readOverrides(part('overrides')?.value, { groups, methods, report }),
    rules,
    default: readDefault(part('default'), context),
    tests: readTests(part('tests')?.value, {
      // A broken rule stays known, as a broken group does.
      rules: new Set(names.keys()),
      detectors: [...context.detectors],
      outcomes: [...new Set([...policyWords(methods), 'clear', 'wait', 'hold'])],
      report,
    }),
  }
}

function checkVersion(version: Tree | undefined, root: Tree, report: Report): void {
  if (version === undefined) report(root.at, 'version is missing', 'begin the policy with version: 1')
  else if (version.kind !== 'scalar' || version.value !== 1)
    report(version.at, `expected version 1, found ${described(version)}`, 'this program reads version 1 of the language')
}

function readGroups(tree: Tree | undefined, report: Report): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>()
  if (tree === undefined || isNothing(tree)) return groups
  if (tree.kind !== 'map') {
    report(tree.at, `expected a mapping of group names to their members, found ${described(tree)}`)
    return groups
  }
  for (const { key, at, value } of tree.entries) {
    if (!isName(key)) report(at, `${quote(key)} is no name for a group`, nameHint)
    // A broken group stays known, else each rule that names it would be a mistake too.
    const members = readMembers(value, key, report) ?? collectPatterns([])
    groups.set(key, { name: key, line: at.line, column: at.column, members })
  }
  return groups
}

const nameHint = 'expected letters, digits, spaces, dots, dashes; at most 64'
const isNothing = (tree: Tree): boolean => tree.kind === 'scalar' && tree.value === null

type Context = {
  readonly groups: ReadonlyMap<string, Group>
  readonly detectors: ReadonlySet<string>
  readonly methods: MethodWords
  readonly report: Report
}

/** `names`: filled with the names of all rules, broken ones too, and their lines. */
function readRules(tree: Tree | undefined, names: Map<string, number>, context: Context): Rule[] {
  if (tree === undefined || isNothing(tree)) return []
  const { report } = context
  if (tree.kind !== 'list') report(tree.at, `expected a list of rules, found ${described(tree)}`, 'each rule begins with a dash: - name: …')
  if (tree.kind === 'list' && tree.items.length > mostRules)
    report(tree.at, `${tree.items.length} rules; at most ${mostRules} are read`, 'groups make one rule of many')
  const items = tree.kind === 'list' ? tree.items.slice(0, mostRules) : []
  return items.flatMap((item) => readRule(item, names, context) ?? [])
}

function readRule(item: Tree, names: Map<string, number>, context: Context): Rule | undefined {
  const { report } = context
  const known = fields(item, { what: 'rule', words: ruleWords, later: later.rule }, report)
  if (item.kind !== 'map') return undefined
  const part = (name: string) => item.entries.find(({ key }) => key === name)?.value
  const missing = known ? (['name', 'when', 'deliver'] as const).filter((word) => !known.has(word)) : []
  for (const word of missing) report(item.at, `the rule has no ${word}`, missingHint[word])
  const name = readName(part('name'), names, report)
  const when = part('when')
  const condition = when && readConditions(when, context)
  const ladder = readLadder(part, context)
  return name !== undefined && condition && ladder
    ? { name, line: item.at.line, column: item.at.column, when: condition, ...ladder }
    : undefined
}

function readLadder(part: (name: string) => Tree | undefined, context: Context): Ladder | undefined {
  const { report } = context
  const deliver = part('deliver')
  const steps = deliver && readSteps(deliver, context)
  const alsoTo = readAlsoTo(part('also-to'), report)
  const observe = readObserve(part('observe'), report)
  return steps && { steps, alsoTo, observe }
}

function readObserve(tree: Tree | undefined, report: Report): boolean {
  if (tree === undefined) return false
  if (tree.kind === 'scalar' && typeof tree.value === 'boolean') return tree.value
  report(
    tree.at,
    `expected true or false, found ${described(tree)}`,
    'observe: true lets mail go as before, and records what the rules would do',
  )
  return false
}

const mostCopies = 10

function readAlsoTo(tree: Tree | undefined, report: Report): readonly string[] {
  if (tree === undefined) return []
  const items = list(tree)
  if (items.length > mostCopies) report(tree.at, `${items.length} addresses; at most ${mostCopies} get a copy`)
  return items.slice(0, mostCopies).flatMap((item) => {
    const word = text(item, 'an address of the organisation', report)
    const address = word === undefined ? undefined : parseAddress(word)
    if (word !== undefined && address === undefined)
      report(item.at, `${quote(word)} is not an address`, 'expected such as journal@org.example')
    return address ?? []
  })
}

const missingHint = {
  name: 'reports and explain call the rule by its name',
  when: 'what applies to all other mail is written under default',
  deliver: 'add the steps, such as deliver: [tls, escrow]',
} as const

function readName(tree: Tree | undefined, names: Map<string, number>, report: Report): string | undefined {
  const name = tree && text(tree, 'the name of the rule', report)
  if (tree === undefined || name === undefined) return undefined
  const first = names.get(name)
  if (!isName(name)) report(tree.at, `${quote(name)} is no name for a rule`, nameHint)
  else if (name === 'default')
    report(tree.at, 'a rule cannot be called default', 'the rule for all other mail is written outside the list: default: { deliver: […] }')
  else if (first !== undefined)
    report(
      tree.at,
      `a rule called ${quote(name)} stands already in line ${first}`,
      'explain could not tell them apart: choose another name',
    )
  names.set(name, first ?? tree.at.line)
  return name
}

function readDefault(entry: Entry | undefined, context: Context): Policy['default'] {
  if (entry === undefined) return { line: 0, steps: [], alsoTo: [], observe: false, written: false }
  const { report } = context
  const { at, value } = entry
  if (value.kind === 'map' && !value.entries.some(({ key }) => key === 'deliver')) report(at, 'default has no deliver', missingHint.deliver)
  const found = fields(value, { what: 'default', words: ladderWords, later: later.rule }, report)
  const ladder = found && readLadder((name) => found.get(name)?.value, context)
  return { line: at.line, steps: [], alsoTo: [], observe: false, ...ladder, written: true }
}
