/** A way to get a message safely to its recipients: the interface of every folder here. */
import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { z } from 'zod'
import type { Outcome } from '../mail/outcome.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { Keyring } from '../seal/keyring.ts'
import { SealBroken } from '../seal/payload.ts'
import type { ClaimedMessage, ClaimedRecipient } from '../spool/claim.ts'
import type { Spool } from '../spool/spool.ts'
import type { Db, Statement } from '../store/db.ts'
import type { Transport } from '../transport/transport.ts'

export type AttemptRecipient = Pick<ClaimedRecipient, 'id' | 'address' | 'orcpt' | 'notify' | 'bcc' | 'insist'>

/** One message for the recipients of one domain that share a plan, opened from the spool for one attempt. */
export type Attempt<Options> = {
  readonly message: Omit<ClaimedMessage, 'policyRevision' | 'client'>
  readonly domain: string
  readonly recipients: readonly AttemptRecipient[]
  readonly options: Options
  readonly content: {
    /** The header block up to and without the empty line, CRLF line ends. */
    readonly header: () => Promise<Buffer>
    /** The whole content in clear, byte for byte as sealed; may be opened more than once. */
    readonly open: () => Readable
    /** The same, where it is in memory. */
    readonly whole?: Buffer | undefined
    /** 16 bytes. Only escrow may use it: it adds headers over the same key. */
    readonly fileKey: Buffer
    /** Hex SHA-256 of the sealed payload. */
    readonly payloadSha256: string
  }
  /** Reasons with which earlier steps of this recipient group answered `unsuitable`, in order. */
  readonly earlier: readonly { readonly method: string; readonly reason: string; readonly text: string }[]
  readonly signal: AbortSignal
}

/** An outcome and what must be written in the same transaction as its settlement. */
export type Answer = {
  readonly outcome: Outcome
  /** State of the recipient once settled as delivered; default `delivered`. */
  readonly state?: 'letter-waiting'
  readonly proof?: string
  /**
   * With a deferred outcome: no attempt until a person releases it; then the walk begins again at this step, an index into `earlier`, or goes
   * on with the next one.
   */
  readonly hold?: { readonly backTo: number } | { readonly onward: true }
  readonly writes?: readonly Statement[]
  /** After the settlement is durable. */
  readonly settled?: () => Promise<void>
}

/** The outcome when the stored content could not be read to its end: altered, which no waiting repairs, or a fault that passes. */
export function contentFault(error: unknown): Outcome {
  const why = error instanceof Error ? error.message : String(error)
  const [reason, text] =
    error instanceof SealBroken
      ? (['content-damaged', `the stored message was altered (${why})`] as const)
      : (['local-fault', `the stored message cannot be read (${why}), a fault of ours; we try again`] as const)
  return { kind: 'deferred', reason, text, evidence: {}, retry: { then: 'failed' } }
}

export type DeliveryMethod<Options> = {
  /** Deliver, or say why not: one answer per recipient id. Throws only on a bug: whatever a remote host does to us is an Outcome. */
  readonly attempt: (attempt: Attempt<Options>) => Promise<ReadonlyMap<string, Answer>>
}

/** What methods are built from. */
export type Parts = {
  readonly settings: Settings
  readonly transport: Transport
  readonly spool: Spool
  readonly db: Db
  readonly keyring: Keyring
  readonly clock: Clock
  readonly log: Logger
}

/** One entry of methods/index.ts: how a method is written in a policy and how it is built. */
export type MethodKind<Options> = {
  /** Options in a policy step, written in kebab-case there and given to `attempt` as parsed; `{}` must parse (the bare word). */
  readonly options: z.ZodType<Options>
  /** False: only our own plans use it. */
  readonly inPolicy: boolean
  readonly build: (parts: Parts) => DeliveryMethod<Options>
}

/** The `attempt` of a method that treats every recipient alone. */
export const each =
  <Options>(one: (recipient: AttemptRecipient, attempt: Attempt<Options>) => Promise<Answer>): DeliveryMethod<Options>['attempt'] =>
  async (attempt) =>
    new Map(await Promise.all(attempt.recipients.map(async (recipient) => [recipient.id, await one(recipient, attempt)] as const)))
