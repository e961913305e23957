/** Remembers across runs that mail was being planned ahead: while its rows are still being written, when no claim counts its attempts. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

export type Foresight = {
  /** Do the planning with the mark set; undefined when nothing is to be planned ahead. */
  readonly plan: (<T>(planning: () => Promise<T>) => Promise<T>) | undefined
  readonly close: () => void
}

/**
 * The mark at `path`, one octet. `ended`: told when the run before ended over what it planned ahead. Then this run plans nothing ahead: else the
 * sender's next try would end the process again, for ever; now the mail is accepted first, its attempts are counted, and it is held. Not synced:
 * what ends a process leaves the file. Throws the file system's error.
 */
export function openForesight(path: string, ended: () => void): Foresight {
  // Made where it is missing, written in place after that: a full disk must not matter.
  closeSync(openSync(path, 'a', 0o600))
  const file = openSync(path, 'r+')
  let open = true
  const put = (mark: number) => {
    try {
      if (open) writeSync(file, Uint8Array.of(mark), 0, 1, 0)
    } catch {
      // A disk in trouble: the mark says less than it could, and mail is none the worse for it.
    }
  }
  const found = new Uint8Array(1)
  readSync(file, found, 0, 1, 0)
  put(calm)
  const close = () => {
    open = false
    closeSync(file)
  }
  if (found[0] === planning) {
    ended()
    return { plan: undefined, close }
  }
  let underway = 0
  return {
    plan: async (work) => {
      if (underway++ === 0) put(planning)
      try {
        return await work()
      } finally {
        if (--underway === 0) put(calm)
      }
    },
    close,
  }
}

const calm = 0
const planning = 1
