/** How a message reaches a domain, and how safely: the door of this folder. */
import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { Envelope, Notify } from '../mail/envelope.ts'
import type { Outcome } from '../mail/outcome.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { Db } from '../store/db.ts'
import { deliverTo } from './attempt.ts'
import { type Deadlines, deadlines as usualDeadlines } from './deadlines.ts'
import { createDestinations, type Destinations } from './destinations.ts'
import { createResolver, type Resolver } from './dns.ts'
import { createStsCache } from './mta-sts-cache.ts'
import { createPool } from './pool.ts'
import { createPostures } from './posture.ts'
import type { Mended } from './reencode.ts'
import { loadTrust, type Trust } from './trust.ts'

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
    /** Try also where the destination is known to be down: an operator, or a reader who waits, wants it so. */
    readonly insist?: boolean
  }[]
  readonly envelope: Pick<Envelope, 'ret' | 'envid' | 'body' | 'smtpUtf8'>
  /** Bytes, for SIZE=. */
  readonly size: number
  readonly open: () => Readable
  /** What `open` gives, where it is in memory: whoever replaces the one replaces the other. */
  readonly whole?: Buffer | undefined
  /** The 7-bit rendering for servers without 8BITMIME, where re-encoding what `open` gives would break our own signature. */
  readonly sevenBit?: (() => Promise<Mended>) | undefined
  readonly signal: AbortSignal
  /** Whether it gets our DKIM signature (signing.ts): what we wrote or re-rendered always, the mail of others where the settings say so. */
  readonly sign?: 'always' | 'unless-signed'
}

export type Transport = {
  /** One attempt over all candidates of the domain; one outcome per recipient id. Never throws for what a peer or DNS does. */
  readonly ship: (shipment: Shipment) => Promise<ReadonlyMap<string, Outcome>>
  /** Fetch the MTA-STS policies in use again; once a day (RFC 8461 §10.2). Answers how many were renewed; rejects only when the database fails. */
  readonly refreshSts: () => Promise<number>
  readonly close: () => Promise<void>
}

export type TransportParts = {
  readonly settings: Settings
  /** Keeps what is known of other domains: their policies, and what their TLS was like. */
  readonly db: Db
  readonly clock: Clock
  readonly log: Logger
  /** Shorter ones, for tests and the demo. */
  readonly deadlines?: Partial<Deadlines>
  readonly resolver?: Resolver
  /** Shared with the worker, which gives each destination the room it has. */
  readonly destinations?: Destinations
  /** Where MTA-STS policies are fetched; 443 but in tests. */
  readonly stsPort?: number
}

/** A transport by the settings. The CA store is read at the first shipment; while it cannot be read, everything is deferred. */
export function createTransport({ settings, db, clock, log, deadlines = {}, resolver, ...more }: TransportParts): Transport {
  const stopping = new AbortController()
  const underway = new Set<Promise<unknown>>()
  // Almost all shipments come with the same signal.
  const joined = new WeakMap<AbortSignal, AbortSignal>()
  const either = (signal: AbortSignal) => {
    const known = joined.get(signal) ?? AbortSignal.any([signal, stopping.signal])
    joined.set(signal, known)
    return known
  }
  const dns = resolver ?? createResolver({ servers: settings['dns.servers'], trustAd: settings['dns.trustAd'], clock })
  let trust: Promise<Trust> | undefined
  const trusted = () => {
    trust ??= loadTrust(settings['tls.ca'])
    // A store that could not be read is read again next time: somebody may have repaired it.
    trust.catch(() => {
      trust = undefined
    })
    return trust
  }
  const limits = { ...usualDeadlines, ...deadlines }
  const destinations = more.destinations ?? createDestinations(settings, clock)
  const pool = createPool({
    ...{ sources: settings['delivery.sourceAddresses'], deadlines: limits, clock },
    perAddress: settings['limits.connectionsPerAddress'],
  })
  const sts = createStsCache({ settings, db, clock, resolver: dns, trust: trusted, port: more.stsPort, ratchet: settings['tls.ratchet'] })
  const postures = createPostures({ db, clock, log, settings, sts })
  const parts = { settings, clock, log, resolver: dns, trust: trusted, deadlines: limits, pool, destinations, postures }
  return {
    ship: (shipment) => {
      const running = deliverTo(shipment, parts, either(shipment.signal))
      underway.add(running)
      return running.finally(() => underway.delete(running))
    },
    refreshSts: () => {
      const running = sts.refresh(stopping.signal)
      underway.add(running)
      return running.finally(() => underway.delete(running))
    },
    close: async () => {
      stopping.abort()
      pool.close()
      await Promise.allSettled(underway)
      await postures.close()
    },
  }
}
