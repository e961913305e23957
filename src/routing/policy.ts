/** A policy as one typed value: made by parse, read by plan, lint, tests and print. */
import type { Step } from '../mail/plan.ts'
import type { PatternList, Patterns } from './patterns.ts'

export type Policy = {
  /** 0 until it is applied. */
  readonly revision: number
  /** First 12 hex digits of the SHA-256 of the text. */
  readonly fingerprint: string
  /** Mail goes opportunistically, and what the policy would have done is recorded: the first week of an adoption. */
  readonly observe: boolean
  readonly groups: readonly Group[]
  readonly detectors: readonly Detector[]
  readonly overrides: readonly Override[]
  readonly rules: readonly Rule[]
  /** What happens to mail that no rule matches; `written: false` when the text has none: such mail bounces. */
  readonly default: Ladder & { readonly line: number; readonly written: boolean }
  readonly tests: readonly PolicyTest[]
}

/** Where something stands in the text, 1-based. */
export type Placed = { readonly line: number; readonly column: number }

export type Group = Placed & { readonly name: string; readonly members: PatternList }

/** What a rule or the default does with the mail it decides on. */
export type Ladder = {
  readonly steps: readonly PolicyStep[]
  /** Copies go to these addresses of the organisation, over its own route. */
  readonly alsoTo: readonly string[]
  readonly observe: boolean
}

export type Rule = Placed & Ladder & { readonly name: string; readonly when: Condition }

/** `groups`: those whose addresses stand in its options, as the approvers of a hold. */
export type PolicyStep = Step & Placed & { readonly groups?: readonly string[] }

/** A detector of the document's own, or another threshold for one that the program brings. */
export type Detector = Placed & {
  readonly name: string
  /** Words and phrases, as written: found whole, in any case. */
  readonly words: readonly string[]
  /** Regular expressions of the linear-time kind (detect.ts), as written. */
  readonly patterns: readonly string[]
  /** How many finds it takes; undefined: that of the built-in detector, else 1. */
  readonly threshold: number | undefined
}

/** What one recipient, or everybody at a domain, asked for; the first that fits and has not ended counts. */
export type Override = Placed & {
  readonly to: Patterns
  /** A step of the ladder that is taken first; one that the rule does not have is never added. */
  readonly prefer: string | undefined
  /** Steps that are left out. */
  readonly never: readonly string[]
  /** Options laid over those of each tls step, such as a pinned certificate. */
  readonly tls: Step['options'] | undefined
  readonly reason: string
  /** Milliseconds since 1970: from then on it does not count. */
  readonly until: number
}

export type Condition =
  | { readonly kind: AddressCondition; readonly patterns: Patterns }
  | { readonly kind: 'subject-tag'; readonly tags: readonly string[] }
  | { readonly kind: 'is'; readonly traits: readonly Trait[] }
  | { readonly kind: 'header'; readonly name: string; readonly test: HeaderTest }
  /** Bytes of the content in clear, both bounds exclusive. */
  | { readonly kind: 'size'; readonly over: number | undefined; readonly under: number | undefined }
  | { readonly kind: 'detect'; readonly detectors: readonly string[] }
  /** Lower case. */
  | { readonly kind: 'authenticated-as'; readonly names: readonly string[] }
  | { readonly kind: 'client'; readonly networks: readonly string[] }
  | { readonly kind: 'all' | 'any'; readonly conditions: readonly Condition[] }
  | { readonly kind: 'not'; readonly condition: Condition }

export const addressConditions = ['from', 'header-from', 'to'] as const
export type AddressCondition = (typeof addressConditions)[number]

/** Values are compared in any case, without spaces around them. */
export type HeaderTest =
  | { readonly kind: 'equals' | 'contains'; readonly values: readonly string[] }
  | { readonly kind: 'present'; readonly present: boolean }

/** What mail can be (`is:`). */
export const traits = ['auto-submitted', 'dsn', 'calendar', 'signed', 'encrypted', 'rights-managed', 'forwarded'] as const
export type Trait = (typeof traits)[number]

/** What the recipient's side is like in a test (`given: { tls: … }`). */
export const tlsWorlds = [
  'none',
  'broken',
  'untrusted',
  'wrong-name',
  'expired',
  'encrypted',
  'verified',
  'authenticated',
  'dane',
  'downgraded',
  'unreachable',
] as const
export type TlsWorld = (typeof tlsWorlds)[number]

export type Given = { readonly tls: TlsWorld; readonly pgp: boolean; readonly smime: boolean }

export type PolicyTest = Example | Invariant

/** One mail in one world, and what is to become of it. */
export type Example = Placed & {
  readonly kind: 'example'
  /** '' is the null reverse-path. */
  readonly from: string
  readonly headerFrom: string
  readonly to: string
  readonly subject: string
  readonly is: readonly Trait[]
  readonly headers: { readonly [lowerCaseName: string]: readonly string[] }
  readonly size: number
  readonly detect: readonly string[]
  readonly authenticatedAs: string | undefined
  readonly client: string
  /** Milliseconds since 1970; undefined: when the test runs. */
  readonly at: number | undefined
  readonly given: Given
  readonly expect: string
  readonly proof: string | undefined
  readonly rule: string | undefined
}

/** A sentence that must hold in every world. */
export type Invariant = Placed & { readonly kind: 'invariant'; readonly invariant: InvariantName; readonly except: readonly string[] }
export const invariants = ['never-plaintext'] as const
export type InvariantName = (typeof invariants)[number]

/** Steps that a recipient may wish for before others: protected ways, not the one that may go in clear, nor the ends. */
export const isPreferable = (method: string): boolean => !['opportunistic', 'hold', 'bounce'].includes(method)

/** The implied end of every ladder: back to the sender. */
export const bounce: Step = { method: 'bounce', options: {} }

/** Words of the whole language that this version does not speak yet. */
export const later = {
  policy: [],
  rule: [],
  condition: [],
  trait: [],
  step: [],
  option: { escrow: ['reply'] },
  value: [],
} as const satisfies { readonly [place: string]: readonly string[] | { readonly [method: string]: readonly string[] } }
