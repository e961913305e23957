/** One measurement: one peer under one scenario once, with everything that is needed to believe it. */
import type { Ground } from './ground.ts'
import { type Account, forgetPeaks, memoryOf } from './machine/account.ts'
import { stolen, ticks } from './machine/noise.ts'
import { cpuAtRest } from './machine/rest.ts'
import type { Peer, PeerKind } from './peers/peer.ts'
import type { Scenario } from './scenarios.ts'
import { quantile, rounded } from './statistics.ts'
import type { Counted, Generated, Tool } from './tools.ts'

/** A peer that is up, with the ground that only its mail goes to. */
export type Contestant = { readonly kind: PeerKind; readonly peer: Peer; readonly account: Account; readonly ground: Ground }

/** One line of the results. Rates are messages a second, times milliseconds, memory megabytes. */
export type Row = {
  readonly peer: string
  readonly version: string
  readonly scenario: string
  readonly round: number
  readonly sent: number
  readonly accepted: number
  readonly failed: number
  /** Those whose host is not dead. */
  readonly expected: number
  readonly arrived: number
  /** Messages that came without TLS: must be 0. */
  readonly clear: number
  readonly connections: number
  readonly error?: string
  /** From the first connection to the last reply to the generator. */
  readonly acceptRate?: number
  readonly acceptP50?: number
  readonly acceptP99?: number
  /** From the first connection to the last message at the sink. */
  readonly endToEndRate?: number
  /** From opening the connection to the message's end at the sink; one message at a time. */
  readonly idleP50?: number
  readonly idleP99?: number
  /** Seconds of CPU of the whole peer for 1,000 messages, delivered. */
  readonly cpuPerThousand: number
  readonly memory: number
  readonly memoryPeak: number
  /** Percent of CPU time taken by the machine's host meanwhile, and what the calibration gave before and after. */
  readonly steal: number
  readonly calibration: number
}

/** Run a scenario once. Nothing is thrown for what the peer does wrong: the row says it. */
export async function measure(contestant: Contestant, whole: Scenario, round: number, tool: Tool): Promise<Row> {
  const { account, ground, kind } = contestant
  const scenario = { ...whole, messages: Math.max(whole.sessions, Math.round(whole.messages * (kind.share ?? 1))) }
  const before = await tool.calibrate(0.2, 2)
  await ground.sink.reset()
  forgetPeaks(account)
  const [cpu, noise] = [account.cpuSeconds(), ticks()]
  const run = await (scenario.idle ? oneByOne : allAtOnce)(contestant, scenario, tool)
  const memory = memoryOf(account)
  const steal = stolen(noise, ticks())
  const used = (await cpuAtRest(account)) - cpu
  const after = await tool.calibrate(0.2, 2)
  const { generated, counted } = run
  return {
    peer: kind.name,
    version: contestant.peer.version,
    scenario: scenario.name,
    round,
    sent: scenario.messages,
    accepted: generated.accepted,
    failed: generated.failed,
    expected: ground.reachable(generated.accepted),
    arrived: counted.messages,
    clear: counted.clear,
    connections: counted.connections,
    ...(generated.error === '' ? {} : { error: generated.error }),
    ...run.figures,
    cpuPerThousand: rounded((used / Math.max(1, counted.messages)) * 1000, 3),
    memory: rounded(memory.proportional, 0),
    memoryPeak: rounded(memory.peak, 0),
    steal: rounded(steal, 1),
    calibration: Math.round((before.perWall + after.perWall) / 2),
  }
}

type Run = { readonly generated: Generated; readonly counted: Counted; readonly figures: Partial<Row> }

async function allAtOnce({ peer, ground }: Contestant, scenario: Scenario, tool: Tool): Promise<Run> {
  const { sessions, messages, octets, kept } = scenario
  const { recipient, domains } = ground
  const generated = await tool.generate({ at: peer.at, sessions, messages, octets, kept, recipient, domains })
  const counted = await ground.sink.all(ground.reachable(generated.accepted))
  const figures = {
    acceptRate: rounded(generated.rate, 1),
    acceptP50: rounded(generated.p50, 2),
    acceptP99: rounded(generated.p99, 2),
    endToEndRate: rounded(counted.messages / ((counted.last - generated.started) / 1e9), 1),
  }
  return { generated, counted, figures }
}

async function oneByOne({ peer, ground }: Contestant, { messages, octets }: Scenario, tool: Tool): Promise<Run> {
  const times: number[] = []
  let last: { generated: Generated; counted: Counted } | undefined
  let accepted = 0
  for (let i = 1; i <= messages; i++) {
    const generated = await tool.generate({ at: peer.at, sessions: 1, messages: 1, octets, kept: false })
    accepted += generated.accepted
    const counted = await ground.sink.wait(accepted, 30_000)
    if (generated.accepted === 1) times.push((counted.last - generated.started) / 1e6)
    last = { generated: { ...generated, accepted, failed: i - accepted }, counted }
    await pause(50)
  }
  if (last === undefined) throw new Error('a scenario needs at least one message')
  const figures = { idleP50: rounded(quantile(times, 0.5), 2), idleP99: rounded(quantile(times, 0.99), 2) }
  return { ...last, figures }
}

const pause = (milliseconds: number) => new Promise((next) => setTimeout(next, milliseconds))
