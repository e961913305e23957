/** 100,000 messages waiting for a host that is down: the rate of all others, and how soon a restart accepts. */
import { openAccount } from '../machine/account.ts'
import { cpuAtRest } from '../machine/rest.ts'
import type { Contestant } from '../measure.ts'
import { median, rounded } from '../statistics.ts'
import { freePort } from '../tools.ts'
import { type Figure, leave, startOurs, type Trial, type TrialParts } from './trial.ts'

/** Slow machines get fewer of them. */
const mostSeconds = 240
/** Milliseconds until the figures are taken all the same. */
const mostRest = 120_000

export const waiting: Trial = {
  name: 'waiting',
  about: '100,000 messages waiting: the rate of others, and the restart after kill -9',
  run: async (parts) => {
    const down = await freePort()
    const sink = (port: number) => ({ host: 'localhost', port, tls: 'verified' })
    const started = await startOurs('waiting', parts, (next) => ({ 'delivery.routes': { '*': sink(next), 'down.example': sink(down) } }))
    let now = started
    try {
      await rateOfOthers(now, parts)
      const empty = { rate: await rateOfOthers(now, parts), restart: await restart(now, parts) }
      now = empty.restart.contestant
      const messages = Math.ceil(100_000 * parts.scale)
      parts.say(`  ${messages} messages for a host that is down …`)
      const load = {
        at: now.peer.at,
        sessions: 100,
        messages,
        octets: 2048,
        kept: true,
        recipient: 'rcpt%d@down.example',
        seconds: mostSeconds,
      }
      const filled = await parts.tool.generate(load)
      // Each of them is tried once before it waits.
      const begun = performance.now()
      await cpuAtRest(now.account, mostRest)
      const rest = rounded((performance.now() - begun) / 1000, 0)
      await rateOfOthers(now, parts) // it has been started anew, and has delivered nothing since: as warm as when nothing waited
      const full = { rate: await rateOfOthers(now, parts), restart: await restart(now, parts) }
      now = full.restart.contestant
      return [
        figure('waiting', filled.accepted, 'messages'),
        figure('accepted meanwhile', rounded(filled.rate, 0), 'msg/s'),
        figure('all tried once and put off, after the last 250', rest, 's'),
        figure('others, nothing waiting', rounded(empty.rate, 1), 'msg/s'),
        figure('others, all these waiting', rounded(full.rate, 1), 'msg/s'),
        figure('others, in proportion', rounded(full.rate / empty.rate, 2), '×'),
        figure('from kill -9 and start to the first 250, nothing waiting', empty.restart.milliseconds, 'ms'),
        figure('from kill -9 and start to the first 250', full.restart.milliseconds, 'ms'),
      ]
    } finally {
      await leave(now)
    }
  },
}

/** 20 KB on 20 kept sessions, end to end, messages a second: the middle of three. */
async function rateOfOthers({ peer, ground }: Contestant, { tool, scale }: TrialParts): Promise<number> {
  const messages = Math.max(200, Math.ceil(600 * scale))
  const rates: number[] = []
  for (let times = 0; times < 3; times++) {
    await ground.sink.reset()
    const generated = await tool.generate({ at: peer.at, sessions: 20, messages, octets: 20_480, kept: true })
    const counted = await ground.sink.all(messages)
    if (counted.messages < messages) throw new Error(`of ${messages} messages ${counted.messages} arrived while others wait`)
    rates.push(counted.messages / ((counted.last - generated.started) / 1e9))
  }
  return median(rates)
}

/** Kill it, start it on the same folder, and send it a message. */
async function restart(
  contestant: Contestant,
  { tool, certificates }: TrialParts,
): Promise<{ contestant: Contestant; milliseconds: number }> {
  const { kind, peer, ground, account } = contestant
  for (const pid of account.pids()) process.kill(pid, 'SIGKILL')
  await account.close()
  const fresh = openAccount('restarted')
  const begun = performance.now()
  const again = await kind.start({ folder: peer.folder, authority: certificates.authority, next: ground.next, account: fresh })
  const { accepted } = await tool.generate({ at: again.at, sessions: 1, messages: 1, octets: 4096, kept: false })
  if (accepted !== 1) throw new Error('after the restart nothing is accepted')
  return { contestant: { kind, peer: again, ground, account: fresh }, milliseconds: Math.round(performance.now() - begun) }
}

const figure = (name: string, value: number, unit: string): Figure => ({ trial: 'waiting', name, value, unit })
