/** What became of each message of the demo, in the words of `explain`. */
import { listMessages } from '../delivery/trace.ts'
import type { StepResult } from '../mail/plan.ts'
import type { Explanation } from '../routing/explain.ts'
import { explanationText } from '../routing/explain-text.ts'
import { readExplanations } from '../routing/explanations.ts'
import type { PolicyStore } from '../routing/store.ts'
import type { Db } from '../store/db.ts'

export type Outcome = {
  /** The same as long as the demo runs. */
  readonly key: string
  readonly message: string
  readonly to: string
  /** The other recipients of the same message. */
  readonly others: readonly string[]
  /** When the gateway took it over, and when it tries again: milliseconds since 1970. */
  readonly at: number
  readonly nextAt: number | null
  readonly tone: Tone
  /** A few words: `Delivered over verified TLS`. */
  readonly words: string
  /** The first sentence of explain: what happened and because of what. */
  readonly because: string
  /** The rest of explain: lines, each cut into its columns. */
  readonly explanation: readonly (readonly string[])[]
  readonly ways: readonly { readonly name: string; readonly result: StepResult['result']; readonly words: string }[]
  /** Of the letter, as its notice tells it. */
  readonly reference: string | undefined
}

export type Tone = 'go' | 'wait' | 'stop' | 'key'

export type OutcomeParts = { readonly db: Db; readonly policies: Pick<PolicyStore, 'at'> }

/** Of the newest messages, newest first. */
export async function readOutcomes(parts: OutcomeParts, mostMessages = 50): Promise<Outcome[]> {
  const messages = await listMessages(parts.db, { limit: mostMessages })
  const explained = await Promise.all(messages.map(({ id }) => readExplanations(parts, id)))
  return explained.flatMap((explanations) => explanations.map((one, index) => outcome(one, index, explanations)))
}

function outcome(explanation: Explanation, index: number, all: readonly Explanation[]): Outcome {
  const { message, to, acceptedAt, nextAttemptAt, attempts, method, steps } = explanation
  const state = explanation.outcome === 'waiting' && attempts === 0 ? 'new' : explanation.outcome
  // Wider than anything it says: lines stay whole, columns are two blanks or more apart, and the page breaks them where it must.
  const [because = '', ...rest] = explanationText(explanation, 4000).split('\n')
  const [tone, words] = stateWords[state] ?? ['wait', state]
  const reference = steps.find((step) => step.method === 'escrow')?.evidence.reference
  return {
    key: `${message}-${index}`,
    message,
    to,
    others: all.filter((other) => other !== explanation).map((other) => other.to),
    at: acceptedAt,
    nextAt: attempts === 0 ? null : nextAttemptAt,
    tone,
    words: state === 'delivered' && method !== null ? `${words}${methodWords[method] ?? ''}` : words,
    because,
    explanation: rest.map((line) => line.trim().split(/ {2,}/)),
    ways: steps.map((step) => ({ name: wayNames[step.method] ?? step.method, result: step.result, words: resultWords[step.result] })),
    reference: typeof reference === 'string' ? reference : undefined,
  }
}

const stateWords: { readonly [state: string]: readonly [tone: Tone, words: string] } = {
  new: ['wait', 'Taken over'],
  waiting: ['wait', 'Waits'],
  held: ['stop', 'Held'],
  delivered: ['go', 'Delivered'],
  bounced: ['stop', 'Returned to the sender'],
  'letter-waiting': ['key', 'Letter sealed, its notice is on the way'],
  'letter-notified': ['key', 'Letter ready: open its link'],
  'letter-read': ['go', 'Letter read'],
  'letter-expired': ['stop', 'Letter expired'],
}

const methodWords: { readonly [method: string]: string } = { tls: ' over verified TLS', pgp: ', encrypted with PGP' }

const wayNames: { readonly [method: string]: string } = {
  tls: 'TLS',
  pgp: 'PGP',
  smime: 'S/MIME',
  escrow: 'Letter',
  opportunistic: 'Ordinary mail',
  route: 'Own route',
  bounce: 'Return',
}

const resultWords: { readonly [result in StepResult['result']]: string } = {
  delivered: 'this way it went',
  unsuitable: 'does not work here',
  deferred: 'tried again later',
  failed: 'failed',
  'not-tried': 'not tried',
}
