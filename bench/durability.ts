/** Whether a peer has synced a message to disk before it answers for it: system calls of all its processes, watched while one message comes in. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Contestant } from './measure.ts'
import { installed } from './peers/installed.ts'
import type { Tool } from './tools.ts'

/** `syncs`: how many calls of fsync and fdatasync ended between the reply to DATA and the reply to the dot; undefined: it could not be watched. */
export type Durability = { readonly peer: string; readonly syncs: number | undefined; readonly text: string }

/** Watch one message of 20 KB. */
export async function durability({ kind, peer, account, ground }: Contestant, tool: Tool): Promise<Durability> {
  if (!installed('strace')) return { peer: kind.name, syncs: undefined, text: 'not watched: strace is not installed' }
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
  const syncs = syncsBeforeReply(readFileSync(file, 'latin1').split('\n'))
  return { peer: kind.name, syncs, text: syncs > 0 ? 'synced before 250' : 'NOT SYNCED before 250' }
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
