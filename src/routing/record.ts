/** The decision record: what was decided for one recipient in one attempt, and on which facts. Append-only; the basis of explain and simulate. */
import type { Reason } from '../mail/outcome.ts'
import type { Looked, Plan, StepResult } from '../mail/plan.ts'
import { type Db, sql } from '../store/db.ts'
import type { PlanFacts } from './facts.ts'

export type DecisionRecord = {
  /** Milliseconds since 1970. */
  readonly at: number
  /** 1-based. */
  readonly attempt: number
  readonly revision: number
  readonly fingerprint: string
  readonly rule: Plan['rule']
  readonly rulesLookedAt: readonly Looked[]
  /** null where the content could not be read. */
  readonly facts: RecordedFacts | null
  /** One for each step of the plan, in its order; those of earlier attempts included. */
  readonly steps: readonly StepResult[]
  /** State of the recipient after the attempt. */
  readonly outcome: string
  /** Where the rule only observes. */
  readonly observed?: Observed
}

/** What a rule that only observes would have done. */
export type Observed = {
  /** Names of its steps, in order. */
  readonly steps: readonly string[]
  /** The step that would have served, by what was seen while the mail went another way; null where too little was seen. */
  readonly would: {
    readonly method: string
    readonly assurance: string | null
    readonly proof: string | null
    readonly held: boolean
    readonly reason: Reason | null
    /** The steps before it, and why they could not serve. */
    readonly earlier: readonly { readonly method: string; readonly reason: Reason }[]
  } | null
}

/** Facts as they are kept: addresses, tags, classification, finds by number, yes and no. Never the subject or a word of the content. */
export type RecordedFacts = PlanFacts

/** The record of one attempt, to be stored as JSON with its settlement. */
export function decisionRecord({
  plan,
  facts,
  ...rest
}: Pick<DecisionRecord, 'at' | 'attempt' | 'steps' | 'outcome' | 'observed'> & {
  readonly plan: Plan
  readonly facts: PlanFacts
}): DecisionRecord {
  const { revision, fingerprint, rule, trace } = plan
  return { ...rest, revision, fingerprint, rule, rulesLookedAt: trace, facts: recordedFacts(facts) }
}

/** Named one by one: what a later version adds to MailFacts is not stored by accident. */
const recordedFacts = ({ reversePath, recipient, mail, size, client, headers, detected, at }: PlanFacts): RecordedFacts => ({
  reversePath,
  recipient,
  mail: {
    headerFrom: mail.headerFrom,
    subjectTags: mail.subjectTags.filter(isWord),
    autoSubmitted: mail.autoSubmitted,
    dsn: mail.dsn,
    encrypted: mail.encrypted,
    ...present({ signed: mail.signed, calendar: mail.calendar, rightsManaged: mail.rightsManaged, forwarded: mail.forwarded }),
  },
  ...present({ size, client, detected, at, headers: headers && recordedHeaders(headers) }),
})

/** Fields that hold what a person wrote: a rule may ask for them, but they are not kept. */
const written = ['subject', 'thread-topic', 'keywords', 'comments', 'x-original-subject']
export const keptLength = 200

const recordedHeaders = (headers: NonNullable<PlanFacts['headers']>): NonNullable<PlanFacts['headers']> =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !written.includes(name))
      .map(([name, values]) => [name, values.map((value) => value.slice(0, keptLength))]),
  )

const present = <T extends object>(values: T): { [Name in keyof T]?: NonNullable<T[Name]> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [Name in keyof T]?: NonNullable<T[Name]> }

/** A tag is one short word; longer text in brackets is a piece of the subject. */
export const isWord = (tag: string): boolean => /^[\p{L}\p{N}_-]{1,24}$/u.test(tag)

/** The records of a recipient, first attempt first. A record of an older program may lack what was added since. */
export async function readRecords(db: Db, recipientId: string): Promise<DecisionRecord[]> {
  const rows = await db.read<{ record: string }>(sql`SELECT record FROM decision WHERE recipient = ${recipientId} ORDER BY attempt`)
  const blank = { fingerprint: '', facts: null, rulesLookedAt: [], steps: [] }
  return rows.map(({ record }) => ({ ...blank, ...(JSON.parse(record) as Omit<DecisionRecord, keyof typeof blank>) }))
}
