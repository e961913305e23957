/** A policy as one typed value: made by parse, read by plan, lint and print. */
import type { Step } from '../mail/plan.ts'
import type { PatternList, Patterns } from './patterns.ts'

export type Policy = {
  /** 0 until it is applied. */
  readonly revision: number
  /** First 12 hex digits of the SHA-256 of the text. */
  readonly fingerprint: string
  readonly groups: readonly Group[]
  readonly rules: readonly Rule[]
  /** What happens to mail that no rule matches; `written: false` when the text has none: such mail bounces. */
  readonly default: { readonly line: number; readonly steps: readonly PolicyStep[]; readonly written: boolean }
}

export type Group = { readonly name: string; readonly line: number; readonly column: number; readonly members: PatternList }

export type Rule = {
  readonly name: string
  readonly line: number
  readonly column: number
  readonly when: Condition
  readonly steps: readonly PolicyStep[]
}

export type PolicyStep = Step & { readonly line: number; readonly column: number }

export type Condition =
  | { readonly kind: AddressCondition; readonly patterns: Patterns }
  | { readonly kind: 'subject-tag'; readonly tags: readonly string[] }
  | { readonly kind: 'is'; readonly traits: readonly Trait[] }
  | { readonly kind: 'all' | 'any'; readonly conditions: readonly Condition[] }
  | { readonly kind: 'not'; readonly condition: Condition }

export const addressConditions = ['from', 'header-from', 'to'] as const
export type AddressCondition = (typeof addressConditions)[number]

/** What mail can be (`is:`). */
export const traits = ['auto-submitted', 'dsn', 'encrypted'] as const
export type Trait = (typeof traits)[number]

/** The implied end of every ladder: back to the sender. */
export const bounce: Step = { method: 'bounce', options: {} }

/** Words of the whole language that this version does not speak yet. */
export const later = {
  policy: ['detectors', 'tests', 'overrides', 'observe'],
  rule: ['also-to', 'observe'],
  condition: ['header', 'size', 'detect', 'authenticated-as', 'client'],
  trait: ['calendar', 'signed', 'rights-managed', 'forwarded'],
  step: ['hold'],
  option: { escrow: ['on-downgrade', 'on-clear-path', 'reply'] },
  // Methods know these values, but in this version they could only fall through or bounce.
  value: ['escrow.proof.second-factor'],
} as const satisfies { readonly [place: string]: readonly string[] | { readonly [method: string]: readonly string[] } }
