/** Method opportunistic: TLS where it is offered, clear text where it is not; only when the rule says so in words. */
import { z } from 'zod'
import type { MethodKind } from '../method.ts'
import { shipAttempt } from '../ship.ts'

/** The words a rule must carry. */
export const understood = 'may travel unencrypted'

export type OpportunisticOptions = {
  readonly 'i-understand'?: string | undefined
  /** Our own mail under N1: in clear also where STARTTLS fails. Not in a policy. */
  readonly notice?: boolean | undefined
  /** A code mail: its retries have their own lane. Not in a policy. */
  readonly code?: boolean | undefined
}

const options: z.ZodType<OpportunisticOptions> = z
  .strictObject({ 'i-understand': z.string().optional(), notice: z.boolean().optional(), code: z.boolean().optional() })
  .refine((given) => given['i-understand'] === understood || (given.notice === true && given['i-understand'] === undefined), {
    message: `this step may send in clear text; say so: { opportunistic: { i-understand: ${understood} } }`,
    path: ['i-understand'],
  })

export const opportunistic: MethodKind<OpportunisticOptions> = {
  options,
  inPolicy: true,
  build: ({ transport }) => ({
    attempt: (attempt) => shipAttempt(transport, attempt, { kind: attempt.options.notice ? 'notice' : 'opportunistic' }),
  }),
}
