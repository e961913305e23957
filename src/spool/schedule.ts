/** When a deferred step is tried again, and when patience ends: pure arithmetic over milliseconds. */
import type { Retry } from '../mail/outcome.ts'

/** Trouble of one kind (those whose retry is the same) at one step: its first deferral, and how many there were. */
export type Wait = { readonly kind: string; readonly since: number; readonly rounds: number }
export type Waits = readonly Wait[]

export type Deferral = {
  readonly retry: Retry
  /** The deferrals of this step by kind, the one just made included: the patience of one kind is not spent by another. */
  readonly waits: Waits
  /** Attempts of this step so far, the one just made included. */
  readonly stepAttempts: number
  /** First attempt of this step. */
  readonly stepSince: number
  readonly acceptedAt: number
  readonly now: number
  /** `retry.schedule`: the first waits; then ×1.5 up to four hours. */
  readonly schedule: readonly number[]
  /** Infinite while the clock is not believed. */
  readonly lifetime: number
  /** 0 ≤ jitter < 1, spread to ±20 % so that a dead destination is not hit by all its mail at once. */
  readonly jitter: number
}

export type Next = { readonly kind: 'again'; readonly at: number } | { readonly kind: 'over'; readonly then: 'unsuitable' | 'failed' }

/** The next attempt of a deferred step, or the end of its patience. */
export function nextAttempt(deferral: Deferral): Next {
  const { retry, now } = deferral
  if (retry.offsets !== undefined) return nextRound(retry.offsets, deferral)
  const end = endOf(deferral)
  if (now >= end) return { kind: 'over', then: retry.then }
  return { kind: 'again', at: Math.min(now + ordinaryWait(deferral), end) }
}

/** The same waits with one more deferral of this kind at `now`; one that began later began by a clock that was ahead. */
export function counted(waits: Waits, retry: Retry, now: number): Waits {
  const kind = kindOf(retry)
  const { since, rounds } = waits.find((wait) => wait.kind === kind) ?? { since: now, rounds: 0 }
  return [...waits.filter((wait) => wait.kind !== kind), { kind, since: Math.min(since, now), rounds: rounds + 1 }]
}

/** When patience ends, milliseconds since 1970: never later than the life of the message, unless another way is open. */
export function endOf({
  retry,
  waits,
  stepSince,
  acceptedAt,
  lifetime,
}: Omit<Deferral, 'stepAttempts' | 'now' | 'schedule' | 'jitter'>): number {
  const life = (retry.then === 'unsuitable' ? stepSince : acceptedAt) + lifetime
  const { since } = waits.find((wait) => wait.kind === kindOf(retry)) ?? { since: stepSince }
  return retry.until === undefined || isEndless(lifetime) ? life : Math.min(since + retry.until, life)
}

const kindOf = ({ offsets = [], until, then }: Retry): string => `${then} ${until ?? ''} ${offsets.join(',')}`

/**
 * Rounds at fixed offsets after the first deferral of the kind; rounds that were slept through are not made up for, unless the clock is not
 * believed.
 */
function nextRound(offsets: readonly number[], deferral: Deferral): Next {
  const { retry, waits, stepSince, now, lifetime } = deferral
  const { since, rounds } = waits.find((wait) => wait.kind === kindOf(retry)) ?? { since: stepSince, rounds: 1 }
  const next = offsets.find((offset, round) => round >= rounds && since + offset > now)
  if (next !== undefined) return { kind: 'again', at: since + next }
  if (isEndless(lifetime) && rounds < offsets.length) return { kind: 'again', at: now + ordinaryWait(deferral) }
  return { kind: 'over', then: retry.then }
}

/** Nobody knows how old anything is: nothing ends for its age. */
const isEndless = (lifetime: number): boolean => lifetime === Number.POSITIVE_INFINITY

/** Milliseconds between two ordinary attempts, where `retry.schedule` has no longer wait; ±20 %. */
export const longestWait = 4 * 60 * 60_000

function ordinaryWait({ schedule, stepAttempts, jitter }: Deferral): number {
  const listed = schedule[stepAttempts - 1]
  const last = schedule.at(-1) ?? 300_000
  const wait = listed ?? Math.min(last * 1.5 ** (stepAttempts - schedule.length), Math.max(longestWait, last))
  return Math.round(wait * (0.8 + 0.4 * jitter))
}
