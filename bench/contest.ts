/** Starts the peers, lets them take turns, and writes a line for each measurement. */
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAuthority } from '../src/demo/authority.ts'
import { openAccount } from './machine/account.ts'
import { type Contestant, measure, type Row } from './measure.ts'
import type { PeerKind } from './peers/peer.ts'
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
  readonly each: (row: Row) => Promise<void>
}

/** PEM files of a fresh authority and of a certificate for the sinks' names. */
export type Certificates = { readonly authority: string; readonly cert: string; readonly key: string }

/** Files for sinks of these names, below `folder`. */
export async function makeCertificates(folder: string, names: readonly string[]): Promise<Certificates> {
  await mkdir(folder, { recursive: true })
  const authority = await createAuthority('Benchmark Root')
  const leaf = await authority.issue(names)
  const files = { authority: join(folder, 'authority.pem'), cert: join(folder, 'sink.pem'), key: join(folder, 'sink.key') }
  await writeFile(files.authority, authority.cert, { mode: 0o644 })
  await writeFile(files.cert, leaf.cert)
  await writeFile(files.key, leaf.key, { mode: 0o600 })
  return files
}

/** All peers are up together but idle; rounds interleave them, so that a slow spell of the machine hits all alike. */
export async function hold(contest: Contest): Promise<void> {
  const { kinds, scenarios, rounds, tool, say, each } = contest
  const certificates = await makeCertificates(join(contest.folder, 'certificates'), ['localhost', '127.0.0.1'])
  const contestants: Contestant[] = []
  try {
    for (const kind of kinds) contestants.push(await enter(kind, certificates, contest))
    const total = scenarios.length * rounds * contestants.length
    const begun = Date.now()
    let done = 0
    for (const scenario of scenarios) {
      for (let round = 1; round <= rounds; round++) {
        // Whoever is measured last has the warmest disk cache, and the fullest.
        for (const contestant of round % 2 === 1 ? contestants : contestants.toReversed()) {
          const row = await measure(contestant, scenario, round, tool)
          await each(row)
          done++
          say(`${progress(begun, done, total)} ${inWords(row)}`)
        }
      }
    }
  } finally {
    for (const contestant of contestants) await leave(contestant)
  }
}

/** Start a peer and its sink, and warm both up: nobody measures a server in its first second. */
async function enter(kind: PeerKind, certificates: Certificates, { folder, tool, say }: Contest): Promise<Contestant> {
  say(`starting ${kind.name}: ${kind.about}`)
  const own = join(folder, 'peers', kind.name)
  await rm(own, { recursive: true, force: true })
  await mkdir(own, { recursive: true })
  const sink = await tool.startSink({ folder: own, certificate: certificates })
  const account = openAccount(kind.name)
  const next = { kind: 'smarthost', host: 'localhost', port: sink.port } as const
  const peer = await kind.start({ folder: own, authority: certificates.authority, next, account }).catch(async (error: unknown) => {
    await account.close()
    sink.close()
    throw error
  })
  const contestant = { name: kind.name, peer, account, sink }
  const warm = await tool.generate({ at: peer.at, sessions: 20, messages: 400, octets: 20480, kept: true })
  const arrived = await sink.wait(warm.accepted, 60_000)
  if (warm.failed === 0 && arrived.messages === warm.accepted && arrived.clear === 0) return contestant
  await leave(contestant)
  throw new Error(
    `${kind.name} lost mail while warming up: ${warm.failed} of 400 refused (${warm.error}), ${arrived.messages} arrived, ${arrived.clear} in clear; see ${own}`,
  )
}

async function leave({ peer, sink }: Contestant): Promise<void> {
  await peer.stop()
  sink.close()
}

function progress(begun: number, done: number, total: number): string {
  const left = Math.round((((Date.now() - begun) / done) * (total - done)) / 1000)
  return `[${done}/${total}, ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')} left]`
}

/** One row for the person who waits. */
export function inWords(row: Row): string {
  const lost = row.accepted - row.arrived
  const wrong = [
    row.failed > 0 && `${row.failed} FAILED (${row.error})`,
    lost !== 0 && `${lost} ${lost > 0 ? 'NOT DELIVERED' : 'TWICE'}`,
    row.clear > 0 && `${row.clear} IN CLEAR`,
  ].filter((text) => text !== false)
  const rate =
    row.idleP50 === undefined ? `in ${row.acceptRate}/s, through ${row.endToEndRate}/s` : `p50 ${row.idleP50} ms, p99 ${row.idleP99} ms`
  return [
    `${row.scenario} #${row.round} ${row.peer}: ${rate}, CPU ${row.cpuPerThousand} s/1000, ${row.memory} MB, ${row.connections} connections, steal ${row.steal} %`,
    ...wrong,
  ].join(', ')
}

/** Appends rows to a file of JSON lines. */
export const writer = (file: string) => (row: Row) => appendFile(file, `${JSON.stringify(row)}\n`)
