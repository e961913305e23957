/** Notices when the clock of the machine jumps ahead: what cannot be undone waits until the new time is believed. */
import type { Logger } from 'pino'
import type { Clock } from './clock.ts'

export type ClockWatch = {
  /** False for a day after the clock has jumped ahead by more than an hour, unless it comes back: meanwhile nothing is ended for its age. */
  readonly believed: () => boolean
}

const hour = 3_600_000
/** Corrections of this size are everyday; letters and mail live for days. */
const tolerated = hour
/** Time for a person to see the alarm and set the clock right. */
const disbelief = 24 * hour
/** A machine that was off for longer than this may as well have a wrong clock. */
const absence = 24 * hour

/**
 * `lastKnown`: when anything was last recorded, milliseconds since 1970, undefined for a new installation; `steady`: milliseconds of a clock
 * that nobody sets, but that may stand still while the machine sleeps.
 */
export function watchClock({
  clock,
  lastKnown,
  log,
  steady = () => performance.now(),
}: {
  readonly clock: Clock
  readonly lastKnown: number | undefined
  readonly log: Pick<Logger, 'error' | 'info'>
  readonly steady?: () => number
}): ClockWatch {
  const away = lastKnown === undefined ? 0 : clock() - lastKnown
  let reference = clock() - steady() - (away > absence ? away : 0)
  let since: number | undefined

  const believe = () => {
    reference = clock() - steady()
    since = undefined
    return true
  }

  return {
    believed: () => {
      const ahead = clock() - steady() - reference
      if (ahead <= tolerated) {
        if (since !== undefined) log.info('the clock is back; the age of letters and mail counts again')
        return believe()
      }
      since ??= tell(ahead)
      return steady() - since > disbelief ? believe() : false
    },
  }

  function tell(ahead: number): number {
    log.error(
      { hours: Math.round(ahead / hour) },
      'the clock has jumped ahead, or the gateway was away: for a day no letter and no mail is ended for its age; set the clock right if it is wrong',
    )
    return steady()
  }
}
