/** Reads the `when` of a rule: each condition, or the mistake in it with its place. */
import { readClient, readDetect, readHeaders, readNames, readSize } from './condition-values.ts'
import { collectPatterns, type Pattern, type PatternList, type Patterns, readPattern } from './patterns.ts'
import { type AddressCondition, addressConditions, type Condition, type Group, later, type Trait, traits } from './policy.ts'
import { oneOf, quote, type Report, reportUnknown } from './problem.ts'
import { fields, list, text } from './read.ts'
import type { Entry, Tree } from './tree.ts'

export type Known = {
  readonly groups: ReadonlyMap<string, Group>
  /** Names of the document's own detectors. */
  readonly detectors: ReadonlySet<string>
  readonly report: Report
}

/** Every word of a `when`. */
export const conditionWords = [
  ...addressConditions,
  'subject-tag',
  'is',
  'header',
  'size',
  'detect',
  'authenticated-as',
  'client',
  'any',
  'all',
  'not',
] as const

/** All conditions of a mapping must hold. Undefined when something in it is wrong: what, the report was told. */
export function readConditions(tree: Tree, known: Known): Condition | undefined {
  const found = fields(tree, { what: 'condition', words: conditionWords, later: later.condition }, known.report)
  if (found === undefined) return undefined
  if (tree.kind === 'map' && tree.entries.length === 0) {
    known.report(tree.at, `a condition needs one of ${oneOf(conditionWords)}`, 'what applies to all other mail is written under default')
    return undefined
  }
  const conditions = [...found.values()].map((entry) => readCondition(entry, known))
  const [only] = conditions
  if (conditions.length === 1) return only
  return complete(conditions, (all) => ({ kind: 'all', conditions: all }))
}

function readCondition({ key, value }: Entry, known: Known): Condition | undefined {
  if (isAddressCondition(key)) {
    const patterns = readPatterns(value, known)
    return patterns && { kind: key, patterns }
  }
  if (key === 'subject-tag')
    return complete(
      list(value).map((item) => readTag(item, known)),
      (tags) => some(value, { kind: 'subject-tag', tags }, tags, known),
    )
  if (key === 'is')
    return complete(
      list(value).map((item) => readTrait(item, known)),
      (is) => some(value, { kind: 'is', traits: is }, is, known),
    )
  if (key === 'header') {
    const headers = readHeaders(value, known)
    return headers && joined('all', headers)
  }
  const reader = valueReaders[key]
  if (reader !== undefined) return reader(value, known)
  const inner = list(value).map((item) => readConditions(item, known))
  if (key === 'not') return complete(inner, (none) => some(value, { kind: 'not', condition: joined('any', none) }, none, known))
  return complete(inner, (conditions) => some(value, joined(key === 'any' ? 'any' : 'all', conditions), conditions, known))
}

const valueReaders: { readonly [word: string]: ((value: Tree, known: Known) => Condition | undefined) | undefined } = {
  size: readSize,
  detect: readDetect,
  'authenticated-as': readNames,
  client: readClient,
}

const isAddressCondition = (key: string): key is AddressCondition => addressConditions.some((word) => word === key)

const joined = (kind: 'any' | 'all', conditions: readonly Condition[]): Condition =>
  conditions.length === 1 && conditions[0] ? conditions[0] : { kind, conditions }

/** An empty list would match nothing (or everything): nobody means that. */
function some(tree: Tree, condition: Condition, members: readonly unknown[], { report }: Known): Condition | undefined {
  if (members.length > 0) return condition
  report(tree.at, 'an empty list of conditions', 'name at least one, or remove the condition')
  return undefined
}

function complete<T>(parts: readonly (T | undefined)[], make: (parts: T[]) => Condition | undefined): Condition | undefined {
  const whole = parts.filter((part) => part !== undefined)
  return whole.length === parts.length ? make(whole) : undefined
}

/** The members of a group: domains and addresses, no other groups. */
export function readMembers(tree: Tree, group: string, report: Report): PatternList | undefined {
  const named = list(tree).map((item) => {
    const word = text(item, 'a domain or an address', report)
    if (word === undefined || !word.startsWith('group:')) return word === undefined ? undefined : readMember(word, item, report)
    report(item.at, `a group cannot contain ${quote(word)}`, 'a group lists domains and addresses; a condition may name several groups')
    return undefined
  })
  if (named.length === 0) report(tree.at, `group ${quote(group)} is empty`, 'list at least one domain or address')
  const patterns = named.filter((pattern) => pattern !== undefined)
  if (patterns.length < named.length || patterns.length === 0) return undefined
  return collectPatterns(patterns.map((pattern) => ({ word: `group:${group}`, pattern })))
}

/** A list of addresses, domains, `*.domains` and `group:names`, as conditions and overrides name people. */
export function readPatterns(tree: Tree, known: Pick<Known, 'groups' | 'report'>): Patterns | undefined {
  const items = list(tree)
  if (items.length === 0) known.report(tree.at, 'an empty list of addresses', 'name at least one address, domain, *.domain or group:name')
  const named = items.map((item) => readWord(item, known)).filter((word) => word !== undefined)
  if (named.length < items.length || named.length === 0) return undefined
  const own = collectPatterns(named.flatMap(({ word, pattern }) => (pattern ? [{ word, pattern }] : [])))
  return { words: named.map(({ word }) => word), lists: [own, ...new Set(named.flatMap(({ group }) => (group ? [group.members] : [])))] }
}

type Named = { readonly word: string; readonly pattern?: Pattern; readonly group?: Group }

function readWord(item: Tree, { groups, report }: Pick<Known, 'groups' | 'report'>): Named | undefined {
  const word = text(item, 'an address, a domain, *.domain or group:name', report)
  if (word === undefined) return undefined
  if (!word.startsWith('group:')) {
    if (groups.has(word)) report(item.at, `${quote(word)} is a group`, `did you mean ${quote(`group:${word}`)}?`)
    const pattern = groups.has(word) ? undefined : readMember(word, item, report)
    return pattern && { word, pattern }
  }
  const name = word.slice('group:'.length)
  const group = groups.get(name)
  if (group !== undefined) return { word, group }
  if (groups.size === 0) report(item.at, `group ${quote(name)} is unknown`, 'the policy has no groups: add it under groups')
  else reportUnknown(report, item.at, 'group', name, () => [...groups.keys()])
  return undefined
}

function readMember(word: string, item: Tree, report: Report): Pattern | undefined {
  const pattern = readPattern(word)
  if (pattern !== undefined) return pattern
  const everybody = word === '*' || word === '*@*'
  const below = /^[^@]*@\*\.|^[^@]*\*[^@]*@/.test(word)
  report(
    item.at,
    `${quote(word)} is neither an address nor a domain`,
    everybody
      ? 'what applies to everybody is written under default'
      : below
        ? 'write the domain alone: lab.example, or *.lab.example for the names below it'
        : 'expected max@lab.example, lab.example, "*.lab.example" or group:name',
  )
  return undefined
}

/** `[secure]` is meant when `secure` is written; brackets in quotes are allowed too. */
function readTag(item: Tree, { report }: Known): string | undefined {
  const word = text(item, 'a tag', report)
  if (word === undefined) return undefined
  const tag = (/^\[(.*)\]$/s.exec(word)?.[1] ?? word).trim().toLowerCase()
  if (tag !== '' && tag.length <= 64 && !/[[\]\p{Cc}]/u.test(tag)) return tag
  report(item.at, `${quote(word)} is not a subject tag`, 'expected the word that stands in brackets in the subject: secure for [secure]')
  return undefined
}

/** A word of `is:`. */
export function readTrait(item: Tree, { report }: Pick<Known, 'report'>): Trait | undefined {
  const word = text(item, oneOf(traits), report)
  const trait = traits.find((known) => known === word)
  if (word === undefined || trait !== undefined) return trait
  if (later.trait.some((known: string) => known === word))
    report(item.at, `is: ${word} is not available in this version`, `available: ${oneOf(traits, 'and')}`)
  else reportUnknown(report, item.at, 'is:', word, traits)
  return undefined
}
