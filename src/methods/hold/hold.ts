/** The method that waits for a person: nothing is sent until somebody releases the mail; then the walk goes on with the next step. */
import { z } from 'zod'
import { parseAddress } from '../../mail/address.ts'
import type { Answer, MethodKind } from '../method.ts'

export type HoldOptions = {
  /** Canonical addresses of those who are asked. */
  readonly approvers?: readonly string[] | undefined
}

/** Each gets a mail about each message. */
export const mostApprovers = 20

// A parsed value parses to itself: frozen plans keep what was parsed.
const address = z.string().transform((text, context): string => {
  const parsed = parseAddress(text)
  if (parsed !== undefined) return parsed
  context.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is not an address: write such as head@org.example` })
  return z.NEVER
})

const options: z.ZodType<HoldOptions> = z.strictObject({
  approvers: z.preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(address).min(1).max(mostApprovers)).optional(),
})

export const hold: MethodKind<HoldOptions> = {
  options,
  inPolicy: true,
  build: () => ({
    attempt: async ({ recipients, options: { approvers = [] } }) => new Map(recipients.map(({ id }) => [id, heldFor(approvers)])),
  }),
}

const heldFor = (approvers: readonly string[]): Answer => ({
  outcome: {
    kind: 'deferred',
    reason: 'held-by-rule',
    text: 'the rule asks that a person looks at it first',
    next: `it is held until ${approvers.length === 0 ? 'an administrator' : listed(approvers)} releases or returns it`,
    evidence: { approvers },
    retry: { then: 'failed' },
    // RFC 3463 §3.8: X.7.0, a security status that no other code tells.
    status: '4.7.0',
  },
  hold: { onward: true },
})

const listed = (names: readonly string[]): string =>
  names.length === 1 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
