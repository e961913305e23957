/** Remembers MTA-STS policies for as long as they say (RFC 8461 §3.3), and notices when a domain has changed its own. */
import { type Db, type Statement, sql } from '../store/db.ts'
import { readStsRecord, type StsMode, type StsPolicy, type StsRecord } from './mta-sts.ts'
import { fetchStsPolicy, type StsFetchParts, type StsTrouble } from './mta-sts-fetch.ts'

/**
 * What binds us at a domain.
 * - policy: in force; `trouble` says why it could not be looked up or fetched anew.
 * - none: nothing in force; `trouble` says what kept us from knowing better (spec transport: as if none). `enforcedUntil`: an enforced policy
 *   ran out then, milliseconds since 1970, and was not taken back by a newer one.
 */
export type Sts =
  | { readonly kind: 'policy'; readonly policy: StsPolicy; readonly id: string; readonly trouble?: StsTrouble }
  | { readonly kind: 'none'; readonly trouble?: StsTrouble; readonly enforcedUntil?: number }

export type StsCache = {
  /**
   * For one delivery. `anew`: fetch although the record's id is the known one, because no host fits the policy (RFC 8461 §5.1). Rejects only
   * when the database fails.
   */
  readonly policyOf: (domain: string, signal: AbortSignal, options?: { readonly anew?: boolean }) => Promise<Sts>
  /** Fetch again what was used lately and is older than half a day (RFC 8461 §10.2), and forget what has long expired; answers how many were renewed. */
  readonly refresh: (signal: AbortSignal) => Promise<number>
}

/** `ratchet`: how long a policy that ran out is remembered, milliseconds (`tls.ratchet`). */
export type StsCacheParts = StsFetchParts & { readonly db: Db; readonly ratchet?: number }

const minute = 60_000
const day = 24 * 60 * minute
// RFC 8461 §3.3: after a failed fetch, wait at least five minutes.
const betweenTries = 5 * minute
const mostRemembered = 10_000

/** A cache over the table `sts_policy`; failures are remembered only here. */
export function createStsCache(parts: StsCacheParts): StsCache {
  const { db, clock, ratchet = 0 } = parts
  const tried = new Map<string, { readonly at: number; readonly id: string; readonly trouble: StsTrouble | undefined }>()
  const underway = new Map<string, Promise<StsTrouble | undefined>>()

  const fetchInto = async (domain: string, id: string, signal: AbortSignal): Promise<StsTrouble | undefined> => {
    const fetched = await fetchStsPolicy(domain, parts, signal)
    const trouble = fetched.kind === 'trouble' ? { reason: fetched.reason, text: fetched.text } : undefined
    if (tried.size >= mostRemembered) tried.delete(tried.keys().next().value ?? '')
    // A fetch that we broke off ourselves says nothing about the host.
    if (!signal.aborted) tried.set(domain, { at: clock(), id, trouble })
    if (fetched.kind === 'policy') await db.write(keep(domain, id, fetched.policy, clock()))
    return trouble
  }

  /** Fetch now, but not soon after a failure; all who ask at the same time share one fetch. */
  const renew = (domain: string, id: string, signal: AbortSignal): Promise<StsTrouble | undefined> => {
    const last = tried.get(domain)
    if (last?.trouble && clock() - last.at < betweenTries) return Promise.resolve(last.trouble)
    const running = underway.get(domain) ?? fetchInto(domain, id, signal).finally(() => underway.delete(domain))
    underway.set(domain, running)
    return running
  }

  const policyOf: StsCache['policyOf'] = async (domain, signal, { anew = false } = {}) => {
    const known = await stored(db, domain, clock())
    const record = await recordOf(domain, parts)
    const inForce = known.inForce
    if (inForce && clock() - inForce.used_at > day) await db.write(sql`UPDATE sts_policy SET used_at = ${clock()} WHERE domain = ${domain}`)
    if (record.kind !== 'record') return asFound(known, record)
    const last = tried.get(domain)
    const justFetched = last?.id === record.id && clock() - last.at < betweenTries
    if (inForce?.id === record.id && (!anew || justFetched)) return withTrouble(known, undefined)
    const trouble = await renew(domain, record.id, signal)
    const now = await stored(db, domain, clock())
    return withTrouble(now, trouble)
  }

  const refresh: StsCache['refresh'] = async (signal) => {
    const now = clock()
    await db.write(sql`DELETE FROM sts_policy WHERE expires_at < ${now - Math.max(30 * day, ratchet)}`)
    const rows = await db.read<{ domain: string }>(sql`SELECT domain FROM sts_policy
      WHERE expires_at > ${now} AND fetched_at < ${now - day / 2} AND used_at > ${now - 30 * day} ORDER BY expires_at LIMIT 10000`)
    let renewed = 0
    for (const { domain } of rows) {
      if (signal.aborted) break
      const looked = await recordOf(domain, parts)
      // Without its record the policy lives on to its end, but is not prolonged.
      if (looked.kind === 'record' && (await renew(domain, looked.id, signal)) === undefined) renewed++
    }
    return renewed
  }
  return { policyOf, refresh }
}

type StoredPolicy = { id: string; mode: StsMode; mx: string; max_age: number; expires_at: number; used_at: number }

/** What was last fetched: in force, or run out. */
type Known = { readonly inForce?: StoredPolicy; readonly former?: StoredPolicy }

async function stored(db: Db, domain: string, now: number): Promise<Known> {
  const [row] = await db.read<StoredPolicy>(sql`SELECT id, mode, mx, max_age, expires_at, used_at FROM sts_policy WHERE domain = ${domain}`)
  if (row === undefined) return {}
  return row.expires_at > now ? { inForce: row } : { former: row }
}

// A policy that expires at once still binds the delivery that fetched it.
const shortest = minute

const keep = (domain: string, id: string, { mode, mx, maxAge }: StsPolicy, now: number): Statement =>
  sql`INSERT INTO sts_policy (domain, id, mode, mx, max_age, fetched_at, expires_at, used_at)
    VALUES (${domain}, ${id}, ${mode}, ${JSON.stringify(mx)}, ${maxAge}, ${now}, ${now + Math.max(maxAge * 1000, shortest)}, ${now})
    ON CONFLICT (domain) DO UPDATE SET id = excluded.id, mode = excluded.mode, mx = excluded.mx, max_age = excluded.max_age,
      fetched_at = excluded.fetched_at, expires_at = excluded.expires_at`

type Record = StsRecord | { readonly kind: 'temporary'; readonly text: string }

/** The record now; the resolver remembers it for its TTL, so that its id is looked at again when that has passed. */
async function recordOf(domain: string, { resolver }: StsFetchParts): Promise<Record> {
  const looked = await resolver.look(`_mta-sts.${domain}`, 'TXT')
  if (looked.kind === 'temporary') return looked
  return looked.kind === 'records' ? readStsRecord(looked.records) : { kind: 'none' }
}

/** RFC 8461 §3.3: a policy in force stays so, whatever has become of its record. */
function asFound(known: Known, record: Exclude<Record, { kind: 'record' }>): Sts {
  switch (record.kind) {
    case 'none':
      return withTrouble(known, undefined)
    case 'invalid':
      return withTrouble(known, { reason: 'sts-policy-invalid', text: record.text })
    case 'temporary':
      return withTrouble(known, { reason: 'sts-policy-fetch-error', text: `the MTA-STS record cannot be looked up now (${record.text})` })
  }
}

function withTrouble({ inForce, former }: Known, trouble: StsTrouble | undefined): Sts {
  const more = trouble === undefined ? {} : { trouble }
  if (inForce === undefined) return { kind: 'none', ...more, ...(former?.mode === 'enforce' && { enforcedUntil: former.expires_at }) }
  const { mode, max_age: maxAge, id, mx } = inForce
  return { kind: 'policy', policy: { mode, maxAge, mx: JSON.parse(mx) as string[] }, id, ...more }
}
