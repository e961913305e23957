/** Reads the conditions that compare values: header fields, size, detectors, who handed the mail in. */
import { isIP } from 'node:net'
import { network, size } from '../ops/settings-kinds.ts'
import type { Known } from './conditions.ts'
import { builtInNames } from './detectors.ts'
import type { Condition, HeaderTest } from './policy.ts'
import { oneOf, quote, reportUnknown } from './problem.ts'
import { described, fields, list, text } from './read.ts'
import type { Entry, Tree } from './tree.ts'

/** `header: { Sensitivity: [private, company-confidential], msip_labels: { contains: secret } }`: all of them must hold. */
export function readHeaders(tree: Tree, known: Known): readonly Condition[] | undefined {
  if (tree.kind !== 'map' || tree.entries.length === 0) {
    const hint = 'write header: { Sensitivity: private }, or { Subject: { contains: offer } }'
    known.report(tree.at, `expected a mapping of header names to values, found ${described(tree)}`, hint)
    return undefined
  }
  const conditions = tree.entries.map((entry) => readHeader(entry, known))
  const whole = conditions.filter((condition) => condition !== undefined)
  return whole.length === conditions.length ? whole : undefined
}

const tests = ['equals', 'contains', 'present'] as const

/** RFC 5322 §2.2: printable US-ASCII but the colon. */
export const isHeaderName = (name: string): boolean => /^[!-9;-~]{1,76}$/.test(name)

function readHeader({ key: name, at, value }: Entry, known: Known): Condition | undefined {
  if (!isHeaderName(name)) known.report(at, `${quote(name)} is no name of a header field`)
  const test = value.kind === 'map' ? readHeaderTest(value, known) : readValues('equals', value, known)
  return test && isHeaderName(name) ? { kind: 'header', name, test } : undefined
}

function readHeaderTest(tree: Tree, known: Known): HeaderTest | undefined {
  const entries = [...(fields(tree, { what: 'header', words: tests }, known.report)?.values() ?? [])]
  const [entry, more] = entries
  if (entry === undefined || more !== undefined) {
    if (entry !== undefined || (tree.kind === 'map' && tree.entries.length === 0)) known.report(tree.at, `expected one of ${oneOf(tests)}`)
    return undefined
  }
  if (entry.key !== 'present') return readValues(entry.key === 'contains' ? 'contains' : 'equals', entry.value, known)
  if (entry.value.kind === 'scalar' && typeof entry.value.value === 'boolean') return { kind: 'present', present: entry.value.value }
  known.report(entry.value.at, `expected true or false, found ${described(entry.value)}`)
  return undefined
}

function readValues(kind: 'equals' | 'contains', tree: Tree, { report }: Known): HeaderTest | undefined {
  const items = list(tree)
  // Numbers and booleans are meant as they are written: X-Priority: 1.
  const values = items.map((item) =>
    item.kind === 'scalar' && ['number', 'boolean'].includes(typeof item.value) ? String(item.value) : text(item, 'a header value', report),
  )
  if (items.length === 0) report(tree.at, 'an empty list of header values', 'name at least one')
  const whole = values.filter((value) => value !== undefined)
  return whole.length === values.length && whole.length > 0 ? { kind, values: whole } : undefined
}

/** `size: { over: 10MiB, under: 1GiB }`. */
export function readSize(tree: Tree, known: Known): Condition | undefined {
  const found = fields(tree, { what: 'size', words: ['over', 'under'] }, known.report)
  if (found === undefined) return undefined
  if (found.size === 0) known.report(tree.at, 'size needs over or under', 'such as size: { over: 10MiB }')
  const over = readBytes(found.get('over'), known)
  const under = readBytes(found.get('under'), known)
  if (over === null || under === null || found.size === 0) return undefined
  if (over === undefined || under === undefined || over + 1 < under) return { kind: 'size', over, under }
  known.report(tree.at, 'no size is over the first and under the second')
  return undefined
}

function readBytes(entry: Entry | undefined, { report }: Known): number | undefined | null {
  if (entry === undefined) return undefined
  const read = entry.value.kind === 'scalar' ? size.read(entry.value.value, '') : { problem: `must be ${size.name}` }
  if ('value' in read) return read.value
  report(entry.value.at, `${entry.key} ${read.problem}`)
  return null
}

/** `detect: [payment-card, project-x]`. */
export function readDetect(tree: Tree, { detectors, report }: Known): Condition | undefined {
  const known = [...new Set([...builtInNames, ...detectors])]
  const names = list(tree).map((item) => {
    const name = text(item, 'the name of a detector', report)
    if (name === undefined || known.includes(name)) return name
    reportUnknown(report, item.at, 'detector', name, known)
    return undefined
  })
  const whole = names.filter((name) => name !== undefined)
  if (names.length === 0) report(tree.at, 'an empty list of detectors', `name at least one of ${oneOf(known)}`)
  return whole.length === names.length && whole.length > 0 ? { kind: 'detect', detectors: whole } : undefined
}

/** `authenticated-as: [scanner, erp]`: names of `letterlock user add`. */
export function readNames(tree: Tree, { report }: Known): Condition | undefined {
  const names = list(tree).map((item) => text(item, 'the name of a user', report)?.toLowerCase())
  if (names.length === 0) report(tree.at, 'an empty list of user names', 'name at least one')
  const whole = names.filter((name) => name !== undefined)
  return whole.length === names.length && whole.length > 0 ? { kind: 'authenticated-as', names: whole } : undefined
}

/** `client: [10.2.0.0/16, 192.0.2.7]`. */
export function readClient(tree: Tree, { report }: Known): Condition | undefined {
  const networks = list(tree).map((item) => readNetwork(item, report))
  if (networks.length === 0) report(tree.at, 'an empty list of networks', 'name at least one, such as 10.2.0.0/16')
  const whole = networks.filter((one) => one !== undefined)
  return whole.length === networks.length && whole.length > 0 ? { kind: 'client', networks: whole } : undefined
}

function readNetwork(item: Tree, report: Known['report']): string | undefined {
  const word = text(item, 'a network', report)
  if (word === undefined) return undefined
  if (word.startsWith('tenant:')) {
    report(item.at, 'client: tenant:… is not available in this version', 'name networks, such as 10.2.0.0/16')
    return undefined
  }
  const version = isIP(word)
  const read = network.read(version === 0 ? word : `${word}/${version === 4 ? 32 : 128}`, '')
  if ('value' in read) return read.value
  report(item.at, `client ${read.problem}`)
  return undefined
}
