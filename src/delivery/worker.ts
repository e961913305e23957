/** The delivery worker: claims what is due, walks it along its plan, settles it. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { within } from '../ops/within.ts'
import { bringNear, claimDue, dropClaims, type Group, nextDue, renewClaim } from '../spool/claim.ts'
import { type DueGroup, dueGroups, type Wanted } from '../spool/due.ts'
import type { SpoolParts } from '../spool/parts.ts'
import type { Courier } from '../spool/spool.ts'
import { Unexpected } from '../store/db.ts'
import { sharedRoutes } from '../transport/destinations.ts'
import { createTurns, type Leave } from './turns.ts'

export type WorkerParts = {
  readonly spoolParts: SpoolParts
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  /** How many attempts at a domain may be under way at once (transport: destinations). */
  readonly room: (domain: string) => number
  /** Plan a group that is not claimed yet; the answer is its `deliver`. Nothing is written or sent before that is called. Absent: nobody plans ahead. */
  readonly foresee?: ((group: Group) => Delivery) | undefined
  /** Attempt one claimed group and settle it; what asks its destination for something waits for `turn`, and ends it when that is over. */
  readonly deliver: (group: Group, ...when: Parameters<Delivery>) => Promise<void>
}

type Delivery = (signal: AbortSignal, turn: () => Promise<Leave>) => Promise<void>

export type Worker = Courier & {
  /** Stop claiming; resolves when what is under way has ended, or was given `grace` milliseconds and then broken off. */
  readonly stop: (grace: number) => Promise<void>
}

/** How long to look away at the most, milliseconds: another process may have made something due. */
const longestSleep = 5000
/** How long a broken-off attempt may take to end, milliseconds. */
const lastMoments = 5000
/** How often to look whether mail that is being accepted has begun, milliseconds. */
const promised = 20
/** How often a claim is renewed while it holds. */
const renewals = 5
/** How often to look for mail that was put off by a wrong clock, milliseconds. */
const betweenNearings = 600_000
/** How long to look away when all places are taken, milliseconds. */
const whenFull = 250
/** The part of all places that one domain may have at most: a host that hangs must leave some to the others. */
const mostOfPlaces = 0.75
/** Places beyond `limits.deliveries` that only code mail gets. */
const codePlaces = 4
/** For each attempt that a destination takes at once one more group is claimed: it is opened and planned when its turn comes. */
const claimedAhead = 2
/** The part of its places that is to be free before more is claimed for a destination: many are claimed as fast as one. */
const refill = 1 / 4

/** Start delivering until stopped. */
export async function startWorker(parts: WorkerParts): Promise<Worker> {
  const { spoolParts, settings, clock, log } = parts
  const { db } = spoolParts
  if (!db.engine.shared) await dropClaims(spoolParts)
  await bringNear(spoolParts)
  const most = settings['limits.deliveries']
  const sharing = sharedRoutes(settings)
  /** What has a place: being attempted, or about to be. */
  const underway = new Set<DueGroup>()
  const attempts = new Map<Group, Promise<void>>()
  const breaking = new AbortController()
  let stopping = false
  let ring = () => {}
  let rung = false
  /** The destinations whose mail waits in the queue for a place, as of the last look; all: nobody knows which. New mail must not overtake it. */
  let behind: 'all' | ReadonlySet<string> = 'all'
  const turns = createTurns(parts.room, sharing.nameOf)
  /** Those under way whose attempt is over and whose result is being written: they take no place at their destination. */
  const settling = new Set<DueGroup>()

  const run = (place: DueGroup, group: Group, delivery: Delivery = (...when) => parts.deliver(group, ...when)) => {
    const turn = async (): Promise<Leave> => {
      // Its reader waits: it has places of its own, at its destination too.
      if (group.message.kind === 'code') return leaving(() => {})
      const asked = clock()
      const leave = await turns.take(place.domain)
      if (clock() - asked < settings['limits.claim'] / renewals) return leaving(leave)
      // While the database was away, or we were stopped, others may have taken it over; or it was withdrawn.
      const ours = await renewClaim(spoolParts, group).catch((error: unknown) => {
        leave()
        throw error
      })
      if (ours) return leaving(leave)
      leave()
      throw new Unexpected('others have the claim')
    }
    const leaving =
      (leave: Leave): Leave =>
      () => {
        leave()
        settling.add(place)
        if (behind !== 'all' && behind.has(sharing.nameOf(place.domain)) && needsRefill(place)) wake()
      }
    const attempt = delivery(breaking.signal, turn)
      .catch((error: unknown) => tellFault(log, group, error))
      .finally(() => {
        group.fresh?.done?.()
        attempts.delete(group)
        settling.delete(place)
        underway.delete(place)
        if (behind === 'all' || (behind.has(sharing.nameOf(place.domain)) && needsRefill(place))) wake()
      })
    attempts.set(group, attempt)
  }

  const renewal = setInterval(() => {
    for (const group of attempts.keys())
      renewClaim(spoolParts, group).catch((error) => log.error({ err: error }, 'a claim could not be renewed'))
  }, settings['limits.claim'] / renewals).unref()

  const nearing = setInterval(() => {
    bringNear(spoolParts).catch((error) => log.error({ err: error }, 'mail put off by a wrong clock could not be looked for'))
  }, betweenNearings).unref()

  const wake = () => {
    rung = true
    ring()
    // Mail came in, and our hands are full: another process may have a hand free.
    if (underway.size >= most) db.wakeOthers()
  }
  const deafen = db.onWake(() => {
    if (underway.size < most) wake()
  })

  const sleep = async () => {
    if (rung) return
    const due = (await nextDue(spoolParts)) ?? Number.POSITIVE_INFINITY
    // What is due and was not taken waits for a place: the end of an attempt rings.
    const wait = due <= clock() ? whenFull : Math.max(20, Math.min(due - clock(), longestSleep))
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait)
      ring = () => {
        clearTimeout(timer)
        resolve()
      }
      if (rung) ring()
    })
  }

  const room = (domain: string) => Math.min(claimedAhead * parts.room(domain), Math.max(1, Math.floor(mostOfPlaces * most)))

  /** How many are at a destination, or will be. */
  const countAt = (name: string) => {
    let count = 0
    for (const place of underway) if (!settling.has(place) && sharing.nameOf(place.domain) === name) count++
    return count
  }
  const isFull = ({ domain }: DueGroup) => countAt(sharing.nameOf(domain)) >= room(domain)
  const needsRefill = ({ domain }: DueGroup) => {
    const most = room(domain)
    return countAt(sharing.nameOf(domain)) <= most - Math.max(1, Math.floor(refill * most))
  }
  /** What is being settled has left its destination. */
  const roomBeside = (domain: string) => {
    const name = sharing.nameOf(domain)
    let more = 0
    for (const place of settling) if (sharing.nameOf(place.domain) === name) more++
    return room(domain) + more
  }

  /** Claim what is due, with its places taken before anything is awaited. Returns how many were begun. */
  const claimUpTo = async (limit: number, wanted: Wanted): Promise<number> => {
    if (limit <= 0) return 0
    const due = await dueGroups(db, clock(), limit, { ...wanted, underway: [...underway] })
    for (const place of due) underway.add(place)
    const groups = await claimDue(spoolParts, due).catch((error: unknown) => {
      for (const place of due) underway.delete(place)
      throw error
    })
    due.forEach((place, index) => {
      const group = groups[index]
      if (group === undefined) underway.delete(place)
      else run(place, group)
    })
    return groups.filter((group) => group !== undefined).length
  }

  /** Code mail has places of its own: a reader waits for it. Returns how many groups were begun. */
  const claimSome = async (): Promise<number> => {
    const codes = await claimUpTo(most + codePlaces - underway.size, { codesOnly: true })
    const places = most - underway.size
    const others = await claimUpTo(places, { room: roomBeside, sharing })
    behind = others < places ? new Set([...underway].filter(isFull).map(({ domain }) => sharing.nameOf(domain))) : 'all'
    return codes + others
  }

  const loop = async () => {
    while (!stopping) {
      rung = false
      try {
        if ((await claimSome()) === 0 || underway.size >= most) await sleep()
      } catch (error) {
        log.error({ err: error }, 'the queue could not be read; trying again in a second')
        await new Promise((resolve) => setTimeout(resolve, 1000))
      }
    }
  }
  const looping = loop()

  return {
    wake,
    berth: (place) => {
      const isBehind = behind === 'all' || behind.has(sharing.nameOf(place.domain))
      if (stopping || isBehind || underway.size >= most || isFull(place)) return undefined
      underway.add(place)
      let delivery: Delivery | undefined
      return {
        foresee: (group) => {
          delivery = parts.foresee?.(group)
        },
        begin: (group) => run(place, group, delivery),
        leave: () => void underway.delete(place),
      }
    },
    stop: async (grace) => {
      stopping = true
      deafen()
      wake()
      await looping
      clearInterval(renewal)
      clearInterval(nearing)
      let waiting = true
      // What was promised a place just before is not among the attempts yet.
      const ended = (async () => {
        while (waiting && underway.size > 0) await Promise.race([...attempts.values(), pause(promised)])
      })()
      if (await within(breaking.signal.aborted ? 0 : grace, ended)) return
      breaking.abort()
      turns.open()
      if (await within(lastMoments, ended)) return
      waiting = false
      log.error({ attempts: attempts.size }, 'attempts that do not end are left alone: their claims lapse, and their mail stays')
    },
  }
}

/** An attempt that threw is a bug of ours, or the claim was lost; either way the claim lapses and the mail stays. */
function tellFault(log: Logger, group: Group, error: unknown): void {
  const mail = { message: group.message.id, domain: group.domain }
  if (error instanceof Unexpected) log.warn(mail, 'the claim was lost before the attempt ended; its result is not recorded')
  else log.error({ ...mail, err: error }, 'an attempt broke off; the message stays in the queue')
}
