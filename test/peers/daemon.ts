/** Runs another program's mail server for one test, in the foreground and in a process group of its own, and ends all of it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'

export type Address = { readonly host: string; readonly port: number }
export type Daemon = { readonly log: () => string; readonly stop: () => Promise<void> }

/** Root is needed: these servers change to users of their own. */
export const needsRoot = (what: string): string | false =>
  process.getuid?.() === 0 || process.env.CI === 'true' ? false : `${what} can be started only by root`

/** Start and wait until it listens at all these addresses; throws with its log when it does not within a minute. */
export async function startDaemon(command: string, args: readonly string[], listening: readonly Address[]): Promise<Daemon> {
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      log += chunk.toString()
    })
  }
  child.on('error', (error) => {
    log += error.message
  })
  const forget = killAtExit(() => child.pid)
  const stop = async () => {
    const ended = hasEnded(child) ? Promise.resolve() : new Promise<void>((done) => child.once('exit', () => done()))
    killGroup(child.pid, 'SIGTERM')
    const late = setTimeout(() => killGroup(child.pid, 'SIGKILL'), 3000)
    await ended
    clearTimeout(late)
    // Whoever of the group is left.
    killGroup(child.pid, 'SIGKILL')
    forget()
  }
  const silent = await firstSilent(listening, () => hasEnded(child))
  if (!silent) return { log: () => log, stop }
  await stop()
  throw new Error(`${command} does not listen at ${silent.host}:${silent.port}:\n${log}`)
}

/** The first of these where nobody greets within a minute (or before `ended`); undefined when all do. */
export async function firstSilent(listening: readonly Address[], ended: () => boolean): Promise<Address | undefined> {
  const end = Date.now() + 60_000
  for (const address of listening) {
    while (!(await answers(address))) {
      if (Date.now() > end || ended()) return address
      await new Promise((next) => setTimeout(next, 50))
    }
  }
  return undefined
}

/** A test that is cut short leaves no server behind; the answer calls it off. */
export function killAtExit(group: () => number | undefined): () => void {
  const kill = () => killGroup(group(), 'SIGKILL')
  // A signal alone would end us without 'exit': the test runner's own time limit sends one.
  const leave = () => process.exit(143)
  process.once('exit', kill).once('SIGTERM', leave)
  return () => void process.off('exit', kill).off('SIGTERM', leave)
}

/** Signal a process group, if it still is. */
export function killGroup(leader: number | undefined, name: NodeJS.Signals): void {
  try {
    if (leader !== undefined) process.kill(-leader, name)
  } catch {
    // The whole group has ended.
  }
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

const answers = ({ host, port }: Address) =>
  new Promise<boolean>((done) => {
    const socket = connect(port, host)
    const say = (yes: boolean) => {
      socket.destroy()
      done(yes)
    }
    socket.once('error', () => say(false)).once('data', () => say(true))
  })
