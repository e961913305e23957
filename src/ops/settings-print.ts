/** What `settings print` shows: the values in force, and where each comes from. */
import { describeProblem, type Environment, loadSettings, type Sources } from './settings.ts'
import { type Entry, keys, table } from './settings-table.ts'

export type Row = { readonly key: string; readonly value: string; readonly source: string }
export type Printed =
  | { readonly kind: 'settings'; readonly rows: readonly Row[]; readonly text: string }
  | { readonly kind: 'bad'; readonly text: string }

/** The settings of a file (if any) and an environment, as rows and as text; or every problem on a line of its own. */
export function printedSettings(file: string | undefined, env: Environment): Printed {
  const loaded = loadSettings({ file, env })
  if (loaded.kind === 'bad') return { kind: 'bad', text: loaded.problems.map(describeProblem).join('\n') }
  const rows = settingsInForce(loaded.sources)
  return { kind: 'settings', rows, text: rows.map(line(widest(rows, 'key'), Math.min(60, widest(rows, 'value')))).join('\n') }
}

/** Each setting with its value as it was written. A password inside a location is masked. */
export function settingsInForce(sources: Sources): readonly Row[] {
  return keys.map((key) => {
    const entry: Entry<unknown> = table[key]
    const { from, text } = sources[key]
    return { key, value: entry.secret ? text.replace(/\/\/.*@/, '//•••@') : text, source: from }
  })
}

const widest = (rows: readonly Row[], column: 'key' | 'value'): number => Math.max(...rows.map((row) => row[column].length))

const line =
  (keyWidth: number, valueWidth: number) =>
  ({ key, value, source }: Row): string =>
    `${key.padEnd(keyWidth)}  ${(value === '' ? '–' : value).padEnd(valueWidth)}  ${source}`
