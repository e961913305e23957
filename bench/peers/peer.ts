/** What it takes to be measured: a mail server that can be started in a folder and relays everything over verified TLS. */
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Account } from '../machine/account.ts'

/** Where mail goes: all to one host, or to each domain's own MX by the DNS server that the system asks. */
export type Next = { readonly kind: 'smarthost'; readonly host: string; readonly port: number } | { readonly kind: 'internet' }

export type Place = {
  /** Empty, the peer's own, on a real disk. */
  readonly folder: string
  /** PEM file of the authority that has signed the sinks' certificates. */
  readonly authority: string
  readonly next: Next
  readonly account: Account
}

export type Address = { readonly host: string; readonly port: number }
export type Peer = { readonly at: Address; readonly version: string; readonly folder: string; readonly stop: () => Promise<void> }

/** `missing`: why it cannot run here, in a sentence; undefined when it can. */
export type PeerKind = {
  readonly name: string
  readonly about: string
  readonly missing: () => string | undefined
  /** Only these scenarios; default: all. */
  readonly scenarios?: readonly string[]
  /** Which part of a scenario's messages it gets, because it is slow; default: all. */
  readonly share?: number
  readonly start: (place: Place) => Promise<Peer>
}

/** Start a server inside the account, its output going to output.log in its folder. */
export function launch(place: Place, command: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const log = openSync(join(place.folder, 'output.log'), 'a')
  const [program = '', ...args] = [...place.account.prefix, ...command]
  const child = spawn(program, args, { cwd: place.folder, stdio: ['ignore', log, log], env: { ...process.env, ...environment } })
  if (child.pid !== undefined) place.account.watch(child.pid)
  return child
}

/** Resolves when the server greets; throws a sentence when it does not within 30 s, or when `child`, which is the server, has ended. */
export async function greeting(name: string, at: Address, { folder }: Place, child?: ChildProcess): Promise<void> {
  const end = Date.now() + 30_000
  while (Date.now() < end && (child?.exitCode ?? undefined) === undefined) {
    if (await greets(at)) return
    await new Promise((next) => setTimeout(next, 20))
  }
  const log = join(folder, 'output.log')
  const said = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-12).join('\n')
  throw new Error(`${name} does not greet at ${at.host}:${at.port}; the end of ${log}:\n${said}`)
}

const greets = ({ host, port }: Address) =>
  new Promise<boolean>((done) => {
    const socket = connect(port, host)
    const say = (yes: boolean) => {
      socket.destroy()
      done(yes)
    }
    socket.once('error', () => say(false)).once('data', () => say(true))
  })
