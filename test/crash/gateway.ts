/** The gateway of the crash tests: the built program as a process of its own, killed and started again on the same data. */
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import type { Db, Row } from '../../src/store/db.ts'
import { program } from '../world/program.ts'
import { type Sections, writeSettings } from '../world/settings-file.ts'

export type GatewayProcess = {
  /** Resolves with the milliseconds until mail was taken in (a greeting and an answer to EHLO), or undefined when it ended before. */
  readonly start: (failpoint?: string) => Promise<number | undefined>
  readonly running: () => boolean
  readonly kill: () => void
  /** SIGSTOP and SIGCONT: a process that does nothing for a while, and does not know it. */
  readonly signal: (name: 'SIGSTOP' | 'SIGCONT') => void
  /** SIGTERM; resolves with the exit code. */
  readonly stop: () => Promise<number | null>
  /** Resolves with the signal or exit code that ended it. */
  readonly ended: () => Promise<NodeJS.Signals | number | null>
  /** What it said to standard error since its last start, at most the last 64 KiB. */
  readonly said: () => string
  readonly at: { readonly host: string; readonly port: number }
}

/** Write the settings to `folder` and run gateways by them. `more`: further settings as the file writes them, e.g. `{ log: { level: 'info' } }`. */
export async function prepareGateway(folder: string, settings: Settings, more: Sections = {}): Promise<GatewayProcess> {
  const file = join(folder, 'letterlock.json')
  await writeSettings(file, { ...settings, 'monitor.probes': false }, { log: { level: 'warn' }, ...more })
  const at = settings['smtp.listen'][0] ?? { host: '127.0.0.1', port: 0 }
  let child: ChildProcess | undefined
  let end: Promise<NodeJS.Signals | number | null> = Promise.resolve(null)
  let over = true
  let said = ''
  return {
    at,
    start: async (failpoint) => {
      const begun = performance.now()
      said = ''
      over = false
      const { LETTERLOCK_FAILPOINT: _, ...environment } = process.env
      const started = spawn(process.execPath, [...program, 'serve', '--config', file], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: failpoint === undefined ? environment : { ...environment, LETTERLOCK_FAILPOINT: failpoint },
      })
      child = started
      started.stderr?.on('data', (chunk: Buffer) => {
        said = `${said}${chunk.toString()}`.slice(-65_536)
      })
      end = new Promise((resolve) =>
        started.once('exit', (code, signal) => {
          over = true
          resolve(signal ?? code)
        }),
      )
      while (!over && !(await answers(at))) await pause(10)
      return over ? undefined : performance.now() - begun
    },
    running: () => !over,
    kill: () => void child?.kill('SIGKILL'),
    signal: (name) => void child?.kill(name),
    stop: async () => {
      child?.kill('SIGTERM')
      return Number(await end)
    },
    ended: () => end,
    said: () => said,
  }
}

/** Does it greet, and answer EHLO? */
function answers(at: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at)
    let text = ''
    const finish = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(5000, () => finish(false))
    socket.on('error', () => finish(false))
    socket.on('close', () => finish(false))
    socket.on('data', (chunk: Buffer) => {
      const before = text
      text += chunk.toString('latin1')
      if (before === '' && text.startsWith('220')) socket.write('EHLO probe.org.example\r\n')
      if (/^250 /m.test(text)) finish(true)
    })
  })
}

/**
 * A look at an SQLite database whose process has just been killed, changing nothing: no recovery is written, no log emptied, so that the next
 * start finds what the kill left.
 */
export async function lookOnly<T>(settings: Settings, look: (db: Pick<Db, 'read'>) => Promise<T>): Promise<T> {
  const database = new Database(pathOf(settings.database), { readonly: true })
  try {
    const read = async <R extends Row>({ text, values }: { text: string; values: readonly unknown[] }) =>
      database.prepare(text).all(Object.fromEntries(values.map((value, i) => [i + 1, value]))) as R[]
    return await look({ read })
  } finally {
    database.close()
  }
}
