/** What binds a delivery to a domain: its MTA-STS policy, and what its TLS was like before (the ratchet). Also keeps the tallies of sessions. */
import type { Assurance, Evidence } from '../mail/outcome.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { type Db, type Statement, sql } from '../store/db.ts'
import { namesMx } from './mta-sts.ts'
import type { Sts, StsCache } from './mta-sts-cache.ts'
import type { ChannelNeed } from './tls-need.ts'
import type { Published, Trouble } from './trouble.ts'

export type Posture = {
  readonly sts: Sts
  /** When verified TLS was last seen, within `tls.ratchet`. */
  readonly verifiedAt: number | undefined
}

/** Of routes and address literals: nobody publishes anything for them. */
export const noPosture: Posture = { sts: { kind: 'none' }, verifiedAt: undefined }

/** The column of the decision table. */
export function publishedBy({ sts, verifiedAt }: Posture): Published {
  const mode = sts.kind === 'policy' ? sts.policy.mode : 'none'
  if (mode === 'enforce') return 'sts-enforce'
  if (verifiedAt !== undefined) return 'ratchet'
  return mode === 'testing' ? 'sts-testing' : 'none'
}

/** What is asked of one MX host. `sts`: its certificate must be valid and name it, whatever else the need says (RFC 8461 §4.1). */
export type Terms =
  | { readonly kind: 'skip'; readonly trouble: Trouble }
  | { readonly kind: 'go'; readonly need: ChannelNeed; readonly sts: boolean }

/** The terms at a host, for a need. A host with secure TLSA records has its own: DANE goes before MTA-STS (RFC 8461 §2). */
export function termsAt(host: string, { sts }: Pick<Posture, 'sts'>, need: ChannelNeed): Terms {
  if (sts.kind !== 'policy' || sts.policy.mode !== 'enforce') return { kind: 'go', need, sts: false }
  if (!namesMx(sts.policy, host)) return { kind: 'skip', trouble: notInPolicy(host, sts.policy.mx) }
  // N2: what may travel in clear elsewhere may not here (RFC 8461 §5).
  return { kind: 'go', need: need.kind === 'forced' ? need : { kind: 'forced', level: 'verified' }, sts: true }
}

const notInPolicy = (host: string, mx: readonly string[]): Trouble => ({
  row: 'mx-not-in-policy',
  text: `${host} is not among the hosts of its domain's MTA-STS policy (${mx.slice(0, 4).join(', ')}${mx.length > 4 ? ', …' : ''})`,
  evidence: { host },
})

/** The policy as a decision record keeps it; nothing where nothing is published. */
export function postureEvidence({ sts }: Posture): Evidence {
  const trouble = sts.trouble === undefined ? {} : { reason: sts.trouble.reason, text: sts.trouble.text }
  if (sts.kind === 'policy') return { sts: { mode: sts.policy.mode, id: sts.id, ...trouble } }
  return sts.trouble === undefined ? {} : { sts: trouble }
}

/** What the testing mode would have refused (RFC 8461 §5): only told, never acted upon. */
export function failsTesting(host: string, { sts }: Posture, proven: boolean): string | undefined {
  if (sts.kind !== 'policy' || sts.policy.mode !== 'testing') return undefined
  if (!namesMx(sts.policy, host)) return `${host} is not among the hosts of the policy`
  return proven ? undefined : `${host} did not prove its name by a trusted certificate`
}

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

export type Postures = {
  /** Rejects only when the database fails. */
  readonly of: (domain: string, signal: AbortSignal, options?: { readonly anew?: boolean }) => Promise<Posture>
  /** Remember sessions of one attempt. Rejects only when the database fails. */
  readonly note: (seen: readonly Seen[]) => Promise<void>
}

export type PostureParts = {
  readonly db: Db
  readonly clock: Clock
  readonly settings: Pick<Settings, 'tls.ratchet'>
  readonly sts: StsCache
}

const hour = 3_600_000

/** Over the tables `posture` and `tls_tally`. */
export function createPostures({ db, clock, settings, sts }: PostureParts): Postures {
  const verifiedAt = async (domain: string): Promise<number | undefined> => {
    const since = clock() - settings['tls.ratchet']
    const [row] = await db.read<{ verified_at: number }>(
      sql`SELECT verified_at FROM posture WHERE domain = ${domain} AND verified_at > ${since}`,
    )
    return row?.verified_at
  }
  return {
    of: async (domain, signal, options) => {
      const [policy, verified] = await Promise.all([sts.policyOf(domain, signal, options), verifiedAt(domain)])
      return { sts: policy, verifiedAt: verified }
    },
    note: async (seen) => {
      if (seen.length > 0) await db.write(...seen.flatMap((one) => [tally(one, clock()), ...verified(one, clock())]))
    },
  }
}

const tally = ({ domain, policy, result, host }: Seen, now: number): Statement =>
  sql`INSERT INTO tls_tally (day, domain, policy, result, host, sessions)
    VALUES (${new Date(now).toISOString().slice(0, 10)}, ${domain}, ${policy}, ${result}, ${host}, 1)
    ON CONFLICT (day, domain, policy, result, host) DO UPDATE SET sessions = tls_tally.sessions + 1`

/** A pin proves a key, not what anybody else would see: it turns no ratchet. */
const proofs: readonly (Assurance | undefined)[] = ['verified', 'authenticated', 'dane']

const verified = ({ domain, host, assurance, identity }: Seen, now: number): Statement[] =>
  assurance === undefined || !proofs.includes(assurance)
    ? []
    : [
        sql`INSERT INTO posture (domain, verified_at, assurance, identity, host) VALUES (${domain}, ${now}, ${assurance}, ${identity ?? ''}, ${host})
          ON CONFLICT (domain) DO UPDATE SET verified_at = excluded.verified_at, assurance = excluded.assurance, identity = excluded.identity,
            host = excluded.host
          WHERE posture.verified_at < ${now - hour} OR posture.assurance <> excluded.assurance`,
      ]
