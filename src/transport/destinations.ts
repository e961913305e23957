/** What is known of each destination just now: whether it is down, and how many attempts at once it takes. */
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { Sharing } from '../spool/due.ts'
import { routeOf } from './next-hop.ts'
import type { Settled } from './transaction.ts'
import type { Row, Trouble } from './trouble.ts'

export type Destinations = {
  /** How many attempts at the domain may be under way at once. */
  readonly room: (domain: string) => number
  /** The trouble with which all of its candidates were found unreachable a moment ago; undefined: try. */
  readonly down: (domain: string) => Trouble | undefined
  /** Learn from an attempt that was made and not broken off. */
  readonly learn: (domain: string, attempt: Attempted) => void
}

/** What an attempt came to. */
export type Attempted = { readonly settled: Iterable<Settled>; readonly troubles: readonly Trouble[] }

type Known = { readonly room: number; readonly down?: { readonly since: number; readonly trouble: Trouble } }

// spec transport "Pool": concurrency 5 → 20, down for 5 minutes.
const roomAtFirst = 5
const mostRoom = 20
const longestDown = 5 * 60_000
/** Messages for a destination that is down which are told so in a quarter of a second: a hundred thousand must not keep the processor busy with it. */
const toldAtOnce = 5
const toldWithin = 250
/** Destinations remembered; the one that was heard of longest ago is forgotten first. */
const mostKnown = 10_000

/** An empty memory: every destination is up. It lives as long as the process. */
export function createDestinations(settings: Pick<Settings, 'delivery.routes' | 'retry.schedule'>, clock: Clock): Destinations {
  const known = new Map<string, Known>()
  const { nameOf: keyOf } = sharedRoutes(settings)
  // A mail that is due again by the schedule (±20 %) is to be tried in earnest, not put off for another round.
  const downFor = Math.min(longestDown, 0.8 * (settings['retry.schedule'][0] ?? longestDown))

  /** How many were told, by destination, since when. */
  const told = new Map<string, { readonly since: number; readonly count: number }>()
  const toldOf = (key: string) => {
    const last = told.get(key)
    const ago = last === undefined ? toldWithin : clock() - last.since
    return last !== undefined && ago >= 0 && ago < toldWithin ? last : { since: clock(), count: 0 }
  }

  const downOf = (key: string): Trouble | undefined => {
    const down = known.get(key)?.down
    if (down === undefined) return undefined
    const ago = clock() - down.since
    return ago >= 0 && ago < downFor ? shared(down.trouble, ago) : undefined
  }

  return {
    room: (domain) => {
      const key = keyOf(domain)
      if (downOf(key) !== undefined) return Math.max(0, toldAtOnce - toldOf(key).count)
      return Math.floor(known.get(key)?.room ?? roomAtFirst)
    },
    down: (domain) => {
      const key = keyOf(domain)
      const down = downOf(key)
      const { since, count } = toldOf(key)
      if (down !== undefined) told.set(key, { since, count: count + 1 })
      return down
    },
    learn: (domain, attempt) => {
      const key = keyOf(domain)
      const next = after(known.get(key) ?? { room: roomAtFirst }, attempt, clock())
      known.delete(key)
      known.set(key, next)
      if (next.down === undefined) told.delete(key)
      const [oldest] = known.keys()
      if (known.size <= mostKnown || oldest === undefined) return
      known.delete(oldest)
      told.delete(oldest)
    },
  }
}

/** What domains share a destination: those with the same route. */
export function sharedRoutes(settings: Pick<Settings, 'delivery.routes'>): Sharing {
  const routes = settings['delivery.routes']
  // A route's name cannot be mistaken for a domain: it has a blank in it.
  const nameOfRoute = (route: (typeof routes)[string] | undefined) => route && `route ${route.host} ${route.port}`
  return {
    nameOf: (domain) => nameOfRoute(routeOf(domain, settings)) ?? domain,
    named: Object.keys(routes).filter((domain) => domain !== '*'),
  }
}

const shared = ({ row, text, evidence }: Trouble, ago: number): Trouble => ({
  row,
  text: `${text} (found ${Math.round(ago / 1000)} s ago with another message)`,
  evidence: { ...evidence, shared: true },
})

/** Slowly up with each success, down by half with each trouble that is the destination's and not one recipient's. */
function after({ room, down }: Known, { settled, troubles }: Attempted, now: number): Known {
  const answers = [...settled]
  const first = troubles[0]
  if (answers.length === 0 && first !== undefined && troubles.every(({ row }) => row === 'unreachable'))
    return { room: roomAtFirst, down: { since: now, trouble: first } }
  if (troubles.some(isStrain) || answers.some((answer) => answer.kind === 'refused' && isStrain(answer.trouble)))
    return { room: Math.max(1, room / 2) }
  if (answers.some(({ kind }) => kind === 'accepted')) return { room: Math.min(mostRoom, room + 1 / Math.floor(room)) }
  return answers.length > 0 ? { room } : { room, ...(down && { down }) }
}

const strains: readonly Row[] = ['remote-4yz', 'connection-lost', 'unreachable', 'tls-broken', 'starttls-4yz', 'in-doubt']
const isStrain = ({ row }: Trouble): boolean => strains.includes(row)
