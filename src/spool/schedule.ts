/** When a deferred step is tried again, and when patience ends: pure arithmetic over milliseconds. */
import type { Retry } from '../mail/outcome.ts'

export type Deferral = {
  readonly retry: Retry
  /** Attempts of this step so far, the one just made included. */
  readonly stepAttempts: number
  /** First attempt of this step. */
  readonly stepSince: number
  readonly acceptedAt: number
  readonly now: number
  /** `retry.schedule`: the first waits; then ×1.5 up to four hours. */
  readonly schedule: readonly number[]
  readonly lifetime: number
  /** 0 ≤ jitter < 1, spread to ±20 % so that a dead destination is not hit by all its mail at once. */
  readonly jitter: number
}

export type Next = { readonly kind: 'again'; readonly at: number } | { readonly kind: 'over'; readonly then: 'unsuitable' | 'failed' }

/** The next attempt of a deferred step, or the end of its patience. */
export function nextAttempt(deferral: Deferral): Next {
  const { retry, stepSince, acceptedAt, now, lifetime } = deferral
  const end = retry.then === 'unsuitable' ? stepSince + (retry.until ?? lifetime) : acceptedAt + (retry.until ?? lifetime)
  if (retry.offsets !== undefined) return nextRound(retry.offsets, retry.then, deferral)
  if (now >= end) return { kind: 'over', then: retry.then }
  return { kind: 'again', at: Math.min(now + ordinaryWait(deferral), end) }
}

/** Rounds at fixed offsets after the first attempt; rounds that were slept through are not made up for. */
function nextRound(offsets: readonly number[], then: Retry['then'], { stepSince, stepAttempts, now }: Deferral): Next {
  const next = offsets.find((offset, round) => round >= stepAttempts && stepSince + offset > now)
  return next === undefined ? { kind: 'over', then } : { kind: 'again', at: stepSince + next }
}

const longestWait = 4 * 60 * 60_000

function ordinaryWait({ schedule, stepAttempts, jitter }: Deferral): number {
  const listed = schedule[stepAttempts - 1]
  const last = schedule.at(-1) ?? 300_000
  const wait = listed ?? Math.min(last * 1.5 ** (stepAttempts - schedule.length), Math.max(longestWait, last))
  return Math.round(wait * (0.8 + 0.4 * jitter))
}
