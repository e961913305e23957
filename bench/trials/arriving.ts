/** Many messages of 25 MB arriving on 100 connections at once: none may be lost, and memory must stay within bounds. */
import { forgetPeaks, memoryOf } from '../machine/account.ts'
import { rounded } from '../statistics.ts'
import { type Figure, leave, startOurs, type Trial } from './trial.ts'

/** Slow machines get fewer of them. */
const mostSeconds = 240
const octets = 25 * 1024 * 1024

export const arriving: Trial = {
  name: 'arriving',
  about: '1,000 messages of 25 MB on 100 connections: memory',
  run: async (parts) => {
    const contestant = await startOurs('arriving', parts, () => ({}))
    try {
      const { peer, account, ground } = contestant
      const messages = Math.max(100, Math.ceil(1000 * parts.scale))
      forgetPeaks(account)
      const generated = await parts.tool.generate({ at: peer.at, sessions: 100, messages, octets, kept: true, seconds: mostSeconds })
      const counted = await ground.sink.all(generated.accepted)
      const megabytes = (counted.messages * octets) / 1e6
      return [
        figure('messages of 25 MB', generated.accepted + generated.failed, 'messages'),
        figure('refused or lost', generated.failed + Math.max(0, generated.accepted - counted.messages), 'messages'),
        figure('highest resident set', rounded(memoryOf(account).peak, 0), 'MB'),
        figure('through', rounded(megabytes / ((counted.last - generated.started) / 1e9), 0), 'MB/s'),
      ]
    } finally {
      await leave(contestant)
    }
  },
}

const figure = (name: string, value: number, unit: string): Figure => ({ trial: 'arriving', name, value, unit })
