/** Examines policies beside a running gateway: small texts at once, large ones in a thread within limits. */
import type { Clock } from '../ops/clock.ts'
import { createThreads, type ThreadLimits } from '../ops/threads.ts'
import { type Examine, type Examined, examine } from './examine.ts'
import type { ExamineJob } from './examine-worker.ts'
import type { MethodWords } from './steps.ts'
import type { WorldSettings } from './worlds.ts'

export type Examiner = { readonly examine: Examine; readonly close: () => Promise<void> }

/** Bytes; such a text takes some hundredths of a second, less than a thread needs to start. */
const small = 8 * 1024
const usualLimits: ThreadLimits = { threads: 1, waiting: 8, time: 30_000, memory: 512 }

export function createExaminer(
  parts: { readonly methods: MethodWords; readonly settings: WorldSettings; readonly clock: Clock },
  limits: Partial<ThreadLimits> = {},
): Examiner {
  const settings = alone(parts.settings)
  const threads = createThreads<ExamineJob, Examined>(new URL('./examine-worker.ts', import.meta.url), { ...usualLimits, ...limits })
  return {
    examine: async (text) => {
      const now = parts.clock()
      if (Buffer.byteLength(text) <= small) return examine(text, { ...parts, settings, now })
      const ran = await threads.run({ text, settings, now })
      return ran.kind === 'done' ? ran.result : { kind: 'errors', problems: [{ line: 0, column: 0, ...whyNot(ran) }] }
    },
    close: threads.close,
  }
}

function whyNot(ran: { readonly kind: 'too-much' | 'broken'; readonly because: string }): { readonly text: string; readonly hint: string } {
  if (ran.because === 'queue') return { text: 'too many policies are being checked at this moment', hint: 'try again in a minute' }
  const what = ran.kind === 'too-much' ? `takes more ${ran.because} than a running gateway has for it` : `broke off (${ran.because})`
  return { text: `checking the policy ${what}`, hint: 'ask for less in its tests, or apply it by the command, which has no limit' }
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
