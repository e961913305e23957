/** Method tls: the message goes only over a TLS channel that proves as much as the rule asks. */
import { z } from 'zod'
import type { Need } from '../../transport/transport.ts'
import type { MethodKind } from '../method.ts'
import { shipAttempt } from '../ship.ts'

export type TlsOptions = {
  /** spec: assurance levels of a channel. */
  readonly level: 'encrypted' | 'verified' | 'authenticated' | 'dane' | 'pinned'
  /** How long TLS trouble that may pass is waited out before the next step, as written (`4h`); default `retry.tls.soft`. */
  readonly patience?: string | undefined
  /** SHA-256 of the public key as 64 hex digits (`pinned`), or host names that the certificate may carry (`authenticated`). */
  readonly pin?: readonly string[] | undefined
  readonly min?: 'TLSv1.2' | 'TLSv1.3' | undefined
}

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const patience = z.string().regex(/^\d{1,6}[smhd]$/, 'write a duration with its unit, like 30m or 4h')

// A parsed value parses to itself: plans keep what was parsed.
const pin = z
  .string()
  .transform(
    (text, context) => readPin(text) ?? fail(context, 'write the SHA-256 of the public key (64 hex digits, or base64), or a host name'),
  )

const min = z
  .union([z.literal(['1.2', '1.3', 'TLSv1.2', 'TLSv1.3']), z.literal([1.2, 1.3])])
  .transform((version): 'TLSv1.2' | 'TLSv1.3' => (String(version).endsWith('3') ? 'TLSv1.3' : 'TLSv1.2'))

const options: z.ZodType<TlsOptions> = z
  .strictObject({
    level: z.enum(['encrypted', 'verified', 'authenticated', 'dane', 'pinned']).default('verified'),
    patience: patience.optional(),
    pin: z.array(pin).min(1).optional(),
    min: min.optional(),
  })
  .refine(({ level, pin: pins }) => level !== 'pinned' || pins?.some((text) => /^[\da-f]{64}$/.test(text)) === true, {
    message: 'level pinned needs pin: a list of public key fingerprints (SHA-256)',
    path: ['pin'],
  })

export const tls: MethodKind<TlsOptions> = {
  options,
  inPolicy: true,
  build: ({ transport }) => ({ attempt: (attempt) => shipAttempt(transport, attempt, needOf(attempt.options)) }),
}

/** What the transport is asked for. */
export function needOf({ level, patience: written, pin: pins, min: version }: TlsOptions): Need {
  return {
    kind: 'forced',
    level,
    ...(version && { min: version }),
    ...(pins && { pin: pins }),
    ...(written && { patience: milliseconds(written) }),
  }
}

const milliseconds = (text: string) => Number(text.slice(0, -1)) * units[text.at(-1) as keyof typeof units]

function readPin(text: string): string | undefined {
  const bare = text.replace(/^sha-?256[:/]/i, '')
  const hex = bare.replaceAll(':', '').toLowerCase()
  if (/^[\da-f]{64}$/.test(hex)) return hex
  if (/^[A-Za-z\d+/]{43}=?$/.test(bare)) return Buffer.from(bare, 'base64').toString('hex')
  return /^[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)+$/i.test(bare) ? bare.toLowerCase() : undefined
}

function fail(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}
