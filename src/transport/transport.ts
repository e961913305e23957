/** How a message reaches a domain, and how safely: the door of this folder. */
import type { Readable } from 'node:stream'
import type { Envelope, Notify } from '../mail/envelope.ts'
import type { Outcome } from '../mail/outcome.ts'

/**
 * What a content demands of the channel.
 * - forced: no byte before a channel of `level` stands.
 * - opportunistic: TLS when offered; an offered STARTTLS that fails is retried, never replaced by clear text. Clear only when none is offered.
 * - notice: as opportunistic, but in clear also where STARTTLS fails (spec N1). PGP and S/MIME mail, notices and codes go so.
 * - route: the organisation's own route: what `delivery.routes` says for the domain, else as notice.
 */
export type Need =
  | {
      readonly kind: 'forced'
      readonly level: 'encrypted' | 'verified' | 'authenticated' | 'dane' | 'pinned'
      readonly min?: 'TLSv1.2' | 'TLSv1.3'
      readonly pin?: readonly string[]
      readonly patience?: number
    }
  | { readonly kind: 'opportunistic' }
  | { readonly kind: 'notice' }
  | { readonly kind: 'route' }

export type Shipment = {
  readonly domain: string
  readonly need: Need
  readonly reversePath: string
  readonly recipients: readonly {
    readonly id: string
    readonly address: string
    readonly orcpt?: string
    readonly notify: readonly Notify[]
  }[]
  readonly envelope: Pick<Envelope, 'ret' | 'envid' | 'body' | 'smtpUtf8'>
  /** Bytes, for SIZE=. */
  readonly size: number
  readonly open: () => Readable
  readonly signal: AbortSignal
}

export type Transport = {
  /** One attempt over all candidates of the domain; one outcome per recipient id. Never throws for what a peer or DNS does. */
  readonly ship: (shipment: Shipment) => Promise<ReadonlyMap<string, Outcome>>
  readonly close: () => Promise<void>
}
