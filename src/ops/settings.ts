/** Settings: environment over YAML file over default, checked as a whole before anything starts. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { nearest } from './nearest.ts'
import { crossCheck, derive } from './settings-check.ts'
import { type Problem, readSettingsFile } from './settings-file.ts'
import { type Entry, environmentName, type Key, keys, type Settings, table } from './settings-table.ts'

export type { Problem } from './settings-file.ts'
export type { Listen, Route } from './settings-kinds.ts'
export { pathOf } from './settings-kinds.ts'
export type { Settings } from './settings-table.ts'

/** Where a value came from ('default', 'FILE:line' or the name of the environment variable), and how it was written there. */
export type Source = { readonly from: string; readonly text: string }
export type Sources = { readonly [K in Key]: Source }
export type Environment = { readonly [name: string]: string | undefined }
export type Loaded =
  | { readonly kind: 'settings'; readonly settings: Settings; readonly sources: Sources }
  | { readonly kind: 'bad'; readonly problems: readonly Problem[] }

type Given = { readonly raw: unknown; readonly from: string; readonly at: Omit<Problem, 'text' | 'hint' | 'key'> }

/** Reads and checks all settings. Relative paths start from the file's folder, without a file from the current one. */
export function loadSettings({ file, env }: { readonly file?: string | undefined; readonly env: Environment }): Loaded {
  const base = file === undefined ? process.cwd() : dirname(resolve(file))
  const problems: Problem[] = []
  const given = new Map<Key, Given>()
  if (file !== undefined) fromFile(resolve(file), given, problems)
  fromEnvironment(env, base, given, problems)

  const values: { [key: string]: unknown } = {}
  for (const key of keys) {
    const read = readOne(key, given.get(key), base)
    if ('problem' in read) problems.push(read.problem)
    else values[key] = read.value
  }
  if (problems.length > 0) return { kind: 'bad', problems }

  const settings = derive(values as Settings, (key) => !given.has(key))
  const broken = crossCheck(settings).map((problem) => ({ ...problem, ...given.get(problem.key as Key)?.at }))
  if (broken.length > 0) return { kind: 'bad', problems: broken }
  const sources = Object.fromEntries(keys.map((key) => [key, sourceOf(key, given.get(key), settings)])) as Sources
  return { kind: 'settings', settings, sources }
}

/** Defaults with some values replaced, for tests and the demo: values are given as read (milliseconds, bytes, absolute paths). */
export function defaultSettings(overrides: Partial<Settings> = {}): Settings {
  const values: { [key: string]: unknown } = {}
  for (const key of keys) {
    const read = readOne(key, undefined, process.cwd())
    if ('problem' in read) throw new Error(`the default of ${key} ${read.problem.text}`)
    values[key] = read.value
  }
  return derive({ ...(values as Settings), ...overrides }, (key) => !(key in overrides))
}

/** One line per problem: `letterlock.yaml:3:3: smtp.listn is not a setting; did you mean smtp.listen?` */
export function describeProblem({ key, variable, file, line, column, text, hint }: Problem): string {
  const place = [variable ?? file, line, column].filter((part) => part !== undefined).join(':')
  return `${[place, [key, text].filter((part) => part !== '').join(' ')].filter((part) => part !== '').join(': ')}${hint === undefined ? '' : `; ${hint}`}`
}

function fromFile(file: string, given: Map<Key, Given>, problems: Problem[]): void {
  const text = readText(file)
  if (typeof text !== 'string') {
    problems.push({ key: '', file, text: `the settings file cannot be read: ${text.problem}` })
    return
  }
  const found = readSettingsFile(file, text)
  problems.push(...found.problems)
  for (const { key, raw, line, column } of found.written) given.set(key, { raw, from: `${file}:${line}`, at: { file, line, column } })
}

/** Names that others put into the environment: our own switches for tests, and what Kubernetes adds for a service called letterlock. */
const notSettings = /^LETTERLOCK_(FAILPOINT|PORT|PORT_.*|SERVICE_.*)$/

function fromEnvironment(env: Environment, base: string, given: Map<Key, Given>, problems: Problem[]): void {
  const byName = new Map(keys.map((key) => [environmentName(key), key]))
  for (const [name, raw] of Object.entries(env)) {
    if (!name.startsWith('LETTERLOCK_') || raw === undefined || notSettings.test(name)) continue
    const key = byName.get(name)
    if (key !== undefined) {
      given.set(key, { raw, from: name, at: { variable: name } })
      continue
    }
    const secret = byName.get(name.replace(/_FILE$/, ''))
    const entry: Entry<unknown> | undefined = secret === undefined ? undefined : table[secret]
    if (name.endsWith('_FILE') && secret !== undefined && entry?.secret) fromSecretFile(name, resolve(base, raw), secret, given, problems)
    else {
      const close = nearest(name.slice('LETTERLOCK_'.length), keys)
      problems.push({
        key: name,
        text: 'is not a setting',
        ...(close === undefined ? {} : { hint: `did you mean ${environmentName(close)}?` }),
      })
    }
  }
}

function fromSecretFile(name: string, file: string, key: Key, given: Map<Key, Given>, problems: Problem[]): void {
  const text = readText(file)
  if (typeof text === 'string') given.set(key, { raw: text.trim(), from: name, at: { variable: name } })
  else problems.push({ key: name, text: `names a file that cannot be read: ${text.problem}` })
}

function readText(file: string): string | { readonly problem: string } {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

function readOne(key: Key, given: Given | undefined, base: string): { readonly value: unknown } | { readonly problem: Problem } {
  const entry: Entry<unknown> = table[key]
  const initial = entry.kind.read(entry.initial.includes('<') ? placeholder(key) : entry.initial, base)
  const read = given === undefined ? initial : entry.kind.read(given.raw, base)
  if ('problem' in read) {
    // A secret is never quoted back: the value may be a password in the wrong place.
    return refused(key, given, entry.secret ? 'cannot be understood' : read.problem)
  }
  const changed = given !== undefined && 'value' in initial && JSON.stringify(read.value) !== JSON.stringify(initial.value)
  if (entry.later && changed)
    return refused(key, given, `is not available in this version; only its default (${entry.initial || 'nothing'}) is accepted`)
  if (entry.laterValues?.includes(read.value)) return refused(key, given, `${String(read.value)} is not available in this version`)
  return read
}

const refused = (key: Key, given: Given | undefined, text: string): { readonly problem: Problem } => ({
  problem: { key, ...given?.at, text },
})

/** A derived default is shown as what it came to, the others as the table writes them. */
function sourceOf(key: Key, given: Given | undefined, settings: Settings): Source {
  if (given === undefined) return { from: 'default', text: table[key].initial.includes('<') ? String(settings[key]) : table[key].initial }
  return { from: given.from, text: typeof given.raw === 'string' ? given.raw : JSON.stringify(given.raw) }
}

/** A readable stand-in for a default that `derive` replaces. */
function placeholder(key: Key): string {
  if (key === 'portal.url') return 'http://localhost:8080'
  if (key === 'notice.from') return 'letters@localhost'
  return table[key].initial.replace('<data>', '/')
}
