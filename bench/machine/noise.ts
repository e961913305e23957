/** How noisy the machine is: the share of CPU time that its host gave to others ("steal"), and what others on it used. */
import { readFileSync } from 'node:fs'

export type Ticks = { readonly steal: number; readonly total: number }

/** The counters of all processors since the start of the machine. */
export function ticks(): Ticks {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]?.trim().split(/\s+/).slice(1, 9).map(Number) ?? []
  return { steal: fields[7] ?? 0, total: fields.reduce((sum, field) => sum + field, 0) }
}

/** Percent of all CPU time between two looks. */
export const stolen = (from: Ticks, to: Ticks): number => (100 * (to.steal - from.steal)) / Math.max(1, to.total - from.total)
