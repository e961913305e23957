/** Looks into mails for what detectors name, away from the main thread and within limits. */
import type { Readable } from 'node:stream'
import { createThreads, type ThreadLimits } from '../ops/threads.ts'
import { createTurnstile } from '../ops/turnstile.ts'
import { collectTexts } from './collect.ts'
import type { Found, Looked } from './look.ts'
import type { Job } from './worker.ts'

/** `unreadable`: beyond the limits of structure, size, time or memory; `because` in a word, for the log. */
export type Detected =
  | { readonly kind: 'found'; readonly found: readonly Found[] }
  | { readonly kind: 'unreadable'; readonly because: string }

export type Detect = {
  /** Reads the mail to its end or its limits. Rejects when the stream breaks: what was stored was altered, or the disk fails. */
  readonly look: (content: Readable, detectors: readonly Looked[]) => Promise<Detected>
  readonly close: () => Promise<void>
}

const usualLimits: ThreadLimits = { threads: 2, waiting: 100, time: 2000, memory: 160 }

/** Mails whose texts are in memory at once (12 MiB each at most), and those that wait for that. */
const held = { atOnce: 4, waiting: 1000 }

export function createDetect(limits: Partial<ThreadLimits> = {}): Detect {
  const threads = createThreads<Job, readonly Found[]>(new URL('./worker.ts', import.meta.url), { ...usualLimits, ...limits })
  const turn = createTurnstile(held)
  const lookInto = async (content: Readable, detectors: readonly Looked[]): Promise<Detected> => {
    const collected = await collectTexts(content)
    if (collected === undefined) return { kind: 'unreadable', because: 'its structure or its texts are too large' }
    const ran = await threads.run({ ...collected, detectors })
    if (ran.kind === 'done') return { kind: 'found', found: ran.result }
    return { kind: 'unreadable', because: ran.kind === 'too-much' ? `too much ${ran.because}` : ran.because }
  }
  return {
    look: async (content, detectors) => {
      content.on('error', () => undefined) // while it waits; told when it is read
      const detected = await turn(() => lookInto(content, detectors))
      if (detected === undefined) content.destroy()
      return detected ?? { kind: 'unreadable', because: 'too many wait' }
    },
    close: threads.close,
  }
}
