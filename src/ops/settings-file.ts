/** Reads a YAML settings file into dotted keys, each with its line and column. */
import { isMap, isScalar, LineCounter, type Node, type ParsedNode, parseDocument } from 'yaml'
import { nearest } from './nearest.ts'
import { type Key, keys } from './settings-table.ts'

/** Why a setting is no good, and where; lines and columns count from 1. */
export type Problem = {
  readonly key: string
  /** The environment variable, when the value came from one. */
  readonly variable?: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly text: string
  readonly hint?: string
}

/** One value found in the file, as YAML reads it. */
export type Written = { readonly key: Key; readonly raw: unknown; readonly line: number; readonly column: number }

/** Everything the text says, and every problem found on the way. Unknown keys are problems. */
export function readSettingsFile(
  file: string,
  text: string,
): { readonly written: readonly Written[]; readonly problems: readonly Problem[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const problems: Problem[] = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0])
    return { key: '', file, line, column: col, text: `is not valid YAML: ${error.message.split('\n')[0]?.replace(/ at line.*$/, '')}` }
  })
  const written: Written[] = []
  const seen = new Set<string>()

  const walk = (node: ParsedNode | Node | null, prefix: string): void => {
    if (!isMap(node)) return
    for (const { key: name, value } of node.items) {
      const key = prefix + String(isScalar(name) ? name.value : name)
      const { line, col } = lines.linePos((isScalar(name) ? name.range?.[0] : undefined) ?? 0)
      const at = { key, file, line, column: col }
      const known = keys.find((one) => one === key)
      const section = known === undefined && keys.some((one) => one.startsWith(`${key}.`))
      if (known !== undefined && seen.has(key)) problems.push({ ...at, text: 'is set twice' })
      else if (known !== undefined) written.push({ key: known, raw: (value as Node | null)?.toJS(document) ?? null, line, column: col })
      else if (section && isMap(value)) walk(value, `${key}.`)
      else if (section && !isEmpty(value))
        problems.push({
          ...at,
          text: `is a section, not a setting; ${keys.find((one) => one.startsWith(`${key}.`))} is one of its settings`,
        })
      else if (!section) problems.push({ ...at, text: 'is not a setting', ...hintFor(key) })
      seen.add(key)
    }
  }
  if (document.contents !== null && !isMap(document.contents))
    problems.push({ key: '', file, line: 1, column: 1, text: 'must be a map of settings such as `hostname: gate.example.org`' })
  if (document.errors.length === 0) walk(document.contents, '')
  return { written, problems }
}

const isEmpty = (value: unknown): boolean => value === null || (isScalar(value) && value.value === null)

const hintFor = (key: string): { hint?: string } => {
  const close = nearest(key, keys)
  return close === undefined ? {} : { hint: `did you mean ${close}?` }
}
