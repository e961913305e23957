/** Whether a peer plays fair: it syncs a message to disk before it answers for it, and gives no message to a host that it cannot verify. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificates } from './certificates.ts'
import type { Contestant } from './measure.ts'
import { installed } from './peers/installed.ts'
import type { Counted, Sink, Tool } from './tools.ts'

/**
 * `syncs`: how many calls of fsync and fdatasync ended between the reply to DATA and the reply to the dot; undefined: it could not be watched.
 * `verifies`: it came to a host with a stranger's certificate, and kept its message.
 */
export type Fairness = { readonly peer: string; readonly syncs: number | undefined; readonly verifies: boolean }

/** Looks at both. Afterwards the contestant has a message in its queue that it cannot deliver: it is no good for measuring any more. */
export async function fairness(contestant: Contestant, tool: Tool): Promise<Fairness> {
  const syncs = installed('strace') ? await countSyncs(contestant, tool) : undefined
  return { peer: contestant.kind.name, syncs, verifies: await refusesStranger(contestant, tool) }
}

/** In a sentence. */
export function inWords({ peer, syncs, verifies }: Fairness): string {
  const synced =
    syncs === undefined
      ? 'its syncs could not be watched (strace is not installed)'
      : syncs > 0
        ? 'syncs before 250'
        : 'DOES NOT SYNC before 250'
  return `${peer}: ${synced}; ${verifies ? 'refuses a certificate that it cannot verify' : 'DOES NOT VERIFY certificates'}`
}

/** One message of 20 KB, with strace at all processes. */
async function countSyncs({ peer, account, ground }: Contestant, tool: Tool): Promise<number> {
  const file = join(peer.folder, 'strace.txt')
  const attached = account.pids().flatMap((pid) => ['-p', `${pid}`])
  const watching = spawn('strace', ['-f', '-s', '16', '-e', 'trace=fsync,fdatasync,write,writev,sendto,sendmsg', '-o', file, ...attached], {
    stdio: 'ignore',
  })
  const ended = new Promise((done) => watching.once('close', done))
  await allTraced(account.pids)
  await ground.sink.reset()
  const { accepted } = await tool.generate({ at: peer.at, sessions: 1, messages: 1, octets: 20_480, kept: false })
  await ground.sink.wait(accepted, 30_000)
  watching.kill('SIGINT')
  await ended
  return syncsBeforeReply(readFileSync(file, 'latin1').split('\n'))
}

/** The sink's place is taken by one with a certificate from an authority that nobody trusts, for another name. */
async function refusesStranger({ peer, ground }: Contestant, tool: Tool): Promise<boolean> {
  const certificate = await makeCertificates(join(peer.folder, 'stranger'), ['stranger.example'])
  ground.close()
  const stranger = await tool.startSink({ folder: peer.folder, certificate, listen: [`127.0.0.1:${ground.sink.port}`] })
  try {
    const { accepted } = await tool.generate({ at: peer.at, sessions: 1, messages: 1, octets: 4096, kept: false })
    const visited = await someoneComes(stranger)
    return accepted === 1 && visited.connections > 0 && visited.messages === 0
  } finally {
    stranger.close()
  }
}

/** Until a second after the first connection, or ten seconds. */
async function someoneComes(sink: Sink): Promise<Counted> {
  for (let tries = 0; tries < 100 && (await sink.count()).connections === 0; tries++) await new Promise((next) => setTimeout(next, 100))
  return sink.wait(1, 1000)
}

/** strace attaches one process after the other: wait until the last one says so. */
async function allTraced(pids: () => readonly number[]): Promise<void> {
  const traced = (pid: number) => {
    try {
      return !/^TracerPid:\s+0$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    } catch {
      return true
    }
  }
  const end = Date.now() + 10_000
  while (!pids().every(traced) && Date.now() < end) await new Promise((next) => setTimeout(next, 50))
}

/** strace writes the calls of all processes in the order of their beginnings and, where others came between, their ends. */
export function syncsBeforeReply(lines: readonly string[]): number {
  const go = lines.findIndex((line) => /"354[ -]/.test(line))
  const answered = lines.findIndex((line, i) => i > go && /"250[ -]/.test(line))
  if (go < 0 || answered < 0) return 0
  const complete = (line: string) => /(\bf(data)?sync\(\d+\)|f(data)?sync resumed>\)?) *= 0/.test(line)
  return lines.slice(go, answered).filter(complete).length
}
