/** The C tool: compiling it, and driving its load generator, its sinks and its calibration. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, openSync, readdirSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const sources = join(import.meta.dirname, 'smtpbench')

/** What one run of the generator came to. Times in milliseconds, `started` and `ended` in nanoseconds of the monotonic clock. */
export type Generated = {
  readonly accepted: number
  readonly failed: number
  readonly octets: number
  readonly rate: number
  readonly p50: number
  readonly p99: number
  readonly started: number
  readonly ended: number
  readonly error: string
}

/** What a sink has counted since the last reset; `first` and `last` in nanoseconds of the monotonic clock. */
export type Counted = {
  readonly messages: number
  readonly octets: number
  readonly connections: number
  readonly handshakes: number
  readonly resumed: number
  readonly clear: number
  readonly first: number
  readonly last: number
}

export type Load = {
  readonly at: { readonly host: string; readonly port: number }
  readonly sessions: number
  readonly messages: number
  readonly octets: number
  /** Keep each session's connection for all of its messages. */
  readonly kept: boolean
  /** The first %d is the message's number, the second the number of one of so many domains. */
  readonly recipient?: string
  readonly domains?: number
  /** Messages a second; without it as fast as it goes. */
  readonly rate?: number
  /** After so many seconds no further message is begun. */
  readonly seconds?: number
}

export type Sink = {
  readonly port: number
  readonly reset: () => Promise<void>
  readonly count: () => Promise<Counted>
  /** Resolves when so many messages have come, or after so many milliseconds. */
  readonly wait: (messages: number, milliseconds: number) => Promise<Counted>
  /** Resolves when so many messages have come, or when none has come for 45 s: whoever has lost one is not waited for. */
  readonly all: (messages: number) => Promise<Counted>
  readonly close: () => void
}

export type SinkOptions = {
  readonly folder: string
  readonly certificate: { readonly cert: string; readonly key: string }
  /** `address:port` or `address:port+count`; default: a free port of 127.0.0.1. */
  readonly listen?: readonly string[]
  /** The same, for addresses that never answer. */
  readonly dead?: readonly string[]
  /** Milliseconds of each round trip. */
  readonly distance?: number
}

export type Tool = {
  readonly generate: (load: Load) => Promise<Generated>
  /** Units of integer work a second of wall clock and of CPU time: what the machine gives just now. */
  readonly calibrate: (seconds: number, threads: number) => Promise<{ readonly perWall: number; readonly perCpu: number }>
  readonly startSink: (options: SinkOptions) => Promise<Sink>
}

/** Compile the tool into `folder`, unless it is there and younger than its sources; throws a sentence when that fails. */
export async function buildTool(folder: string): Promise<Tool> {
  const binary = join(folder, 'smtpbench')
  const files = readdirSync(sources).map((name) => join(sources, name))
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs))
  if (!existsSync(binary) || statSync(binary).mtimeMs < newest) await compile(folder, binary, files)
  return {
    generate: (load) => generate(binary, load),
    calibrate: async (seconds, threads) => JSON.parse((await run(binary, ['calibrate', String(seconds), String(threads)])).stdout),
    startSink: (options) => startSink(binary, options),
  }
}

async function compile(folder: string, binary: string, files: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  const units = files.filter((file) => file.endsWith('.c'))
  await run('cc', ['-O2', '-Wall', '-Wextra', '-pthread', '-o', binary, ...units, '-lssl', '-lcrypto']).catch(
    (error: { stderr?: string; message: string }) => {
      const why = error.stderr ?? error.message
      throw new Error(
        `the load generator cannot be compiled (needs cc and OpenSSL's headers; Debian: apt install gcc libc6-dev libssl-dev):\n${why}`,
      )
    },
  )
}

async function generate(binary: string, load: Load): Promise<Generated> {
  const { at, sessions, messages, octets, kept, recipient, domains, rate, seconds } = load
  const args = ['generate', '-H', `${at.host}:${at.port}`, '-s', `${Math.min(sessions, messages)}`, '-m', `${messages}`, '-l', `${octets}`]
  if (kept) args.push('-k')
  if (recipient !== undefined) args.push('-t', recipient)
  if (domains !== undefined) args.push('-D', `${domains}`)
  if (rate !== undefined) args.push('-r', `${rate}`)
  if (seconds !== undefined) args.push('-T', `${seconds}`)
  // It says with its exit code that some failed; the figures say how many.
  const { stdout } = await run(binary, args).catch((error: { stdout?: string; message: string }) => {
    if (error.stdout === undefined || error.stdout === '') throw new Error(`the load generator failed: ${error.message}`)
    return { stdout: error.stdout }
  })
  return JSON.parse(stdout)
}

async function startSink(binary: string, { folder, certificate, listen, dead = [], distance = 0 }: SinkOptions): Promise<Sink> {
  const port = listen === undefined ? await freePort() : Number(/:(\d+)/.exec(listen[0] ?? '')?.[1])
  const control = await freePort()
  const where = (listen ?? [`127.0.0.1:${port}`]).flatMap((address) => ['-l', address])
  const silent = dead.flatMap((address) => ['-b', address])
  const args = ['sink', ...where, ...silent, '-C', `${control}`, '-c', certificate.cert, '-k', certificate.key, '-r', '-R', `${distance}`]
  const log = openSync(join(folder, `sink-${port}.log`), 'w')
  const child = spawn(binary, args, { stdio: ['ignore', 'ignore', log] })
  await answering(control, child)
  const ask = (line: string, limit = 10_000) => askSink(control, line, limit)
  const wait = (messages: number, milliseconds: number) => ask(`WAIT ${messages} ${Math.round(milliseconds)}`, milliseconds + 30_000)
  return {
    port,
    reset: async () => void (await ask('RESET')),
    count: () => ask('STAT'),
    wait,
    all: (messages) => allOf(messages, wait),
    close: () => void child.kill('SIGKILL'),
  }
}

async function allOf(messages: number, wait: Sink['wait']): Promise<Counted> {
  const patience = 9
  let counted = await wait(messages, 5000)
  for (let quiet = 0; counted.messages < messages && quiet < patience; ) {
    const next = await wait(messages, 5000)
    quiet = next.messages > counted.messages ? 0 : quiet + 1
    counted = next
  }
  return counted
}

/** A port of 127.0.0.1 that nobody listens at just now. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  const end = Date.now() + 10_000
  while (Date.now() < end && child.exitCode === null) {
    if (
      await askSink(port, 'STAT', 1000).then(
        () => true,
        () => false,
      )
    )
      return
    await new Promise((next) => setTimeout(next, 20))
  }
  throw new Error('the sink does not start; its log stands beside the results')
}

function askSink(port: number, line: string, limit: number): Promise<Counted> {
  return new Promise((done, fail) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(`${line}\n`))
    socket.setTimeout(limit, () => socket.destroy(new Error(`the sink did not answer ${line}`)))
    socket.once('error', fail).once('close', () => fail(new Error('the sink is gone')))
    socket.on('data', (chunk) => {
      answer += chunk.toString()
      if (!answer.endsWith('\n')) return
      socket.end()
      done(JSON.parse(answer))
    })
  })
}
