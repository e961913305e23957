/** Chooses what is attempted next: no sender and no destination may hold up the mail of the others. */
import type { Db, Statement } from '../store/db.ts'

/** A message and one domain of its recipients. */
export type DueGroup = { readonly message: string; readonly domain: string /** The author's address. */; readonly sender: string }

/** What the claimant is at already, and what it wants. */
export type Wanted = {
  /**
   * Groups that this process still attempts. They are left alone also when their claim has lapsed because the clock jumped or the machine
   * slept.
   */
  readonly underway?: readonly DueGroup[]
  /** How many groups of a domain, and of those it shares a route with, at most, those under way included: a slow host must not hold up all mail. */
  readonly room?: (domain: string) => number
  /** Which domains count as one for `room`; absent: each for itself. */
  readonly sharing?: Sharing
  /** Code mail only: its readers sit and wait. */
  readonly codesOnly?: boolean
}

/** Domains that mail goes to by one route. */
export type Sharing = {
  /** The name of what the domain shares; its own where it shares nothing. */
  readonly nameOf: (domain: string) => string
  /** The domains with a route of their own. */
  readonly named: readonly string[]
}

const sharingNothing: Sharing = { nameOf: (domain) => domain, named: [] }

/** Up to `limit` groups that are due at `now`, in the order in which they should be begun. */
export async function dueGroups(db: Db, now: number, limit: number, wanted: Wanted): Promise<DueGroup[]> {
  const { underway = [], room = () => Number.POSITIVE_INFINITY, sharing = sharingNothing, codesOnly = false } = wanted
  const oldest = await oldestDue(db, now, { most: Math.min(lookAhead * limit, mostLookedAt) + underway.length, codesOnly })
  const found = oldest.whole ? oldest.groups : [...oldest.groups, ...(await ofLanes(db, now, sharing.named))]
  const taken = new Set(underway.map(keyOf))
  const free = new Map(found.map((group) => [keyOf(group), group]))
  for (const key of taken) free.delete(key)
  return inTurn([...free.values()], limit, underway, { room, sharing })
}

const keyOf = ({ message, domain }: DueGroup) => `${message} ${domain}`

/** Rows looked at for each place: some meet a domain that is full or belong to one message. */
const lookAhead = 4
const mostLookedAt = 200

/**
 * A message that was under way at two crashes is not begun beside another such one (claim.ts): only the first of them is due, and none while
 * one is attempted. All of them would take the places of mail that may be begun.
 */
const aloneIfSuspect = `(unended < 2 OR (
  message = (SELECT first.message FROM recipient AS first WHERE first.state = 'waiting' AND first.unended >= 2
    AND first.next_attempt_at <= $1 AND first.claimed_until <= $1 ORDER BY first.next_attempt_at, first.message LIMIT 1)
  AND NOT EXISTS (SELECT 1 FROM recipient AS other WHERE other.state = 'waiting' AND other.unended >= 2 AND other.claimed_until > $1)))`

const isDue = `state = 'waiting' AND next_attempt_at <= $1 AND claimed_until <= $1 AND ${aloneIfSuspect}`

/** What has been due for longest. `whole`: that is all there is. */
async function oldestDue(
  db: Db,
  now: number,
  { most, codesOnly }: { readonly most: number; readonly codesOnly: boolean },
): Promise<{ readonly groups: readonly DueGroup[]; readonly whole: boolean }> {
  const groups = await db.read<DueGroup>({
    text: `SELECT message, domain, sender FROM recipient WHERE ${isDue}${codesOnly ? ' AND code = 1' : ''} ORDER BY next_attempt_at LIMIT $2`,
    values: [now, most],
  })
  return { groups, whole: groups.length < most }
}

/** Lanes visited in one look, when more is due than is looked through. */
const lanesAtOnce = 100

/** Where the next look goes on, so that every lane has its turn. */
const reached = new WeakMap<Db, Lane>()

/** The mail of one author to one domain. */
type Lane = { readonly domain: string; readonly sender: string }

/**
 * The first message due of each of the next lanes, and of those that go a way of their own (`named`): among a hundred thousand messages of one
 * author, or for one host, the one of another is found at once or a few looks later, without reading them all.
 */
async function ofLanes(db: Db, now: number, named: readonly string[]): Promise<DueGroup[]> {
  const from = reached.get(db) ?? { domain: '', sender: '' }
  const lanes = await db.read<Lane & { message: string | null }>(lanesStatement(now, from, lanesAtOnce))
  const last = lanes.at(-1)
  reached.set(
    db,
    last === undefined || lanes.length < lanesAtOnce ? { domain: '', sender: '' } : { domain: last.domain, sender: last.sender },
  )
  const own = await Promise.all(named.slice(0, lanesAtOnce).map((domain) => db.read<DueGroup>(firstOf(domain, now))))
  const visited = lanes.flatMap(({ domain, sender, message }) => (message === null ? [] : [{ message, domain, sender }]))
  return [...visited, ...own.flat()]
}

/** From lane to lane by the index alone, like leafing from heading to heading. */
const lanesStatement = (now: number, { domain, sender }: Lane, most: number): Statement => ({
  text: `
    WITH RECURSIVE lane (domain, sender) AS (
      SELECT domain, sender FROM recipient WHERE id = ${laneAfter('$2', '$3')}
      UNION ALL
      SELECT recipient.domain, recipient.sender FROM lane JOIN recipient ON recipient.id = ${laneAfter('lane.domain', 'lane.sender')})
    SELECT domain, sender, (SELECT message FROM recipient WHERE ${isDue} AND recipient.domain = lane.domain AND recipient.sender = lane.sender
      ORDER BY next_attempt_at LIMIT 1) AS message
    FROM lane LIMIT $4`,
  values: [now, domain, sender, most],
})

/** A row of the next lane: SQLite would read all of this one for `(domain, sender) > (…, …)`. */
const laneAfter = (domain: string, sender: string) => `COALESCE(
  (SELECT id FROM recipient WHERE state = 'waiting' AND domain = ${domain} AND sender > ${sender} ORDER BY sender LIMIT 1),
  (SELECT id FROM recipient WHERE state = 'waiting' AND domain > ${domain} ORDER BY domain, sender LIMIT 1))`

const firstOf = (domain: string, now: number): Statement => ({
  text: `SELECT message, domain, sender FROM recipient WHERE ${isDue} AND domain = $2 ORDER BY domain, sender, next_attempt_at LIMIT 5`,
  values: [now, domain],
})

/** Whoever has the least under way comes first: of the senders, then of the domains; then in the order found. */
function inTurn(
  found: readonly DueGroup[],
  limit: number,
  underway: readonly DueGroup[],
  { room, sharing: { nameOf } }: Required<Pick<Wanted, 'room' | 'sharing'>>,
): DueGroup[] {
  const senders = counted(underway.map(({ sender }) => sender))
  const domains = counted(underway.map(({ domain }) => domain))
  const shared = counted(underway.map(({ domain }) => nameOf(domain)))
  const chosen: DueGroup[] = []
  const left = new Set(found)
  while (chosen.length < limit) {
    let best: DueGroup | undefined
    for (const group of left) {
      if (countOf(shared, nameOf(group.domain)) >= room(group.domain)) left.delete(group)
      else if (best === undefined || isBefore(group, best)) best = group
    }
    if (best === undefined) break
    left.delete(best)
    chosen.push(best)
    senders.set(best.sender, countOf(senders, best.sender) + 1)
    domains.set(best.domain, countOf(domains, best.domain) + 1)
    shared.set(nameOf(best.domain), countOf(shared, nameOf(best.domain)) + 1)
  }
  return chosen

  function isBefore(one: DueGroup, other: DueGroup): boolean {
    const [a, b] = [countOf(senders, one.sender), countOf(senders, other.sender)]
    return a !== b ? a < b : countOf(domains, one.domain) < countOf(domains, other.domain)
  }
}

const countOf = (counts: ReadonlyMap<string, number>, name: string): number => counts.get(name) ?? 0

function counted(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, countOf(counts, name) + 1)
  return counts
}
