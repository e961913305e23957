/** What is remembered of probed domains: their standing, their probes, and what changed; rows in `probed_domain` and `probe`. */
import { entry } from '../audit/audit.ts'
import { type Db, type Statement, sql } from '../store/db.ts'
import type { DomainCheck } from './check.ts'
import { type Change, type Posture, type Ranked, type Remembered, remember } from './posture.ts'

/** A domain as `domain list` shows it. Times in milliseconds since 1970. */
export type ProbedDomain = {
  readonly domain: string
  /** Null: not probed yet, or nothing could be told so far. */
  readonly posture: Ranked | null
  readonly since: number | null
  /** The posture before a downgrade that has not been made good. */
  readonly fallenFrom: Ranked | null
  readonly lastProbeAt: number | null
  /** What the last probe found, which may tell nothing about TLS (`unreachable`). */
  readonly lastPosture: Posture | null
  /** Reason code of the last probe. */
  readonly reason: string | null
  readonly nextProbeAt: number
}

export type ProbeRow = { readonly at: number; readonly posture: Posture; readonly reason: string | null }

type DomainRow = {
  domain: string
  posture: Ranked | null
  since: number | null
  fallen_from: Ranked | null
  last_at: number | null
  next_at: number
  last_posture: Posture | null
  reason: string | null
}

/** Names from one to another, both with it, in the order of the database. */
export type Names = { readonly from: string; readonly through: string }

/** All of them by name, or those of these names. */
export async function listProbed(db: Db, { from, through }: Names = { from: '', through: '' }): Promise<ProbedDomain[]> {
  const rows = await db.read<DomainRow>(sql`SELECT d.*, p.posture AS last_posture, p.reason AS reason FROM probed_domain d
    LEFT JOIN probe p ON p.domain = d.domain AND p.at = d.last_at
    WHERE ${from} = '' OR (d.domain >= ${from} AND d.domain <= ${through}) ORDER BY d.domain`)
  return rows.map((row) => ({
    domain: row.domain,
    posture: row.posture,
    since: row.since,
    fallenFrom: row.fallen_from,
    lastProbeAt: row.last_at,
    lastPosture: row.last_posture,
    reason: row.reason,
    nextProbeAt: row.next_at,
  }))
}

/** Its last probes, oldest first. */
export async function historyOf(db: Db, domain: string, most = 60): Promise<ProbeRow[]> {
  const rows = await db.read<ProbeRow>(sql`SELECT at, posture, reason FROM probe WHERE domain = ${domain} ORDER BY at DESC LIMIT ${most}`)
  return rows.reverse()
}

/** The facts of the last probe, as `domain check` would have shown them. */
export async function lastCheck(db: Db, domain: string): Promise<DomainCheck | undefined> {
  const [row] = await db.read<{ facts: string }>(sql`SELECT facts FROM probe WHERE domain = ${domain} ORDER BY at DESC LIMIT 1`)
  return row === undefined ? undefined : (JSON.parse(row.facts) as DomainCheck)
}

export type Kept = { readonly change: Change; readonly from: Ranked | null; readonly to: Posture }

/** Keep one probe; a downgrade or a recovery goes to the audit trail in the same write. `nextAt`: when to probe again. */
export async function keepProbe(db: Db, check: DomainCheck, nextAt: number): Promise<Kept> {
  const { domain, at, posture, reason } = check
  const [row] = await db.read<DomainRow>(sql`SELECT * FROM probed_domain WHERE domain = ${domain}`)
  const before: Remembered = { posture: row?.posture ?? null, since: row?.since ?? null, fallenFrom: row?.fallen_from ?? null }
  const { after, change } = remember(before, posture, at)
  const told: Statement[] =
    change === undefined
      ? []
      : [
          entry(at, {
            actor: 'system',
            action: `domain.${change}`,
            object: domain,
            detail: { from: before.posture, to: posture, reason, hosts: check.mx.map(({ host }) => host) },
          }),
        ]
  await db.write(
    sql`INSERT INTO probe (domain, at, posture, reason, facts) VALUES (${domain}, ${at}, ${posture}, ${reason},
      ${JSON.stringify({ ...check, steps: [] })}) ON CONFLICT (domain, at) DO NOTHING`,
    sql`INSERT INTO probed_domain (domain, posture, since, fallen_from, last_at, next_at, written_at)
      VALUES (${domain}, ${after.posture}, ${after.since}, ${after.fallenFrom}, ${at}, ${nextAt}, ${at})
      ON CONFLICT (domain) DO UPDATE SET posture = excluded.posture, since = excluded.since, fallen_from = excluded.fallen_from,
        last_at = excluded.last_at, next_at = excluded.next_at`,
    ...told,
  )
  return { change, from: before.posture, to: posture }
}

export type Written = { readonly domain: string; readonly at: number }

/** Domains that mail was accepted for since `since`, and when last. */
export const writtenTo = (db: Db, since: number): Promise<Written[]> =>
  db.read<Written>(sql`SELECT r.domain AS domain, MAX(m.accepted_at) AS at FROM message m JOIN recipient r ON r.message = m.id
    WHERE m.accepted_at > ${since} AND m.kind = ${'mail'} GROUP BY r.domain`)

/** Put a domain on the list, to be probed first at `firstAt`; one that is on it stays as it is. */
export const enlist = ({ domain, at }: Written, firstAt: number): Statement =>
  sql`INSERT INTO probed_domain (domain, next_at, written_at) VALUES (${domain}, ${firstAt}, ${at})
    ON CONFLICT (domain) DO UPDATE SET written_at = excluded.written_at`

/** What is due now and was written to since `since`, the longest due first. */
export async function dueDomains(db: Db, now: number, since: number, most: number): Promise<string[]> {
  const rows = await db.read<{ domain: string }>(
    sql`SELECT domain FROM probed_domain WHERE next_at <= ${now} AND written_at > ${since} ORDER BY next_at LIMIT ${most}`,
  )
  return rows.map(({ domain }) => domain)
}

/** Forget probes older than `before`. */
export const forgetProbes = (before: number): Statement => sql`DELETE FROM probe WHERE at < ${before}`

/** Not now, but at `nextAt`: nothing was found out. */
export const postpone = (domain: string, nextAt: number): Statement =>
  sql`UPDATE probed_domain SET next_at = ${nextAt} WHERE domain = ${domain}`
