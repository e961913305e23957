/** When a server has done all that a load left behind. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Account } from './account.ts'

/** What is written once a second (our audit chain) must have come by. */
const atLeast = 1100
const look = 200
/** Of a processor: whoever uses less for the time of a look is at rest. */
const share = 0.1

/** CPU seconds used when the server is at rest, at the latest after `limit` milliseconds. */
export async function cpuAtRest(account: Account, limit = 3000): Promise<number> {
  const end = performance.now() + limit
  await pause(atLeast)
  let seconds = account.cpuSeconds()
  while (performance.now() < end) {
    const before = seconds
    await pause(look)
    seconds = account.cpuSeconds()
    if (seconds - before < (share * look) / 1000) break
  }
  return seconds
}
