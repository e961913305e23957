/** Folders that survive a power cut: a new name in a folder is lost unless the folder itself is synced. */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Make a folder, and what is missing above it, open to its owner only; synced up to the first folder that was there. */
export function makeFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = resolve(path); made.length >= resolve(first).length; made = dirname(made)) syncFolderNow(dirname(made))
}

/** Sync a folder, so that the names in it are kept. Rejects with the file system's error: then nothing is known about them. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Writes a name in a folder (`make`), and syncs the folder: without that a power cut loses the name. Rejects with the error of either. */
export type Naming = (folder: string, make: () => Promise<unknown>) => Promise<void>

/**
 * Names that are written by many at once. The kernel tells of a write that failed only once, to the next sync; the one after succeeds and means
 * nothing. So the syncs of one folder follow one another, and when one fails, so does each that waits with a name written before: whoever asked
 * takes the name away and writes another.
 */
export function namingIn(): Naming {
  const states = new Map<string, { failures: number; last: Promise<void> }>()
  return async (folder, make) => {
    const state = states.get(folder) ?? { failures: 0, last: Promise.resolve() }
    states.set(folder, state)
    const { failures } = state
    await make()
    const mine = state.last.then(async () => {
      if (state.failures !== failures) throw new Error(`${folder} would not sync after its names were written`)
      await syncFolder(folder).catch((error) => {
        state.failures++
        throw error
      })
    })
    state.last = mine.catch(() => undefined)
    return mine
  }
}

/** Sync a folder while the program starts, when there is nothing else to do. */
export function syncFolderNow(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
