/** The thread that examines large policies: thousands of tests over thousands of rules must not hold up mail. */
import { methods } from '../methods/index.ts'
import { serveJobs } from '../ops/threads.ts'
import { type Examined, examine } from './examine.ts'
import type { WorldSettings } from './worlds.ts'

export type ExamineJob = { readonly text: string; readonly settings: WorldSettings; readonly now: number }

serveJobs<ExamineJob, Examined>(async ({ text, ...rest }) => ({ result: examine(text, { methods, ...rest }) }))
