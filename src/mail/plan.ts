/** The frozen answer of routing: which rule decided, and the steps to walk. */
import type { Evidence, Reason } from './outcome.ts'

/** One step: a method of methods/index.ts (or `bounce`, the implied end) with its options, already checked by that method's schema. */
export type Step = { readonly method: string; readonly options: { readonly [name: string]: unknown } }

/** One line of "rules looked at". */
export type Looked = { readonly name: string; readonly matched: boolean; readonly because: string }

export type Plan = {
  readonly revision: number
  /** First hex digits of the SHA-256 of the policy text. */
  readonly fingerprint: string
  /** `line` is 1-based in the policy text; 0 for a plan of our own (notices, DSNs). */
  readonly rule: { readonly name: string; readonly line: number }
  readonly steps: readonly Step[]
  readonly trace: readonly Looked[]
  /** Set while the rule only observes: what it would have done; `steps` are what is done. */
  readonly observed?: readonly Step[]
  /** Addresses of the organisation that get a copy. */
  readonly alsoTo?: readonly string[]
}

/** One step of a decision record: what became of it in this attempt. */
export type StepResult = {
  readonly method: string
  readonly result: 'delivered' | 'unsuitable' | 'deferred' | 'failed' | 'not-tried'
  readonly reason: Reason | null
  readonly text: string
  readonly evidence: Evidence
}
