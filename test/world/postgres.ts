/** A real PostgreSQL of our own in a scratch folder: started, stopped and crashed at will. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { freePort } from '../../src/demo/internet.ts'

/** `fast`: breaks connections off, ends cleanly. `immediate`: as in a power cut, only that the kernel keeps its cache. */
type Ending = 'fast' | 'immediate'

export type Postgres = {
  /** Where it listens on 127.0.0.1; passwords are asked for (scram-sha-256). */
  readonly port: number
  readonly folder: string
  /** The address of a new, empty database that belongs to the user `letterlock`. */
  readonly makeDatabase: () => Promise<string>
  /** The same for an existing database and other credentials. */
  readonly address: (database: string, user?: string, password?: string) => string
  /** Run SQL as the superuser in `database`. */
  readonly command: (text: string, database?: string) => Promise<Record<string, unknown>[]>
  readonly start: () => Promise<void>
  readonly stop: (ending: Ending) => Promise<void>
  readonly close: () => Promise<void>
}

const programs = '/usr/lib/postgresql'
const bin = (): string | undefined => {
  const versions = existsSync(programs) ? readdirSync(programs).filter((name) => existsSync(join(programs, name, 'bin', 'initdb'))) : []
  const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1)
  return newest && join(programs, newest, 'bin')
}

/** Why tests that need PostgreSQL are skipped, or false. */
export const withoutPostgres: string | false = bin() ? false : 'PostgreSQL is not installed (Debian: postgresql)'

/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
const isRoot = process.getuid?.() === 0
const asPostgres = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
const command = (name: string, args: readonly string[]): [string, string[]] => {
  const [first = '', ...rest] = [...(isRoot ? asPostgres : []), join(bin() ?? '', name), ...args]
  return [first, rest]
}

/** Start a PostgreSQL; `settings` are added to its postgresql.conf. */
export async function startPostgres(settings: { readonly [name: string]: string } = {}): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), 'letterlock-postgres-'))
  const cluster = join(folder, 'cluster')
  const [socket, passwords] = [join(folder, 'socket'), join(folder, 'passwords')]
  mkdirSync(socket)
  writeFileSync(passwords, 'super secret\n')
  if (isRoot) {
    const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'])))
    for (const path of [folder, socket, passwords]) chownSync(path, uid ?? 0, gid ?? 0)
  }
  execFileSync(
    ...command('initdb', [
      '--no-sync',
      '-D',
      cluster,
      '-U',
      'super',
      '-E',
      'UTF8',
      '--locale=C',
      '-A',
      'scram-sha-256',
      `--pwfile=${passwords}`,
    ]),
    { stdio: 'ignore' },
  )
  const port = await freePort('127.0.0.1')
  const lines = Object.entries({
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: socket,
    max_connections: '60',
    shared_buffers: '32MB',
    ...settings,
  }).map(([name, value]) => `${name} = '${value}'\n`)
  writeFileSync(join(cluster, 'postgresql.conf'), lines.join(''))

  let server: ChildProcess | undefined
  let made = 0
  const address = (database: string, user = 'letterlock', password = 'p@ss/word') =>
    `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`
  const query = async (text: string, database = 'postgres') => {
    const client = new Client({ connectionString: address(database, 'super', 'super secret') })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(text)).rows
    } finally {
      await client.end()
    }
  }
  const start = async () => {
    const started = spawn(...command('postgres', ['-D', cluster]), { stdio: ['ignore', 'ignore', 'pipe'] })
    server = started
    let said = ''
    started.stderr?.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-2000)
    })
    for (const end = Date.now() + 120_000; ; await pause(30)) {
      if (started.exitCode !== null || Date.now() > end) throw new Error(`PostgreSQL does not start: ${said}`)
      try {
        await query('SELECT 1')
        // Who forgets to close it must not wait for it; it ends with this process.
        started.unref()
        if (started.stderr instanceof Socket) started.stderr.unref()
        return
      } catch {}
    }
  }
  const stop = async (ending: Ending) => {
    const stopped = server
    server = undefined
    if (stopped === undefined || stopped.exitCode !== null) return
    stopped.ref()
    const ended = new Promise((resolve) => stopped.once('exit', resolve))
    stopped.kill(ending === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await ended
  }
  const atExit = () => {
    server?.kill('SIGQUIT')
    rmSync(folder, { recursive: true, force: true })
  }
  process.on('exit', atExit)
  await start()
  await query("CREATE ROLE letterlock LOGIN PASSWORD 'p@ss/word'")
  return {
    port,
    folder,
    address,
    command: query,
    makeDatabase: async () => {
      const name = `test_${++made}`
      await query(`CREATE DATABASE ${name} OWNER letterlock`)
      return address(name)
    },
    start,
    stop,
    close: async () => {
      await stop('immediate')
      process.off('exit', atExit)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
