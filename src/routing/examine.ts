/** What a policy text is worth before it is applied: its mistakes, its tests, its warnings. The store, commands and the API share it. */
import { lint } from './lint.ts'
import { outsiders } from './outsiders.ts'
import { parsePolicy } from './parse.ts'
import type { Mistakes, Problem } from './problem.ts'
import { type Proved, prove } from './prove.ts'
import type { MethodWords } from './steps.ts'
import type { WorldSettings } from './worlds.ts'

/** Plain values only: it crosses from thread to thread. */
export type Examined =
  | Mistakes
  | {
      readonly kind: 'examined'
      readonly fingerprint: string
      /** How many rules it has. */
      readonly rules: number
      readonly proved: readonly Proved[]
      readonly warnings: readonly Problem[]
    }

/** Examines a text somewhere; never rejects for what the text is. */
export type Examine = (text: string) => Promise<Examined>

/** Read a text, run its tests, look for warnings; nothing is written. `now` in milliseconds since 1970. A large policy takes seconds. */
export function examine(
  text: string,
  { methods, settings, now }: { readonly methods: MethodWords; readonly settings: WorldSettings; readonly now: number },
): Examined {
  const read = parsePolicy(text, methods)
  if (read.kind === 'errors') return read
  const problems = outsiders(read.policy, settings['organisation.domains'])
  if (problems.length > 0) return { kind: 'errors', problems }
  const { fingerprint, rules } = read.policy
  const proved = prove(read.policy, settings, now)
  return { kind: 'examined', fingerprint, rules: rules.length, proved, warnings: lint(read.policy, now) }
}

/** How many tests passed and failed. */
export function tally(proved: readonly Proved[]): { readonly passed: number; readonly failed: number } {
  const passed = proved.filter((one) => one.passed).length
  return { passed, failed: proved.length - passed }
}
