/** Looks once a day at every domain that was written to lately, keeps what it saw, and tells when a domain got worse or better. */
import type { Logger } from 'pino'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { Policy } from '../routing/policy.ts'
import type { Db } from '../store/db.ts'
import { routeOf } from '../transport/next-hop.ts'
import type { ProbeOptions } from '../transport/probe.ts'
import { checkDomain } from './check-domain.ts'
import { dueDomains, enlist, forgetProbes, keepProbe, postpone, writtenTo } from './history.ts'

export type ProbesParts = {
  readonly settings: Settings
  readonly db: Db
  readonly clock: Clock
  readonly log: Logger
  /** The policy in force, for what would be done with mail. */
  readonly policy: () => Promise<Policy>
  /** 0 to 1. */
  readonly random?: () => number
  readonly probing?: Pick<ProbeOptions, 'resolver' | 'stsPort' | 'whole'>
}

export type Probes = {
  /** No new probe; those under way are broken off. */
  readonly stop: () => Promise<void>
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
/** spec admin: written to in the last 30 days. */
const writtenWithin = 30 * day
/** Like decision records. */
const keptFor = 400 * day
const atOnce = 2
const mostInOneRound = 50

/** Look for what is due every `interval` milliseconds. */
export function startProbes(parts: ProbesParts, interval = minute): Probes {
  const stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()
  let busy = false
  // All of 30 days once; then only what came since the last look, with some overlap.
  let lookFrom: number | undefined
  const round = async () => {
    const started = parts.clock()
    await probeDue(parts, stopping.signal, lookFrom)
    lookFrom = started - interval
  }
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    running = round()
      .catch((error) => parts.log.error({ err: error }, 'the daily probes failed'))
      .finally(() => {
        busy = false
      })
  }, interval)
  timer.unref()
  return {
    stop: async () => {
      clearInterval(timer)
      stopping.abort()
      await running
    },
  }
}

/**
 * One round: enlist the domains written to since `lookFrom` (default: 30 days ago), probe what is due. Answers how many were probed.
 * Rejects only when the database fails.
 */
export async function probeDue(parts: ProbesParts, signal: AbortSignal = new AbortController().signal, lookFrom?: number): Promise<number> {
  const { db, clock, settings, random = Math.random } = parts
  const now = clock()
  const since = now - writtenWithin
  const written = (await writtenTo(db, lookFrom ?? since)).filter(({ domain }) => isTheirs(domain, settings))
  // Five minutes to an hour from now: a first message to a hundred domains is no reason to call on all of them at once.
  if (written.length > 0) await db.write(...written.map((one) => enlist(one, now + 5 * minute + Math.round(random() * 55 * minute))))
  const due = await dueDomains(db, now, since, mostInOneRound)
  const left = [...due]
  const work = async () => {
    for (let domain = left.shift(); domain !== undefined && !signal.aborted; domain = left.shift()) {
      // A route was set since it was enlisted.
      if (isTheirs(domain, settings)) await probeOne(domain, parts, signal)
      else await db.write(postpone(domain, now + day))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  if (due.length > 0) await db.write(forgetProbes(now - keptFor))
  return due.length - left.length
}

/** Not where the admin says where mail goes, nor the organisation's own domains. */
const isTheirs = (domain: string, settings: Settings): boolean =>
  routeOf(domain, settings) === undefined && !settings['organisation.domains'].includes(domain) && !domain.startsWith('[')

async function probeOne(domain: string, parts: ProbesParts, signal: AbortSignal): Promise<void> {
  const { db, settings, clock, log, policy, random = Math.random, probing = {} } = parts
  const checked = await checkDomain(domain, { settings, db, clock, policy: await policy() }, { ...probing, signal })
  // Broken off by our own stop: what was seen says nothing.
  if (signal.aborted) return
  if (checked.kind !== 'checked') {
    log.warn({ domain, why: checked.text }, 'a daily probe could not be made; it is tried again in an hour')
    await db.write(postpone(domain, clock() + hour))
    return
  }
  const { check } = checked
  // A day, give or take two hours: nobody is called on at the same minute by all of us.
  const { change, from, to } = await keepProbe(db, check, clock() + day + Math.round((random() - 0.5) * 4 * hour))
  if (change === 'downgraded')
    log.warn({ domain, from, to, reason: check.reason, advice: check.advice }, 'domain downgraded: its TLS proves less than before')
  if (change === 'recovered') log.warn({ domain, from, to }, 'domain recovered: its TLS proves as much as before')
}
