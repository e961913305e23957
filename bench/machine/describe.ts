/** On what the figures were measured. */
import { readFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { rounded } from '../statistics.ts'
import { fileSystemOf } from './file-system.ts'

export type Machine = {
  readonly date: string
  readonly processor: string
  readonly processors: number
  readonly memoryGigabytes: number
  readonly kernel: string
  readonly node: string
  /** Of the folder with all queues. */
  readonly fileSystem: string
  readonly virtual: boolean
  /** Programs that wanted a processor in the minute before the run: on a quiet machine next to none. */
  readonly loadBefore: number
}

/** This machine; `folder` is where the queues are. */
export function describeMachine(folder: string): Machine {
  return {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    node: process.version,
    fileSystem: fileSystemOf(folder),
    loadBefore: rounded(loadavg()[0] ?? 0, 1),
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')),
  }
}
