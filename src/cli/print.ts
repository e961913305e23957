/** How commands print: data on stdout, JSON when asked, else tables a person can read; times in local ISO form. */

/** Print a value as JSON, two spaces deep. */
export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2))

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** Rows under their titles, each column as wide as its widest cell; `nothing` when there are none. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[], nothing: string): string {
  if (rows.length === 0) return nothing
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [titles, ...rows].map(line).join('\n')
}

/** `2026-11-22 14:02:05` in UTC; `-` for none. */
export const time = (at: number | null): string => (at === null ? '-' : `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')}Z`)

/** Control characters of foreign text never reach a terminal. */
export const plain = (text: string | null): string => (text ?? '-').replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
