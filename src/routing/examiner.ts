/** Reads and examines policies beside a running gateway: small texts at once, large ones in a thread within limits. */
import type { Clock } from '../ops/clock.ts'
import { createThreads, type Ran, type ThreadLimits } from '../ops/threads.ts'
import { type Examine, type Examined, examine } from './examine.ts'
import type { ExamineJob } from './examine-worker.ts'
import { type Parsed, parsePolicy } from './parse.ts'
import type { Mistakes } from './problem.ts'
import type { MethodWords } from './steps.ts'
import { largestPolicy } from './tree.ts'
import type { WorldSettings } from './worlds.ts'

/** Reads a text somewhere, its tests not run; never rejects for what the text is. */
export type ReadText = (text: string) => Promise<Parsed>

export type Examiner = { readonly examine: Examine; readonly read: ReadText; readonly close: () => Promise<void> }

/** Bytes; such a text takes some hundredths of a second, less than a thread needs to start, but for what is costly. */
const small = 8 * 1024
/** Each pattern is a table to be made, and each override is tried on each rule: of either, 8 KiB take seconds. Keys may be escaped. */
const costly = /patterns|overrides|\\/
const usualLimits: ThreadLimits = { threads: 1, waiting: 8, time: 30_000, memory: 512 }

export function createExaminer(
  parts: { readonly methods: MethodWords; readonly settings: WorldSettings; readonly clock: Clock },
  limits: Partial<ThreadLimits> = {},
): Examiner {
  const settings = alone(parts.settings)
  const threads = createThreads<ExamineJob, Examined | Parsed>(new URL('./examine-worker.ts', import.meta.url), {
    ...usualLimits,
    ...limits,
  })
  return {
    examine: async (text) => {
      const now = parts.clock()
      if (isSmall(text)) return examine(text, { ...parts, settings, now })
      const ran = await threads.run({ text, examined: { settings, now } })
      return ran.kind === 'done' && ran.result.kind !== 'policy' ? ran.result : notLookedAt(ran)
    },
    read: async (text) => {
      if (isSmall(text)) return parsePolicy(text, parts.methods)
      const ran = await threads.run({ text })
      return ran.kind === 'done' && ran.result.kind !== 'examined' ? ran.result : notLookedAt(ran)
    },
    close: threads.close,
  }
}

/** What is too large to be read at all is refused at once. */
const isSmall = (text: string): boolean => {
  const bytes = Buffer.byteLength(text)
  return (bytes <= small && !costly.test(text)) || bytes > largestPolicy
}

function notLookedAt(ran: Ran<unknown>): Mistakes {
  if (ran.kind === 'done') throw new Error('the thread answered another question')
  const refused = (text: string, hint: string) => ({ kind: 'errors', problems: [{ line: 0, column: 0, text, hint }] }) as const
  if (ran.because === 'queue')
    return { ...refused('too many policies are being checked at this moment', 'try again in a minute'), busy: true }
  const what = ran.kind === 'too-much' ? `takes more ${ran.because} than a running gateway has for it` : `broke off (${ran.because})`
  return refused(`checking the policy ${what}`, 'ask for less in its tests, or apply it by the command, which has no limit')
}

/** The settings that tests ask for, and no password of a database beside them. */
const alone = (settings: WorldSettings): WorldSettings => ({
  'retry.tls.soft': settings['retry.tls.soft'],
  'retry.tls.ratchet': settings['retry.tls.ratchet'],
  'retry.tls.enforced': settings['retry.tls.enforced'],
  'escrow.proof': settings['escrow.proof'],
  'escrow.onDowngrade': settings['escrow.onDowngrade'],
  'escrow.onClearPath': settings['escrow.onClearPath'],
  'organisation.domains': settings['organisation.domains'],
})
