/** Counts for each domain the messages that lately went another way because its TLS did not do (spec transport, N4). */
import type { Reason } from '../mail/outcome.ts'
import type { StepResult } from '../mail/plan.ts'
import { type Db, sql } from '../store/db.ts'
import { listProbed, type Names, type ProbedDomain } from './history.ts'

/** `count` messages since `since` (milliseconds since 1970), the last of them for `reason`; null: none. */
export type FellBack = { readonly count: number; readonly since: number; readonly reason: Reason | null }

/** A domain that is probed, or that mail fell back for before its first probe: then `nextProbeAt` may be unknown. */
export type Standing = Omit<ProbedDomain, 'nextProbeAt'> & { readonly nextProbeAt: number | null; readonly fellBack: FellBack }

export const fellBackDays = 7
/** From here on somebody should look at the domain. */
export const fellBackOften = 3

/** Size and encoding are the message's own trouble; whatever else makes TLS unsuitable is the domain's. */
const ofMessage: readonly (Reason | null)[] = ['message-too-large', 'eightbit-unsupported']

/** All domains that are probed or fell back lately, by name, or one of them. */
export async function standings(db: Db, now: number, domain = ''): Promise<Standing[]> {
  return (await standingsOf(db, now, { from: domain, through: domain })).sort((one, other) => (one.domain < other.domain ? -1 : 1))
}

/** At most `limit` of them behind the name `after`, in the database's order of names; the others are not computed. */
export async function standingsPage(
  db: Db,
  now: number,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<Standing[]> {
  const found: Standing[] = []
  for (let behind = after; found.length < limit; ) {
    const names = await candidates(db, now, { after: behind, limit })
    const [from, through] = [names[0], names.at(-1)]
    if (from === undefined || through === undefined) break
    const known = new Map((await standingsOf(db, now, { from, through })).map((one) => [one.domain, one]))
    found.push(...names.flatMap((name) => known.get(name) ?? []))
    behind = through
    if (names.length < limit) break
  }
  return found.slice(0, limit)
}

/** Some of them fell back for no fault of theirs, which only the records of their mail tell. */
async function candidates(db: Db, now: number, { after, limit }: { readonly after: string; readonly limit: number }): Promise<string[]> {
  const rows = await db.read<{ domain: string }>(sql`SELECT domain FROM (
      SELECT domain FROM probed_domain WHERE domain > ${after}
      UNION SELECT domain FROM recipient WHERE settled_at > ${sinceOf(now)} AND method <> ${'tls'} AND reason IS NOT NULL AND domain > ${after}
    ) AS name ORDER BY domain LIMIT ${limit}`)
  return rows.map(({ domain }) => domain)
}

const sinceOf = (now: number): number => now - fellBackDays * 86_400_000

async function standingsOf(db: Db, now: number, names: Names): Promise<Standing[]> {
  const since = sinceOf(now)
  const probed = await listProbed(db, names)
  const fellBack = await fallBacks(db, since, names)
  const known = new Set(probed.map((one) => one.domain))
  const others = [...fellBack.keys()].filter((name) => !known.has(name)).map(unprobed)
  return [...probed, ...others].map((one) => ({ ...one, fellBack: fellBack.get(one.domain) ?? { count: 0, since, reason: null } }))
}

const unprobed = (domain: string): Omit<Standing, 'fellBack'> => ({
  domain,
  ...{ posture: null, since: null, fallenFrom: null, lastProbeAt: null, lastPosture: null, reason: null, nextProbeAt: null },
})

/** The recipient's row tells only why its first step did not do, and that may have been a missing key: the record has every step. */
async function fallBacks(db: Db, since: number, { from, through }: Names): Promise<Map<string, FellBack>> {
  const rows = await db.read<{ domain: string; message: string; record: string }>(
    sql`SELECT r.domain AS domain, r.message AS message, d.record AS record FROM recipient r
      JOIN decision d ON d.recipient = r.id AND d.attempt = r.attempts
      WHERE r.settled_at > ${since} AND r.method <> ${'tls'} AND r.reason IS NOT NULL AND (${from} = '' OR (r.domain >= ${from} AND r.domain <= ${through}))
      ORDER BY r.settled_at`,
  )
  const found = new Map<string, { readonly messages: Set<string>; reason: Reason }>()
  for (const row of rows) {
    const reason = whyNotTls(row.record)
    if (reason === null) continue
    const one = found.get(row.domain) ?? { messages: new Set(), reason }
    one.messages.add(row.message)
    found.set(row.domain, { ...one, reason })
  }
  return new Map([...found].map(([name, { messages, reason }]) => [name, { count: messages.size, since, reason }]))
}

function whyNotTls(record: string): Reason | null {
  const { steps = [] } = JSON.parse(record) as { readonly steps?: readonly StepResult[] }
  const refused = steps.find(({ method, result, reason }) => method === 'tls' && result === 'unsuitable' && !ofMessage.includes(reason))
  return refused?.reason ?? null
}
