/** Control groups of the benchmark's own, of version 2 wherever it is mounted, else the cpuacct controller of version 1. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

export type Group = { readonly folder: string; readonly cpuSeconds: () => number }

/** A run keeps its name when it starts itself again in its own namespaces. */
export const runNameVariable = 'BENCH_RUN_NAME'
export const runName = process.env[runNameVariable] ?? `letterlock-bench-${randomBytes(4).toString('hex')}`

const root = '/sys/fs/cgroup'
const places = [
  { folder: join(root, 'cpuacct'), cpuSeconds: (group: string) => Number(readFileSync(join(group, 'cpuacct.usage'), 'utf8')) / 1e9 },
  ...[root, join(root, 'unified')].map((folder) => ({ folder, cpuSeconds: (group: string) => readUsage(join(group, 'cpu.stat')) })),
]

function readUsage(file: string): number {
  const microseconds = /usage_usec (\d+)/.exec(readFileSync(file, 'utf8'))?.[1]
  if (microseconds === undefined) throw new Error(`${file} says no usage_usec`)
  return Number(microseconds) / 1e6
}

/** A new group of this run; undefined where none may be made. */
export function openGroup(name: string): Group | undefined {
  for (const { folder, cpuSeconds } of places) {
    const group = join(folder, `${runName}-${name}`)
    try {
      mkdirSync(group)
      cpuSeconds(group)
      return { folder: group, cpuSeconds: () => cpuSeconds(group) }
    } catch {
      // Not mounted, or not ours to make.
    }
  }
  return undefined
}

/** Removes what is left of this run's groups; those in which processes still run stay. */
export function removeGroups(): void {
  const left = places.flatMap(({ folder }) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => name.startsWith(`${runName}-`))
          .map((name) => join(folder, name))
      : [],
  )
  for (const folder of left) {
    try {
      rmdirSync(folder)
    } catch {
      // Somebody is still ending in there.
    }
  }
}
