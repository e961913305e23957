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
  /** The name that all other domains have, where one route takes everything. */
  readonly rest: string | undefined
}

const sharingNothing: Sharing = { nameOf: (domain) => domain, named: [], rest: undefined }

/** Up to `limit` groups that are due at `now`, in the order in which they should be begun. */
export async function dueGroups(db: Db, now: number, limit: number, wanted: Wanted): Promise<DueGroup[]> {
  const { underway = [], room = () => Number.POSITIVE_INFINITY, sharing = sharingNothing, codesOnly = false } = wanted
  const counts = counted(underway.map(({ domain }) => sharing.nameOf(domain)))
  const begun = new Set([...underway.map(({ domain }) => domain), ...sharing.named])
  const isFull = (domain: string) => countOf(counts, sharing.nameOf(domain)) >= room(domain)
  const full = [...begun].filter(isFull)
  // A smarthost that is full leaves only the domains that do not go there.
  const only = underway.some(({ domain }) => sharing.nameOf(domain) === sharing.rest && isFull(domain))
    ? sharing.named.filter((domain) => !isFull(domain))
    : undefined
  if (only?.length === 0) return []
  // Some of what is found may be under way or meet a domain that has just become full.
  const found = await db.read<DueGroup>(dueStatement(now, 4 * limit + underway.length, only ? { only } : { full }, codesOnly))
  const free = found.filter((group) => !underway.some((one) => one.message === group.message && one.domain === group.domain))
  return inTurn(free, limit, underway, { room, sharing })
}

/** Each sender's mail in turns over its domains, the senders side by side: whoever sends one mail never waits for ten thousand of another. */
function dueStatement(
  now: number,
  most: number,
  which: { readonly full: readonly string[] } | { readonly only: readonly string[] },
  codesOnly: boolean,
): Statement {
  const listed = 'only' in which ? which.only : which.full
  const places = listed.map((_, i) => `$${i + 3}`).join(', ')
  const others = listed.length === 0 ? '' : `AND domain ${'only' in which ? 'IN' : 'NOT IN'} (${places})`
  const text = `
    SELECT message, domain, sender FROM (
      SELECT message, domain, sender, due, ROW_NUMBER() OVER (PARTITION BY sender ORDER BY place, due) AS turn FROM (
        SELECT message, domain, sender, due, ROW_NUMBER() OVER (PARTITION BY domain, sender ORDER BY due) AS place FROM (
          SELECT recipient.message, recipient.domain, message.header_from AS sender, MIN(recipient.next_attempt_at) AS due
          FROM recipient JOIN message ON message.id = recipient.message
          WHERE state = 'waiting' AND next_attempt_at <= $1 AND claimed_until <= $1 ${codesOnly ? "AND message.kind = 'code'" : ''} ${others}
            AND (unended < 2 OR NOT EXISTS (SELECT 1 FROM recipient AS other WHERE other.state = 'waiting' AND other.unended >= 2 AND other.claimed_until > $1))
          GROUP BY recipient.message, recipient.domain, message.header_from) AS due_groups) AS placed) AS turns
    ORDER BY turn, due LIMIT $2`
  return { text, values: [now, most, ...listed] }
}

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
