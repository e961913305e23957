/** Starts the peers, lets them take turns, and writes a line for each measurement. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FakeDns } from '../src/demo/fake-dns.ts'
import type { Certificates } from './certificates.ts'
import { fairness, inWords as fairnessInWords } from './fairness.ts'
import { farGround, nearGround, startDns } from './ground.ts'
import { openAccount } from './machine/account.ts'
import { type Contestant, measure, type Row } from './measure.ts'
import type { PeerKind } from './peers/peer.ts'
import type { Results } from './results.ts'
import type { Scenario } from './scenarios.ts'
import type { Tool } from './tools.ts'

export type Contest = {
  readonly kinds: readonly PeerKind[]
  readonly scenarios: readonly Scenario[]
  readonly rounds: number
  readonly tool: Tool
  /** Scratch, on a real disk. */
  readonly folder: string
  readonly say: (line: string) => void
  readonly certificates: Certificates
  readonly results: Results
  /** So many messages of 20 KB are sent before anything but a fresh start is measured. */
  readonly warmUp: number
}

/** Runs every scenario: first those with one next hop, then, with all peers started anew, those with a distant many. */
export async function hold(contest: Contest): Promise<void> {
  const dns = await startDns()
  const clock = progress(contest)
  try {
    for (const distant of [false, true]) {
      const scenarios = contest.scenarios.filter((scenario) => (scenario.distant ?? false) === distant)
      if (scenarios.length === 0) continue
      if (distant && dns === undefined) contest.say('left out: 200 domains need namespaces of our own (Linux, root, unshare, ip)')
      else await takeTurns({ ...contest, scenarios }, { dns: distant ? dns : undefined, clock })
    }
  } finally {
    await dns?.close()
  }
}

type Grounds = { readonly dns: FakeDns | undefined; readonly clock: (milliseconds: number) => string }

/** All peers are up together but idle; rounds interleave them, so that a slow spell of the machine hits all alike. */
async function takeTurns(contest: Contest, grounds: Grounds): Promise<void> {
  const { scenarios, rounds, tool, say, results } = contest
  const kinds = contest.kinds.filter((kind) => scenarios.some((scenario) => enters(kind, scenario)))
  const contestants: Contestant[] = []
  try {
    for (const [i, kind] of kinds.entries()) {
      const entered = await enter(kind, i + 1, contest, grounds).catch((error: Error) => error)
      if (!(entered instanceof Error)) contestants.push(entered)
      // The others can still be measured.
      else if (kinds.length === 1) throw entered
      else say(`LEFT OUT: ${entered.message}`)
    }
    for (const scenario of scenarios.filter(({ fresh }) => !fresh)) {
      const those = contestants.filter(({ kind }) => enters(kind, scenario))
      if (those.length === 0) say(`left out: nobody here takes part in ${scenario.name}`)
      for (let round = 1; round <= rounds; round++) {
        // Whoever is measured last has the warmest disk cache, and the fullest.
        for (const contestant of round % 2 === 1 ? those : those.toReversed()) {
          await take(contestant, { scenario, round }, contest, grounds)
        }
      }
    }
    if (grounds.dns !== undefined) return
    for (const contestant of contestants) {
      const seen = await fairness(contestant, tool)
      await results.addFairness(seen)
      say(fairnessInWords(seen))
    }
  } finally {
    for (const contestant of contestants) await leave(contestant)
  }
}

/** One measurement, written down. */
async function take(
  contestant: Contestant,
  { scenario, round }: { readonly scenario: Scenario; readonly round: number },
  { tool, results, say }: Contest,
  { clock }: Grounds,
): Promise<void> {
  const begun = performance.now()
  const row = await measure(contestant, scenario, round, tool)
  await results.addRow(row)
  say(`${clock(performance.now() - begun)} ${inWords(row)}`)
}

const enters = (kind: PeerKind, scenario: Scenario): boolean => kind.scenarios?.includes(scenario.name) ?? true

/** Start a peer on its ground, measure what is about a fresh start, and warm all up: a server runs for months, nobody asks after its first second. */
async function enter(kind: PeerKind, number: number, contest: Contest, grounds: Grounds): Promise<Contestant> {
  const { folder, tool, certificates, scenarios, say } = contest
  const { dns } = grounds
  say(`starting ${kind.name}: ${kind.about}`)
  const own = join(folder, 'peers', kind.name)
  await rm(own, { recursive: true, force: true })
  await mkdir(own, { recursive: true })
  const parts = { folder: own, tool, certificates }
  const ground = await (dns === undefined ? nearGround(parts) : farGround(parts, number, dns))
  const account = openAccount(kind.name)
  const place = { folder: own, authority: certificates.authority, next: ground.next, account }
  const peer = await kind.start(place).catch(async (error: unknown) => {
    await account.close()
    ground.close()
    throw error
  })
  const contestant = { kind, peer, account, ground }
  try {
    for (const scenario of scenarios.filter(({ fresh }) => fresh))
      if (enters(kind, scenario)) await take(contestant, { scenario, round: 1 }, contest, grounds)
    const problem = await warm(contestant, tool, Math.round(contest.warmUp * (kind.share ?? 1)))
    if (problem !== undefined) throw new Error(`${kind.name} lost mail while warming up: ${problem}; see ${own}`)
    return contestant
  } catch (error) {
    await leave(contestant)
    throw error
  }
}

/** What went wrong, in words. Dead domains are left to the measurement. */
async function warm({ peer, ground }: Contestant, tool: Tool, messages: number): Promise<string | undefined> {
  if (messages === 0) return undefined
  await ground.sink.reset()
  const sent = await tool.generate({ at: peer.at, sessions: 20, messages, octets: 20480, kept: true, ...ground.warmUp })
  const arrived = await ground.sink.all(sent.accepted)
  if (sent.failed === 0 && arrived.messages === sent.accepted && arrived.clear === 0) return undefined
  return `${sent.failed} of ${messages} refused (${sent.error}), ${arrived.messages} arrived, ${arrived.clear} in clear`
}

async function leave({ peer, ground }: Contestant): Promise<void> {
  await peer.stop()
  ground.close()
}

/** Says after each measurement, told how long it took, how far we are and how long the other ones will take at this pace. */
function progress({ scenarios, kinds, rounds }: Contest): (milliseconds: number) => string {
  const total = scenarios.reduce(
    (sum, scenario) => sum + (scenario.fresh ? 1 : rounds) * kinds.filter((kind) => enters(kind, scenario)).length,
    0,
  )
  let done = 0
  let taken = 0
  return (milliseconds) => {
    done++
    taken += milliseconds
    const left = Math.max(0, Math.round(((taken / done) * (total - done)) / 1000))
    return `[${done}/${total}, ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')} left]`
  }
}

/** One row for the person who waits. */
export function inWords(row: Row): string {
  const lost = row.expected - row.arrived
  const wrong = [
    row.failed > 0 && `${row.failed} FAILED (${row.error})`,
    lost !== 0 && `${Math.abs(lost)} ${lost > 0 ? 'NOT DELIVERED' : 'TWICE'}`,
    row.clear > 0 && `${row.clear} IN CLEAR`,
  ].filter((text) => text !== false)
  const rate =
    row.idleP50 === undefined ? `in ${row.acceptRate}/s, through ${row.endToEndRate}/s` : `p50 ${row.idleP50} ms, p99 ${row.idleP99} ms`
  return [
    `${row.scenario} #${row.round} ${row.peer}: ${rate}, CPU ${row.cpuPerThousand} s/1000, ${row.memory} MB, ${row.connections} connections, steal ${row.steal} %`,
    ...wrong,
  ].join(', ')
}
