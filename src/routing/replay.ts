/** Reads back the decisions of a time, in pages, with what is known of domains and keys: what a simulation replays. */
import { domainOf } from '../mail/address.ts'
import { idFloor } from '../mail/id.ts'
import type { StepResult } from '../mail/plan.ts'
import { type Db, sql } from '../store/db.ts'
import type { PlanFacts } from './facts.ts'
import type { DecisionRecord } from './record.ts'
import type { Probed } from './seen.ts'

/** What was decided for one recipient, and how it ended. */
export type Replayed = {
  /** When it was first decided, milliseconds since 1970. */
  readonly at: number
  readonly revision: number
  readonly facts: PlanFacts
  /** As last recorded. */
  readonly steps: readonly StepResult[]
}

const rowsInPage = 500
/** Ids tell when a message came in; by this much the clock may have been wrong then, or mail may have waited for its first attempt. */
const slack = 6 * 60 * 60_000

type DecisionRow = { recipient: string; attempt: number; at: number; record: string }

/** About how many rows there are to read since then: a bound for a progress bar. */
export async function countDecisions(db: Db, since: number): Promise<number> {
  const [row] = await db.read<{ rows: number }>(sql`SELECT COUNT(*) AS rows FROM decision WHERE recipient >= ${idFloor(since - slack)}`)
  return row?.rows ?? 0
}

/** Pages of decisions first made since `since`, with the rows read for each page. Each page is one short read: a running gateway is not held up. */
export async function* decisionsSince(
  db: Db,
  since: number,
): AsyncGenerator<{ readonly rows: number; readonly decisions: readonly Replayed[] }> {
  let [recipient, attempt] = [idFloor(since - slack), 0]
  let open: (Replayed & { readonly recipient: string }) | undefined
  for (;;) {
    const rows = await db.read<DecisionRow>(sql`SELECT recipient, attempt, at, record FROM decision
      WHERE (recipient, attempt) > (${recipient}, ${attempt}) ORDER BY recipient, attempt LIMIT ${rowsInPage}`)
    const decisions: Replayed[] = []
    for (const row of rows) {
      const { facts, revision, steps = [] } = JSON.parse(row.record) as Partial<DecisionRecord>
      if (open?.recipient === row.recipient) {
        open = { ...open, steps }
        continue
      }
      if (open !== undefined) decisions.push(open)
      // Mail of our own has no facts: no policy decides on it.
      open = facts && row.at >= since ? { recipient: row.recipient, at: row.at, revision: revision ?? 0, facts, steps } : undefined
    }
    const last = rows.at(-1)
    if (rows.length < rowsInPage && open !== undefined) decisions.push(open)
    yield { rows: rows.length, decisions }
    if (last === undefined || rows.length < rowsInPage) return
    ;[recipient, attempt] = [last.recipient, last.attempt]
  }
}

/** What is known now of domains and of keys of recipients. */
export type Surroundings = {
  readonly probed: ReadonlyMap<string, Probed>
  readonly verifiedAt: ReadonlyMap<string, number>
  /** The trust of each address's PGP key; an expired one is not there. */
  readonly keys: ReadonlyMap<string, string>
}

const told = ['clear', 'encrypted', 'verified', 'authenticated']

/** `now` and `ratchet` (how long verified TLS is remembered) in milliseconds; of one recipient, or of all. */
export async function readSurroundings(db: Db, now: number, ratchet: number, only = ''): Promise<Surroundings> {
  const domain = only === '' ? '' : domainOf(only)
  const probed = await db.read<{ domain: string; posture: Probed['posture']; reason: string | null }>(sql`
    SELECT d.domain AS domain, d.posture AS posture, p.reason AS reason FROM probed_domain d
    LEFT JOIN probe p ON p.domain = d.domain AND p.at = d.last_at WHERE d.posture IS NOT NULL AND (${domain} = '' OR d.domain = ${domain})`)
  const verified = await db.read<{ domain: string; verified_at: number }>(
    sql`SELECT domain, verified_at FROM posture WHERE verified_at > ${now - ratchet} AND (${domain} = '' OR domain = ${domain})`,
  )
  const keys = await db.read<{ address: string; trust: string }>(
    sql`SELECT address, trust FROM pgp_key WHERE (expires_at IS NULL OR expires_at > ${now}) AND (${only} = '' OR address = ${only.toLowerCase()})`,
  )
  return {
    probed: new Map(
      probed.filter(({ posture }) => told.includes(posture)).map(({ domain, posture, reason }) => [domain, { posture, reason }]),
    ),
    verifiedAt: new Map(verified.map((row) => [row.domain, row.verified_at])),
    keys: new Map(keys.map(({ address, trust }) => [address, trust])),
  }
}
