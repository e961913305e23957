/** Reads `tests`: mails with the worlds they meet and what is to become of them, and sentences that must always hold. */
import { parseAddress } from '../mail/address.ts'
import { ruleProofs } from '../methods/escrow/binding.ts'
import { size as sizeKind } from '../ops/settings-kinds.ts'
import { isHeaderName } from './condition-values.ts'
import { readTrait } from './conditions.ts'
import { builtInNames } from './detectors.ts'
import { type Example, type Given, invariants, type PolicyTest, tlsWorlds } from './policy.ts'
import { oneOf, quote, type Report, reportUnknown } from './problem.ts'
import { described, fields, list, text } from './read.ts'
import { readDate } from './read-overrides.ts'
import type { Entry, Tree } from './tree.ts'

export const exampleWords = [
  'from',
  'header-from',
  'to',
  'subject',
  'is',
  'header',
  'size',
  'detect',
  'authenticated-as',
  'client',
  'at',
  'given',
  'expect',
  'proof',
  'rule',
] as const
export const invariantWords = ['invariant', 'except'] as const
export const givenWords = ['tls', 'pgp', 'smime'] as const
const mostTests = 2000

type Context = {
  readonly rules: ReadonlySet<string>
  readonly detectors: readonly string[]
  /** Words that `expect` may say. */
  readonly outcomes: readonly string[]
  readonly report: Report
}

export function readTests(tree: Tree | undefined, context: Context): PolicyTest[] {
  if (tree === undefined || (tree.kind === 'scalar' && tree.value === null)) return []
  const { report } = context
  if (tree.kind !== 'list')
    report(tree.at, `expected a list of tests, found ${described(tree)}`, 'each begins with a dash: - { from: …, to: …, expect: … }')
  const items = tree.kind === 'list' ? tree.items : []
  if (items.length > mostTests) report(tree.at, `${items.length} tests; at most ${mostTests} are read`)
  return items.slice(0, mostTests).flatMap((item): PolicyTest[] => {
    const isInvariant = item.kind === 'map' && item.entries.some(({ key }) => key === 'invariant')
    const read = isInvariant ? readInvariant(item, context) : readExample(item, context)
    return read === undefined ? [] : [read]
  })
}

function readInvariant(item: Tree, { rules, report }: Context): PolicyTest | undefined {
  const found = fields(item, { what: 'test', words: invariantWords }, report)
  const entry = found?.get('invariant')
  const word = entry && text(entry.value, oneOf(invariants), report)
  const invariant = invariants.find((known) => known === word)
  if (entry === undefined || word === undefined) return undefined
  if (invariant === undefined) {
    reportUnknown(report, entry.value.at, 'invariant', word, invariants)
    return undefined
  }
  const except = found?.get('except')
  const names = except === undefined ? [] : list(except.value).map((one) => readRuleName(one, rules, report))
  return { kind: 'invariant', line: item.at.line, column: item.at.column, invariant, except: names.filter((name) => name !== undefined) }
}

function readRuleName(tree: Tree, rules: ReadonlySet<string>, report: Report): string | undefined {
  const name = text(tree, 'the name of a rule', report)
  if (name === undefined || name === 'default' || rules.has(name)) return name
  reportUnknown(report, tree.at, 'rule', name, () => [...rules, 'default'])
  return undefined
}

function readExample(item: Tree, context: Context): Example | undefined {
  const { report, rules, outcomes } = context
  const found = fields(item, { what: 'test', words: exampleWords }, report)
  if (found === undefined) return undefined
  const value = (word: (typeof exampleWords)[number]) => found.get(word)?.value
  for (const word of ['from', 'to', 'expect'] as const)
    if (!found.has(word))
      report(item.at, `the test has no ${word}`, 'such as - { from: ann@org.example, to: max@lab.example, expect: tls }')
  const from = readSender(value('from'), report)
  const to = readRecipient(value('to'), report)
  const headerFrom = found.has('header-from') ? readRecipient(value('header-from'), report) : from
  const expect = readWord(value('expect'), 'expected outcome', outcomes, report)
  if (from === undefined || to === undefined || expect === undefined) return undefined
  const rule = value('rule')
  const subject = value('subject')
  const at = value('at')
  return {
    kind: 'example',
    line: item.at.line,
    column: item.at.column,
    from,
    headerFrom: headerFrom ?? from,
    to,
    subject: subject ? (text(subject, 'a subject', report) ?? '') : '',
    is: optionalList(value('is')).flatMap((tree) => readTrait(tree, { report }) ?? []),
    headers: readHeaders(value('header'), report),
    size: readSize(value('size'), report),
    detect: optionalList(value('detect')).flatMap(
      (tree) => readWord(tree, 'detector', [...builtInNames, ...context.detectors], report) ?? [],
    ),
    authenticatedAs: readText(value('authenticated-as'), 'the name of a user', report),
    client: readText(value('client'), 'an IP address', report) ?? usualMail.client,
    at: at && startOfDay(readDate(at, report)),
    given: readGiven(value('given'), report),
    expect,
    proof: value('proof') && readWord(value('proof'), 'proof', ruleProofs, report),
    rule: rule && readRuleName(rule, rules, report),
  }
}

const startOfDay = (end: number | undefined): number | undefined => (end === undefined ? undefined : end - 24 * 60 * 60_000)
const optionalList = (tree: Tree | undefined): readonly Tree[] => (tree === undefined ? [] : list(tree))
const readText = (tree: Tree | undefined, expected: string, report: Report): string | undefined => tree && text(tree, expected, report)

function readWord(tree: Tree | undefined, what: string, words: readonly string[], report: Report): string | undefined {
  const word = tree && text(tree, oneOf(words.slice(0, 12)), report)
  if (tree === undefined || word === undefined || words.includes(word)) return word
  reportUnknown(report, tree.at, what, word, words)
  return undefined
}

/** `<>` or nothing is the null reverse-path. */
function readSender(tree: Tree | undefined, report: Report): string | undefined {
  if (tree?.kind === 'scalar' && (tree.value === '<>' || tree.value === '')) return ''
  return readRecipient(tree, report)
}

function readRecipient(tree: Tree | undefined, report: Report): string | undefined {
  const word = readText(tree, 'an address', report)
  if (tree === undefined || word === undefined) return undefined
  const address = parseAddress(word)
  if (address === undefined) report(tree.at, `${quote(word)} is not an address`, 'expected such as max@lab.example')
  return address
}

function readHeaders(tree: Tree | undefined, report: Report): Example['headers'] {
  if (tree === undefined) return {}
  if (tree.kind !== 'map') {
    report(tree.at, `expected a mapping of header names to values, found ${described(tree)}`)
    return {}
  }
  return Object.fromEntries(
    tree.entries.flatMap(({ key, at, value }: Entry) => {
      if (!isHeaderName(key)) report(at, `${quote(key)} is no name of a header field`)
      const values = list(value).map((one) => (one.kind === 'scalar' && one.value !== null ? String(one.value) : ''))
      return isHeaderName(key) ? [[key.toLowerCase(), values]] : []
    }),
  )
}

/** What a test does not say of its mail: bytes of it, and where it comes from. */
export const usualMail = { size: 20 * 1024, client: '127.0.0.1' } as const

function readSize(tree: Tree | undefined, report: Report): number {
  if (tree === undefined) return usualMail.size
  const read = tree.kind === 'scalar' ? sizeKind.read(tree.value, '') : { problem: `must be ${sizeKind.name}` }
  if ('value' in read) return read.value
  report(tree.at, `size ${read.problem}`)
  return usualMail.size
}

const usualWorld: Given = { tls: 'verified', pgp: false, smime: false }

function readGiven(tree: Tree | undefined, report: Report): Given {
  if (tree === undefined) return usualWorld
  const found = fields(tree, { what: 'given', words: givenWords }, report)
  const tls = found?.get('tls')?.value
  const word = readWord(tls, 'state of TLS', tlsWorlds, report)
  return {
    tls: tlsWorlds.find((known) => known === word) ?? usualWorld.tls,
    pgp: readYes(found?.get('pgp'), report),
    smime: readYes(found?.get('smime'), report),
  }
}

function readYes(entry: Entry | undefined, report: Report): boolean {
  if (entry === undefined) return false
  const { value } = entry
  if (value.kind === 'scalar' && typeof value.value === 'boolean') return value.value
  report(value.at, `expected true or false, found ${described(value)}`)
  return false
}
