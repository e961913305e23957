/** Adds up the CPU time and the memory of everything that one peer runs: in a control group of its own, else by its process tree. */
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Group, openGroup } from './groups.ts'

export type Account = {
  /** Put before a command, this starts it inside the account. */
  readonly prefix: readonly string[]
  /** Where there are no control groups, the account is what descends from these processes. */
  readonly watch: (pid: number) => void
  /** User and system seconds so far; in a control group also of processes that have ended. */
  readonly cpuSeconds: () => number
  readonly pids: () => readonly number[]
  /** Ends everything inside, and resolves when it has ended. */
  readonly close: () => Promise<void>
}

/** An account of this name (letters, digits, hyphens). */
export function openAccount(name: string): Account {
  const group = openGroup(name)
  const watched: number[] = []
  const pids = () => (group ? pidsOf(group) : descendants(watched))
  return {
    prefix: group ? ['sh', '-c', `echo $$ > ${join(group.folder, 'cgroup.procs')} && exec "$@"`, 'sh'] : [],
    watch: (pid) => void watched.push(pid),
    cpuSeconds: () => (group ? group.cpuSeconds() : pids().reduce((sum, pid) => sum + cpuOf(pid), 0)),
    pids,
    close: async () => {
      await endAll(pids)
      if (group && existsSync(group.folder)) rmdirSync(group.folder)
    },
  }
}

const pidsOf = ({ folder }: Group): number[] =>
  (read(join(folder, 'cgroup.procs')) ?? '')
    .split('\n')
    .filter((line) => line !== '' && line !== '0')
    .map(Number)

/** The fields of /proc/PID/stat after the name, which may hold anything: state, parent, … */
function fieldsOf(pid: number | string): string[] {
  const text = read(`/proc/${pid}/stat`)
  return text === undefined ? [] : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** With the children that it has waited for; proc(5) fields 14 to 17, in hundredths of a second. */
const cpuOf = (pid: number): number =>
  fieldsOf(pid)
    .slice(11, 15)
    .reduce((sum, ticks) => sum + Number(ticks) / 100, 0)

function descendants(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const parent = Number(fieldsOf(name)[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const found = roots.filter((root) => existsSync(`/proc/${root}`))
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

async function endAll(pids: () => readonly number[]): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const left = pids()
    if (left.length === 0) return
    for (const pid of left) signal(pid, tries < 30 ? 'SIGTERM' : 'SIGKILL')
    await new Promise((next) => setTimeout(next, 100))
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended.
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

export type Memory = {
  /** Megabytes, shared pages shared out among those who share them. */
  readonly proportional: number
  /** Megabytes: the sum of each process's highest resident set since `forgetPeaks`. */
  readonly peak: number
}

/** What the processes of an account hold now, and what they held at most. */
export function memoryOf(account: Account): Memory {
  const kilobytes = (pid: number, file: string, line: RegExp) => Number(line.exec(read(`/proc/${pid}/${file}`) ?? '')?.[1] ?? 0)
  const sum = (file: string, line: RegExp) => account.pids().reduce((total, pid) => total + kilobytes(pid, file, line), 0) / 1024
  return { proportional: sum('smaps_rollup', /^Pss:\s+(\d+)/m), peak: sum('status', /^VmHWM:\s+(\d+)/m) }
}

/** Start anew with the highest resident sets (proc(5), clear_refs). */
export function forgetPeaks(account: Account): void {
  for (const pid of account.pids()) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5')
    } catch {
      // It has ended, or is not ours.
    }
  }
}
