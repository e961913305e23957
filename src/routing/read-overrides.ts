/** Reads `overrides`: what one recipient, or everybody at a domain, asked for, with its reason and its end. */
import { readPatterns } from './conditions.ts'
import { type Group, isPreferable, type Override } from './policy.ts'
import { oneOf, quote, type Report, reportUnknown } from './problem.ts'
import { described, fields, list, text } from './read.ts'
import { type MethodWords, policyWords, readTlsOptions } from './steps.ts'
import type { Tree } from './tree.ts'

type Context = { readonly groups: ReadonlyMap<string, Group>; readonly methods: MethodWords; readonly report: Report }

export const overrideWords = ['to', 'prefer', 'never', 'tls', 'reason', 'until'] as const
const mostOverrides = 2000

export function readOverrides(tree: Tree | undefined, context: Context): Override[] {
  if (tree === undefined || (tree.kind === 'scalar' && tree.value === null)) return []
  const { report } = context
  if (tree.kind !== 'list') report(tree.at, `expected a list of overrides, found ${described(tree)}`, 'each begins with a dash: - to: …')
  const items = tree.kind === 'list' ? tree.items : []
  if (items.length > mostOverrides) report(tree.at, `${items.length} overrides; at most ${mostOverrides} are read`)
  return items.slice(0, mostOverrides).flatMap((item) => readOverride(item, context) ?? [])
}

function readOverride(item: Tree, context: Context): Override | undefined {
  const { groups, methods, report } = context
  const found = fields(item, { what: 'override', words: overrideWords }, report)
  if (found === undefined) return undefined
  const value = (word: (typeof overrideWords)[number]) => found.get(word)?.value
  for (const word of ['to', 'reason', 'until'] as const)
    if (!found.has(word)) report(item.at, `the override has no ${word}`, missingHint[word])
  if (!found.has('prefer') && !found.has('never') && !found.has('tls'))
    report(item.at, 'the override changes nothing', 'add prefer, never or tls')
  const to = found.has('to') ? readPatterns(value('to') ?? item, { groups, report }) : undefined
  const steps = policyWords(methods).filter((word) => word !== 'bounce')
  const prefer = optional(value('prefer'), (tree) => readStepName(tree, steps.filter(isPreferable), report))
  const never = optional(value('never'), (tree) => readNever(tree, steps, report))
  const tls = optional(value('tls'), (tree) => readTlsOptions(tree, methods, report))
  const reason = optional(value('reason'), (tree) => text(tree, 'the reason, for whoever reads this later', report))
  const until = optional(value('until'), (tree) => readDate(tree, report))
  if (to === undefined || prefer === null || never === null || tls === null || reason === null || until === null) return undefined
  if (reason === undefined || until === undefined) return undefined
  return { line: item.at.line, column: item.at.column, to, prefer, never: never ?? [], tls, reason, until }
}

const missingHint = {
  to: 'name an address, a domain, *.domain or group:name',
  reason: 'say who asked for it and why: nobody will remember',
  until: 'write its last day, such as until: 2027-03-31: nothing lasts for ever by oversight',
} as const

/** undefined: not written; null: written, and wrong. */
function optional<T>(tree: Tree | undefined, read: (tree: Tree) => T | undefined): T | undefined | null {
  return tree === undefined ? undefined : (read(tree) ?? null)
}

function readStepName(tree: Tree, steps: readonly string[], report: Report): string | undefined {
  const name = text(tree, oneOf(steps), report)
  if (name === undefined || steps.includes(name)) return name
  reportUnknown(report, tree.at, 'step', name, steps)
  return undefined
}

/** A recipient's wish spares nobody the look that a rule wants. */
function readLeftOut(tree: Tree, steps: readonly string[], report: Report): string | undefined {
  const name = readStepName(tree, steps, report)
  if (name !== 'hold') return name
  report(
    tree.at,
    'never: hold would send past the person who is to look at it',
    'write a rule of its own for them, before the one that holds',
  )
  return undefined
}

function readNever(tree: Tree, steps: readonly string[], report: Report): readonly string[] | undefined {
  const names = list(tree).map((item) => readLeftOut(item, steps, report))
  if (names.length === 0) report(tree.at, 'an empty list of steps', 'name at least one')
  const whole = names.filter((name) => name !== undefined)
  return whole.length === names.length && whole.length > 0 ? whole : undefined
}

const day = 24 * 60 * 60_000

/** The last day, in UTC; the first millisecond at which it is over. */
export function readDate(tree: Tree, report: Report): number | undefined {
  const word = text(tree, 'a date such as 2027-03-31', report)
  if (word === undefined) return undefined
  const at = /^\d{4}-\d{2}-\d{2}$/.test(word) ? Date.parse(`${word}T00:00:00Z`) : Number.NaN
  if (!Number.isNaN(at) && new Date(at).toISOString().startsWith(word)) return at + day
  report(tree.at, `${quote(word)} is not a date`, 'write year, month and day, such as 2027-03-31')
  return undefined
}
