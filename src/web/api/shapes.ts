/** The shapes of what the API answers, as OpenAPI shows them; fields may be added, so unknown ones are no mistake. */
import { z } from 'zod'

const time = z.int().describe('milliseconds since 1970, UTC')
const maybe = <T extends z.ZodType>(shape: T) => shape.nullable()
const text = z.string()

export const policyProblem = z.looseObject({ line: z.int(), column: z.int(), text, hint: text.optional() })
const applying = { revision: z.int(), fingerprint: text, appliedAt: time, appliedBy: text, comment: text }
export const policyShape = z.looseObject({ ...applying, text: text.describe('the policy, YAML') })
const next = maybe(text).describe('cursor of the next page; null: this is the last')
export const revisionsShape = z.looseObject({ revisions: z.array(z.looseObject({ ...applying, ours: z.boolean() })), next })
export const appliedShape = z.union([
  z.looseObject({
    kind: z.literal('applied'),
    revision: z.int(),
    fingerprint: text,
    tests: z.int().describe('how many passed'),
    warnings: z.array(policyProblem),
  }),
  z.looseObject({ kind: z.literal('unchanged'), revision: z.int(), fingerprint: text }),
])
export const checkedShape = z.union([
  z.looseObject({ valid: z.literal(true), rules: z.int(), tests: z.int(), warnings: z.array(policyProblem) }),
  z.looseObject({ valid: z.literal(false), problems: z.array(policyProblem) }),
])
export const testedShape = z.looseObject({
  passed: z.int(),
  failed: z.int(),
  tests: z.array(z.looseObject({ line: z.int(), column: z.int(), name: text, passed: z.boolean(), text })),
})
const counted = z.looseObject({ count: z.int() })
export const simulatedShape = z.looseObject({
  since: time,
  decisions: z.int(),
  changed: z.int(),
  byChange: z.array(z.looseObject({ from: text, to: text, count: z.int() })),
  otherTerms: z
    .looseObject({ count: z.int(), terms: z.array(z.looseObject({ what: text, from: text, to: text, count: z.int() })) })
    .describe('the same way, where the step asks something else'),
  copies: z.array(z.looseObject({ to: text, before: z.int(), next: z.int() })).describe('addresses that get more or fewer copies'),
  byDomain: z.array(z.looseObject({ domain: text, decisions: z.int(), changed: z.int() })),
  peopleNewlyAsked: counted,
  cannotTell: counted,
})
export const previewShape = z.looseObject({
  from: text,
  to: text,
  rule: z.looseObject({ name: text, line: z.int() }),
  rulesLookedAt: z.array(z.looseObject({ name: text, matched: z.boolean(), because: text })),
  steps: z.array(text),
  method: text,
  clear: z.boolean().describe('it could travel unencrypted'),
  held: z.boolean(),
  proof: maybe(text),
  reason: maybe(text),
  text: text.describe('what would become of it, in words'),
  refused: z.array(z.looseObject({ method: text, reason: text.describe('code'), text: text.describe('the reason in words') })),
})
export const diffShape = z.looseObject({ from: z.int(), to: z.int(), diff: text.describe('unified diff; empty when nothing differs') })

const recipient = z.looseObject({
  id: text,
  to: text,
  state: text,
  method: maybe(text),
  reason: maybe(text),
  assurance: maybe(text),
  proof: maybe(text),
  nextAttemptAt: maybe(time),
  attempts: z.int(),
  rule: maybe(text),
  lastReply: maybe(text),
})
export const messageShape = z.looseObject({
  id: text,
  messageId: text,
  from: text,
  headerFrom: text,
  acceptedAt: time,
  size: z.int().describe('bytes'),
  policyRevision: z.int(),
  recipients: z.array(recipient),
})
export const messagesShape = z.looseObject({ messages: z.array(messageShape), next })
export const explanationShape = z.looseObject({
  message: text,
  to: text,
  outcome: text,
  method: maybe(text),
  reason: maybe(text),
  rule: z.looseObject({ name: text, line: z.int() }),
  rulesLookedAt: z.array(z.looseObject({ name: text, matched: z.boolean(), because: text })),
  steps: z.array(z.looseObject({ method: text, result: text, reason: maybe(text) })),
  wouldBe: z.array(z.looseObject({ method: text, if: text })),
})
export const lettersShape = z.looseObject({
  letters: z.array(
    z.looseObject({
      id: text,
      reference: text,
      to: text,
      from: text,
      state: text,
      notifiedAt: maybe(time),
      readAt: maybe(time),
      expiresAt: time,
      proof: text,
    }),
  ),
  next,
})
export const queueShape = z.looseObject({
  queue: z.array(
    z.looseObject({
      id: text,
      message: text,
      to: text,
      domain: text,
      state: text,
      nextAttemptAt: maybe(time),
      lastReply: maybe(text),
      reason: maybe(text),
    }),
  ),
  next,
})
export const operatedShape = z.looseObject({ changed: z.array(text), left: z.array(text) })
export const domainsShape = z.looseObject({
  domains: z.array(z.looseObject({ domain: text, posture: maybe(text), reason: maybe(text) })),
  next,
})
export const domainShape = z.looseObject({
  domain: text,
  posture: maybe(text),
  history: z.array(z.looseObject({ at: time, posture: text })),
})
export const checkShape = z.looseObject({
  domain: text,
  posture: text,
  reason: maybe(text).describe('code: why it is less than verified'),
  reasonText: maybe(text).describe('the same in words'),
  mx: z.array(z.looseObject({ host: text })),
  wouldBe: z.unknown(),
  advice: z.unknown(),
})
export const auditShape = z.looseObject({
  entries: z.array(
    z.looseObject({
      id: text,
      at: time,
      actor: text,
      action: text,
      object: text,
      detail: z.unknown(),
      seq: maybe(z.int()),
      hash: maybe(text),
    }),
  ),
  next,
})
