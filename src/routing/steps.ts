/** Reads a `deliver` list: which methods, in which order, with options that each method's own schema checks. */
import type { z } from 'zod'
import { understood } from '../methods/opportunistic/opportunistic.ts'
import { type Group, later, type PolicyStep } from './policy.ts'
import { oneOf, type Place, quote, type Report, reportUnknown } from './problem.ts'
import { described, list } from './read.ts'
import { withApprovers } from './read-approvers.ts'
import { type Entry, placeOf, plain, type Tree } from './tree.ts'

/** What the language must know of methods/index.ts. */
export type MethodWords = { readonly [name: string]: { readonly options: z.ZodType; readonly inPolicy: boolean } }

/** What steps may name, and who is told of mistakes. */
type Known = { readonly methods: MethodWords; readonly groups: ReadonlyMap<string, Group>; readonly report: Report }

const mostSteps = 16

/** Clear text happens only to those who wrote this sentence. */
const consent = { method: 'opportunistic', key: 'i-understand', sentence: understood } as const

/** The steps of a rule, options parsed; undefined when one is wrong. The implied bounce is added by plan. */
export function readSteps(tree: Tree, known: Known): readonly PolicyStep[] | undefined {
  const { methods, report } = known
  const items = list(tree)
  const empty = items.length === 0 || (tree.kind === 'scalar' && tree.value === null)
  if (empty) report(tree.at, 'deliver needs at least one step', `such as [${policyWords(methods).slice(0, 2).join(', ')}], or [bounce]`)
  if (items.length > mostSteps) report(tree.at, `${items.length} steps; at most ${mostSteps} make sense`)
  const steps = empty ? [] : items.map((item) => readStep(item, known)).filter((step) => step !== undefined)
  return steps.length === items.length && steps.length > 0 && items.length <= mostSteps ? steps : undefined
}

/** The words of methods that a policy may use, and `bounce`. */
export const policyWords = (methods: MethodWords): string[] => [...Object.keys(methods).filter((name) => methods[name]?.inPolicy), 'bounce']

function readStep(item: Tree, { methods, groups, report }: Known): PolicyStep | undefined {
  const written = named(item, report)
  if (written === undefined) return undefined
  const { key: method, at, value } = written
  const words = policyWords(methods)
  if (later.step.some((word: string) => word === method))
    report(at, `${method} is not available in this version`, `available here: ${oneOf(words, 'and')}`)
  else if (!words.includes(method)) reportUnknown(report, at, 'step', method, words)
  else {
    const asked = method === 'hold' && value.kind === 'map' ? withApprovers(value, groups, report) : { options: value, groups: [] }
    const options = asked && readOptions(method, at, asked.options, method === 'bounce' ? undefined : methods[method]?.options, report)
    const named = asked && asked.groups.length > 0 ? { groups: asked.groups } : {}
    return options && { method, options, ...named, line: at.line, column: at.column }
  }
  return undefined
}

/** Options for every tls step of a recipient: only what is written is laid over. */
export function readTlsOptions(tree: Tree, methods: MethodWords, report: Report): PolicyStep['options'] | undefined {
  const options = readOptions('tls', tree.at, tree, methods.tls?.options, report)
  if (options === undefined || tree.kind !== 'map') return undefined
  if (tree.entries.length === 0) report(tree.at, 'tls is empty', 'write what it takes, such as tls: { level: pinned, pin: [ … ] }')
  return Object.fromEntries(Object.entries(options).filter(([name]) => tree.entries.some(({ key }) => key === name)))
}

/** A bare word, or a mapping of one word to its options. */
function named(item: Tree, report: Report): Entry | undefined {
  if (item.kind === 'scalar' && typeof item.value === 'string') {
    const none: Tree = { kind: 'map', at: item.at, entries: [] }
    return { key: item.value, at: item.at, value: none }
  }
  const [entry, ...more] = item.kind === 'map' ? item.entries : []
  if (entry !== undefined && more.length === 0) {
    const bare = entry.value.kind === 'scalar' && entry.value.value === null
    return bare ? { ...entry, value: { kind: 'map', at: entry.at, entries: [] } } : entry
  }
  const several = more[0] === undefined ? undefined : 'each step is an item of its own: [tls, { escrow: {…} }]'
  report(item.at, `expected a step, found ${item.kind === 'map' ? `a mapping of ${item.entries.length} keys` : described(item)}`, several)
  return undefined
}

function readOptions(
  method: string,
  at: Entry['at'],
  value: Tree,
  schema: z.ZodType | undefined,
  report: Report,
): PolicyStep['options'] | undefined {
  if (value.kind !== 'map') {
    report(value.at, `expected the options of ${method} as a mapping, found ${described(value)}`)
    return undefined
  }
  const words = method === consent.method ? [consent.key] : schema === undefined ? [] : optionWords(schema)
  const strange = words === undefined ? [] : value.entries.filter(({ key }) => !words.includes(key))
  for (const { key, at } of strange) reportOption(report, at, method, key, words ?? [])
  if (strange.length > 0 || !consents(method, at, value, report) || isLater(method, value, report)) return undefined
  if (schema === undefined) return {}
  const parsed = schema.safeParse(plain(value))
  if (parsed.success) return isRecord(parsed.data) ? parsed.data : {}
  for (const issue of parsed.error.issues) reportIssue(report, method, value, issue)
  return undefined
}

function consents(method: string, at: Entry['at'], value: Tree & { kind: 'map' }, report: Report): boolean {
  if (method !== consent.method) return true
  const given = value.entries.find(({ key }) => key === consent.key)
  if (given?.value.kind === 'scalar' && given.value.value === consent.sentence) return true
  report(
    given?.value.at ?? at,
    `${method} may send mail in clear text, and must say so`,
    `write { ${method}: { ${consent.key}: ${consent.sentence} } }`,
  )
  return false
}

/** A value that will mean something: what a rule asks must not be a way to bounce by surprise. */
function isLater(method: string, { entries }: Tree & { kind: 'map' }, report: Report): boolean {
  const coming = entries.filter(
    ({ key, value }) => value.kind === 'scalar' && later.value.some((known: string) => known === `${method}.${key}.${value.value}`),
  )
  for (const { key, value } of coming) report(value.at, `${key}: ${String(plain(value))} of ${method} is not available in this version`)
  return coming.length > 0
}

function reportOption(report: Report, at: Entry['at'], method: string, key: string, words: readonly string[]): void {
  const coming: { readonly [method: string]: readonly string[] } = later.option
  if (coming[method]?.includes(key)) report(at, `option ${key} of ${method} is not available in this version`, hintOf(method, words))
  else if (words.length === 0) report(at, `${method} has no option ${quote(key)}`, hintOf(method, words))
  else reportUnknown(report, at, `option of ${method}`, key, words)
}

const hintOf = (method: string, words: readonly string[]): string =>
  words.length === 0 ? `write ${method} alone` : `available: ${oneOf(words, 'and')}`

/** A schema's complaint in the words of the house, at the place of the option that it is about. */
function reportIssue(report: Report, method: string, value: Tree, issue: z.core.$ZodIssue): void {
  const at = placeOf(value, issue.path)
  const option = issue.path.length === 0 ? `options of ${method}` : `option ${issue.path.map(String).join('.')} of ${method}`
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) reportOption(report, placeOf(value, [...issue.path, key]), method, key, [])
      return
    case 'invalid_value':
      return reportValue(report, at, option, valueAt(value, issue.path), issue.values)
    case 'invalid_union': {
      const [first] = issue.errors.flat()
      if (first?.code === 'invalid_value') return reportValue(report, at, option, valueAt(value, issue.path), first.values)
      return report(at, `${option}: ${first === undefined ? issue.message : lowerFirst(first.message)}`)
    }
    default:
      return report(at, `${option}: ${lowerFirst(issue.message)}`)
  }
}

/** A value that is none of the few; the hint is the nearest of them, when one is near. */
function reportValue(report: Report, at: Place, option: string, found: unknown, values: readonly unknown[]): void {
  const words = values.map(String)
  report(at, `${option}: expected ${oneOf(words)}`, (nearestOf) => {
    const near = String(found).length < 3 ? undefined : nearestOf(String(found), words)
    return near === undefined ? undefined : `did you mean ${quote(near)}?`
  })
}

const valueAt = (tree: Tree, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((around, key) => (isRecord(around) ? around[String(key)] : undefined), plain(tree))

/** The keys that an object schema knows, through whatever is wrapped around it; undefined when it cannot be told. */
function optionWords(schema: unknown): readonly string[] | undefined {
  if (!isRecord(schema)) return undefined
  if (isRecord(schema.shape)) return Object.keys(schema.shape)
  const definition = isRecord(schema.def) ? schema.def : {}
  return optionWords(definition.in ?? definition.innerType)
}

const isRecord = (value: unknown): value is { readonly [name: string]: unknown } => typeof value === 'object' && value !== null
const lowerFirst = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}`
