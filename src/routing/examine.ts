/** What a policy text is worth before it is applied: its mistakes, its tests, its warnings. Commands and the API share it. */
import { lint } from './lint.ts'
import { parsePolicy } from './parse.ts'
import type { Policy } from './policy.ts'
import type { Problem } from './problem.ts'
import { type Proved, prove } from './prove.ts'
import type { MethodWords } from './steps.ts'
import type { WorldSettings } from './worlds.ts'

export type Examined =
  | { readonly kind: 'errors'; readonly problems: readonly Problem[] }
  | { readonly kind: 'policy'; readonly policy: Policy; readonly proved: readonly Proved[]; readonly warnings: () => readonly Problem[] }

/** Read a text, run its tests; nothing is written. `now` in milliseconds since 1970. */
export function examine(
  text: string,
  { methods, settings, now }: { readonly methods: MethodWords; readonly settings: WorldSettings; readonly now: number },
): Examined {
  const read = parsePolicy(text, methods)
  if (read.kind === 'errors') return read
  return { kind: 'policy', policy: read.policy, proved: prove(read.policy, settings, now), warnings: () => lint(read.policy, now) }
}

/** How many tests passed and failed. */
export function tally(proved: readonly Proved[]): { readonly passed: number; readonly failed: number } {
  const passed = proved.filter((one) => one.passed).length
  return { passed, failed: proved.length - passed }
}
