/** The gateway as a process of its own, that can suffer and be killed, and two partners: one takes mail, one says "later". */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { freePort } from '../../src/demo/internet.ts'
import { type Partner, startPartner } from '../../src/demo/partner.ts'
import { defaultSettings, type Settings } from '../../src/ops/settings.ts'
import { program } from '../world/program.ts'
import { writeSettings } from '../world/settings-file.ts'

/** Mail for org.example is taken, mail for shut.example is told "later" and waits, mail for open.example becomes letters (no TLS there). */
export type Partners = { readonly open: Partner; readonly shut: Partner; readonly close: () => Promise<void> }

export async function startPartners(): Promise<Partners> {
  const open = await startPartner({ hostname: 'mx.open.example' })
  const shut = await startPartner({ hostname: 'mx.shut.example', script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 later' : undefined) })
  return { open, shut, close: async () => void (await Promise.all([open.close(), shut.close()])) }
}

/** Settings for a gateway whose data lies in `data`, on free ports; `scratch` takes its settings file. */
export async function settingsFor(data: string, partners: Partners, overrides: Partial<Settings> = {}): Promise<Settings> {
  const at = async () => ({ host: '127.0.0.1', port: await freePort('127.0.0.1') })
  const portal = await at()
  return defaultSettings({
    // Mail of some size lies in blob files, so that these are tried as well.
    'limits.inlineContent': 64 * 1024,
    hostname: 'gate.org.example',
    'organisation.name': 'Org',
    'organisation.domains': ['org.example'],
    data,
    database: `sqlite:${join(data, 'letterlock.db')}`,
    blobs: `file:${join(data, 'blobs')}`,
    keys: `file:${join(data, 'keys')}`,
    'smtp.listen': [await at()],
    'portal.listen': portal,
    'portal.url': `http://localhost:${portal.port}`,
    'admin.listen': await at(),
    'metrics.listen': await at(),
    'delivery.routes': {
      'org.example': { host: '127.0.0.1', port: partners.open.port, tls: 'none' },
      'open.example': { host: '127.0.0.1', port: partners.open.port, tls: 'none' },
      'shut.example': { host: '127.0.0.1', port: partners.shut.port, tls: 'none' },
    },
    'retry.schedule': [1000],
    ...overrides,
  })
}

export type Child = {
  readonly pid: number
  /** What it wrote to stderr so far. */
  readonly said: () => string
  /** Its exit code, or the signal that ended it; undefined while it runs. */
  readonly ended: () => number | string | undefined
  readonly exit: () => Promise<number | string>
  readonly kill: (signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT') => void
}

type Launch = { readonly env?: { readonly [name: string]: string } }

/** Start the process and leave it alone: it may refuse. */
export async function launch(scratch: string, settings: Settings, { env = {} }: Launch = {}): Promise<Child> {
  const config = join(scratch, `letterlock-${settings['metrics.listen'].port}.json`)
  await writeSettings(config, settings)
  const child = spawn(process.execPath, [...program, 'serve', '--config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
  return watched(child)
}

function watched(child: ChildProcess): Child {
  let said = ''
  let ended: number | string | undefined
  child.stderr?.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-1_000_000)
  })
  const exit = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => {
      ended = code ?? signal ?? 'gone'
      resolve(ended)
    }),
  )
  return { pid: child.pid ?? -1, said: () => said, ended: () => ended, exit: () => exit, kill: (signal) => void child.kill(signal) }
}

/** Start it and wait until /readyz says so. Throws with what it said when it ends before. */
export async function startChild(scratch: string, settings: Settings, how: Launch = {}): Promise<Child> {
  const child = await launch(scratch, settings, how)
  for (const end = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 25))) {
    if ((await readiness(settings)) === 200) return child
    if (child.ended() !== undefined || Date.now() > end) {
      child.kill('SIGKILL')
      throw new Error(`the gateway did not start (${child.ended() ?? 'not ready in 60 s'}): ${child.said().slice(-3000)}`)
    }
  }
}

/** The status of /readyz; undefined when nobody answers. */
export async function readiness(settings: Settings): Promise<number | undefined> {
  const { host, port } = settings['metrics.listen']
  return (await fetch(`http://${host}:${port}/readyz`, { headers: { connection: 'close' } }).catch(() => undefined))?.status
}
