/** What binds a delivery to a domain: its MTA-STS policy, and what its TLS was like before (the ratchet). Also keeps the tallies of sessions. */
import type { Logger } from 'pino'
import type { Assurance, Evidence, Reason } from '../mail/outcome.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { type Db, type Statement, sql } from '../store/db.ts'
import type { HostDane } from './dane-lookup.ts'
import { namesMx } from './mta-sts.ts'
import type { Sts, StsCache } from './mta-sts-cache.ts'
import type { SessionFacts } from './session.ts'
import type { Channel } from './tls-need.ts'
import { usableTlsa } from './tlsa.ts'
import type { Published, Trouble } from './trouble.ts'
import { tlsFailure } from './verdict.ts'

export type Posture = {
  readonly sts: Sts
  /** When verified TLS was last seen, within `tls.ratchet`. */
  readonly verifiedAt: number | undefined
  /**
   * Until when an enforced MTA-STS policy was in force that ran out within `tls.ratchet` and was not taken back. Whoever keeps us from its host
   * until it runs out must not gain the notices (N2): mail that could travel in clear goes only where the certificate names the host.
   */
  readonly lapsedAt?: number | undefined
}

/** Of routes and address literals: nobody publishes anything for them. */
export const noPosture: Posture = { sts: { kind: 'none' }, verifiedAt: undefined }

/** The column of the decision table. A policy that ran out binds only what could travel in clear: all else has the ratchet. */
export function publishedBy({ sts, verifiedAt, lapsedAt }: Posture, need: 'forced' | 'clear'): Published {
  const mode = sts.kind === 'policy' ? sts.policy.mode : 'none'
  if (mode === 'enforce' || (need === 'clear' && lapsedAt !== undefined)) return 'sts-enforce'
  if (verifiedAt !== undefined) return 'ratchet'
  return mode === 'testing' ? 'sts-testing' : 'none'
}

/**
 * What the policy says of one MX host.
 * - free: nothing. - bound: its certificate must be valid and name it, whatever the need asks (RFC 8461 §4.1). - skip: mail may not go there.
 */
export type StsWord = { readonly kind: 'free' | 'bound' } | { readonly kind: 'skip'; readonly trouble: Trouble }

/** A host that has TLSA records of use is bound by them instead: DANE goes before MTA-STS (RFC 8461 §2). */
export function stsAt(host: string, { sts }: Pick<Posture, 'sts'>, dane: HostDane | undefined): StsWord {
  if (hasDane(dane) || sts.kind !== 'policy' || sts.policy.mode !== 'enforce') return { kind: 'free' }
  return namesMx(sts.policy, host) ? { kind: 'bound' } : { kind: 'skip', trouble: notInPolicy(host, sts.policy.mx) }
}

const hasDane = (dane: HostDane | undefined): boolean => dane !== undefined && usableTlsa(dane.records).length > 0

const notInPolicy = (host: string, mx: readonly string[]): Trouble => ({
  row: 'mx-not-in-policy',
  text: `${host} is not among the hosts of its domain's MTA-STS policy (${mx.slice(0, 4).join(', ')}${mx.length > 4 ? ', …' : ''})`,
  evidence: { host },
})

/** The policy as a decision record keeps it; nothing where nothing is published. */
export function postureEvidence({ sts, lapsedAt }: Posture): Evidence {
  const trouble = sts.trouble === undefined ? {} : { reason: sts.trouble.reason, text: sts.trouble.text }
  if (sts.kind === 'policy') return { sts: { mode: sts.policy.mode, id: sts.id, ...trouble } }
  const former = lapsedAt === undefined ? {} : { enforcedUntil: new Date(lapsedAt).toISOString() }
  return sts.trouble === undefined && lapsedAt === undefined ? {} : { sts: { ...trouble, ...former } }
}

/** What a policy in testing mode would have refused (RFC 8461 §5): only told, never acted upon. */
export function failsTesting(host: string, { sts }: Posture, channel: Channel | undefined): StsFailure | undefined {
  if (sts.kind !== 'policy' || sts.policy.mode !== 'testing') return undefined
  if (!namesMx(sts.policy, host)) return { result: 'validation-failure', text: `${host} is not among the hosts of the policy` }
  if (channel === undefined) return { result: 'starttls-not-supported', text: `${host} offers no STARTTLS that works` }
  if (channel.chain.kind === 'untrusted') return { result: 'certificate-not-trusted', text: channel.chain.text }
  if (channel.chain.kind === 'expired') return { result: 'certificate-expired', text: channel.chain.text }
  return channel.names(host) ? undefined : { result: 'certificate-host-mismatch', text: `certificate of ${host} is for another name` }
}

type StsFailure = { readonly result: Reason; readonly text: string }

/** How one session ended, for the ratchet and the tallies. */
export type Seen = {
  readonly domain: string
  readonly host: string
  readonly policy: 'sts' | 'tlsa' | 'no-policy-found'
  /** `success`, or a reason code (RFC 8460 §4.3). */
  readonly result: string
  /** What stood, with `success`. */
  readonly assurance?: Assurance
  readonly identity?: string
}

type Where = { readonly domain: string; readonly posture: Posture; readonly dane: HostDane | undefined }

const policyOf = ({ posture: { sts }, dane }: Where): Seen['policy'] =>
  hasDane(dane) ? 'tlsa' : sts.kind === 'policy' && sts.policy.mode !== 'none' ? 'sts' : 'no-policy-found'

/** A session that stood. */
export function seenStanding({ candidate: { host }, channel, assurance, identity }: SessionFacts, where: Where): Seen {
  const failure = failsTesting(host, where.posture, channel)
  const result = channel === undefined ? 'starttls-not-supported' : (!hasDane(where.dane) && failure?.result) || 'success'
  return { domain: where.domain, host, policy: policyOf(where), result, assurance, identity }
}

/** A host that got none; nothing when that was not for its TLS. */
export function seenFailing({ row, evidence }: Trouble, where: Where): Seen[] {
  const result = tlsFailure(row)
  const host = typeof evidence.host === 'string' ? evidence.host : ''
  return result === undefined ? [] : [{ domain: where.domain, host, policy: policyOf(where), result }]
}

export type Postures = {
  /** Rejects only when the database fails. */
  readonly of: (domain: string, signal: AbortSignal, options?: { readonly anew?: boolean }) => Promise<Posture>
  /** Remember the sessions of one attempt, without holding it up: what it came to is to be recorded first. */
  readonly note: (seen: readonly Seen[]) => void
  /** Resolves when all is written. */
  readonly close: () => Promise<void>
}

export type PostureParts = {
  readonly db: Db
  readonly clock: Clock
  readonly log: Logger
  readonly settings: Pick<Settings, 'tls.ratchet'>
  readonly sts: StsCache
}

const hour = 3_600_000
const mostRemembered = 10_000

/** Over the tables `posture` and `tls_tally`. */
export function createPostures({ db, clock, log, settings, sts }: PostureParts): Postures {
  const writing = new Set<Promise<unknown>>()
  // What has just been seen counts before it is written, and is written once an hour.
  const recent = new Map<string, { readonly at: number; readonly assurance: Assurance | undefined }>()

  const verifiedAt = async (domain: string): Promise<number | undefined> => {
    const since = clock() - settings['tls.ratchet']
    const [row] = await db.read<{ verified_at: number }>(sql`SELECT verified_at FROM posture WHERE domain = ${domain}`)
    const at = Math.max(row?.verified_at ?? 0, recent.get(domain)?.at ?? 0)
    return at > since && at > 0 ? at : undefined
  }

  const remember = (seen: Seen): Statement[] => {
    const { domain, assurance } = seen
    if (assurance === undefined || !proofs.includes(assurance)) return []
    const last = recent.get(domain)
    if (last && last.assurance === assurance && clock() - last.at < hour) return []
    if (recent.size >= mostRemembered) recent.delete(recent.keys().next().value ?? '')
    recent.set(domain, { at: clock(), assurance })
    return [verified(seen, clock())]
  }

  return {
    of: async (domain, signal, options) => {
      const [policy, verified] = await Promise.all([sts.policyOf(domain, signal, options), verifiedAt(domain)])
      const until = policy.kind === 'none' ? policy.enforcedUntil : undefined
      const lapsed = until !== undefined && until > clock() - settings['tls.ratchet']
      return { sts: policy, verifiedAt: verified, ...(lapsed && { lapsedAt: until }) }
    },
    note: (seen) => {
      if (seen.length === 0) return
      const write = db
        .write(...seen.flatMap((one) => [tally(one, clock()), ...remember(one)]))
        .catch((error: unknown) => log.error({ err: error }, 'what was seen of a domain could not be written'))
        .finally(() => writing.delete(write))
      writing.add(write)
    },
    close: async () => void (await Promise.allSettled(writing)),
  }
}

const tally = ({ domain, policy, result, host }: Seen, now: number): Statement =>
  sql`INSERT INTO tls_tally (day, domain, policy, result, host, sessions)
    VALUES (${new Date(now).toISOString().slice(0, 10)}, ${domain}, ${policy}, ${result}, ${host}, 1)
    ON CONFLICT (day, domain, policy, result, host) DO UPDATE SET sessions = tls_tally.sessions + 1`

/** A pin proves a key, not what anybody else would see: it turns no ratchet. */
const proofs: readonly (Assurance | undefined)[] = ['verified', 'authenticated', 'dane']

const verified = ({ domain, host, assurance, identity }: Seen, now: number): Statement =>
  sql`INSERT INTO posture (domain, verified_at, assurance, identity, host) VALUES (${domain}, ${now}, ${assurance ?? ''}, ${identity ?? ''}, ${host})
    ON CONFLICT (domain) DO UPDATE SET verified_at = excluded.verified_at, assurance = excluded.assurance, identity = excluded.identity,
      host = excluded.host`
