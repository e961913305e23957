/** The thread that reads and examines large policies: megabytes of YAML, and thousands of tests over thousands of rules, must not hold up mail. */
import { methods } from '../methods/index.ts'
import { serveJobs } from '../ops/threads.ts'
import { type Examined, examine } from './examine.ts'
import { type Parsed, parsePolicy } from './parse.ts'
import type { WorldSettings } from './worlds.ts'

/** Without settings a text is only read. */
export type ExamineJob = { readonly text: string; readonly examined?: { readonly settings: WorldSettings; readonly now: number } }

serveJobs<ExamineJob, Examined | Parsed>(async ({ text, examined }) => ({
  result: examined === undefined ? parsePolicy(text, methods) : examine(text, { methods, ...examined }),
}))
