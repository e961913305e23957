/** Compiles and steers fail-nth.c: which file operation below a folder fails next, in a process started with it. */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../src/ops/package-root.ts'

/** The kinds of fail-nth.c; mkdir counts as open, link as rename, fdatasync as fsync. */
export const operations = { fsync: 1, write: 2, open: 4, rename: 8, read: 16 } as const
export type Operation = keyof typeof operations
/** Once; from the Nth on; from the Nth on left out without a word. */
export type Manner = 'once' | 'sticky' | 'skip'

export type Fault = {
  readonly operation: Operation
  readonly nth: number
  readonly error: 'EIO' | 'ENOSPC' | 'EMFILE' | 'EACCES' | 'EROFS'
  readonly manner: Manner
  /** Part of the path, e.g. `.db-wal`, or its end, e.g. `/blobs$`; default: everything below the folder. */
  readonly match?: string
}

export type Faults = {
  /** For the process that is to suffer. */
  readonly env: {
    readonly LD_PRELOAD: string
    readonly FAULT_FOLDER: string
    readonly FAULT_CONTROL: string
    readonly UV_USE_IO_URING: '0'
  }
  readonly arm: (fault: Fault) => void
  readonly disarm: () => void
  /**
   * How many operations matched since it was armed, and how many of them failed; `again`: how often something was synced again that had failed
   * to sync and was not written since, and `which` that was the last time.
   */
  readonly seen: () => { readonly count: number; readonly hits: number; readonly again: number; readonly which: string }
  readonly close: () => void
}

/** Why faults cannot be injected here; undefined when they can. */
export function cannotInject(): string | undefined {
  if (process.platform !== 'linux') return 'LD_PRELOAD is tried on Linux only'
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'no C compiler (cc) is installed'
  }
}

const size = 8 * 4 + 100 + 100

/** Compile the library into `scratch` and make its control file; `folder` is where operations are counted. */
export function createFaults(scratch: string, folder: string): Faults {
  const library = join(scratch, 'fail-nth.so')
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-pthread', '-o', library, join(packageRoot, 'test/crash/fail-nth.c'), '-ldl'])
  const path = join(scratch, 'fault-control')
  writeFileSync(path, Buffer.alloc(size))
  const control = openSync(path, 'r+')
  const setArmed = (armed: number) => void writeSync(control, words(armed), 0, 4, 0)
  return {
    env: { LD_PRELOAD: library, FAULT_FOLDER: `${folder}/`, FAULT_CONTROL: path, UV_USE_IO_URING: '0' },
    arm: ({ operation, nth, error, manner, match = '' }) => {
      setArmed(0)
      const name = Buffer.alloc(200)
      name.write(match, 0, 99, 'latin1')
      const manners = { once: 0, sticky: 1, skip: 2 }
      const rest = Buffer.concat([words(operations[operation], nth, constants.errno[error], manners[manner], 0, 0, 0), name])
      writeSync(control, rest, 0, rest.length, 4)
      setArmed(1)
    },
    disarm: () => setArmed(0),
    seen: () => {
      const read = Buffer.alloc(size)
      readSync(control, read, 0, size, 0)
      const which = read.toString('utf8', 132).replace(/\0.*$/s, '')
      return { count: read.readInt32LE(20), hits: read.readInt32LE(24), again: read.readInt32LE(28), which }
    },
    close: () => closeSync(control),
  }
}

function words(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length)
  for (const [index, number] of numbers.entries()) bytes.writeInt32LE(number, 4 * index)
  return bytes
}
