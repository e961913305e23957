/** A PostgreSQL of the peer's own: its processor time and its memory count as the peer's. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, readdirSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../tools.ts'
import { launch, type Place } from './peer.ts'

const programs = '/usr/lib/postgresql'

/** The newest that Debian's packages have installed. */
function programFolder(): string | undefined {
  const versions = existsSync(programs) ? readdirSync(programs).filter((name) => existsSync(join(programs, name, 'bin', 'initdb'))) : []
  const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1)
  return newest === undefined ? undefined : join(programs, newest, 'bin')
}

/** Why there is no PostgreSQL here; undefined when there is. */
export const postgresMissing = (): string | undefined =>
  programFolder() === undefined ? 'PostgreSQL is not installed (Debian: apt install postgresql)' : undefined

/** Start one with the settings that it comes with, fsync among them; the answer is its address as the setting `database` takes it. */
export async function startPostgres(place: Place): Promise<string> {
  const root = join(place.folder, 'postgres')
  const port = await freePort()
  const password = randomBytes(16).toString('hex')
  const passwordFile = join(root, 'password')
  await chmod(place.folder, 0o755)
  await mkdir(root)
  await writeFile(passwordFile, `${password}\n`)
  if (isRoot) for (const path of [root, passwordFile]) chownSync(path, id('-u'), id('-g'))
  const cluster = join(root, 'cluster')
  const [initdb = '', ...options] = asItsUser('initdb', ['-D', cluster, '-U', 'bench', '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256'])
  execFileSync(initdb, [...options, `--pwfile=${passwordFile}`], { stdio: 'ignore', cwd: root })
  launch(place, asItsUser('postgres', ['-D', cluster, '-p', `${port}`, '-k', root, '-c', 'listen_addresses=127.0.0.1']))
  await listening(port)
  return `postgres://bench:${password}@127.0.0.1:${port}/postgres`
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
const isRoot = process.getuid?.() === 0
const asItsUser = (name: string, args: readonly string[]): readonly string[] => [
  ...(isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups'] : []),
  join(programFolder() ?? '', name),
  ...args,
]
const id = (what: string) => Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }))

async function listening(port: number): Promise<void> {
  const end = Date.now() + 20_000
  while (Date.now() < end) {
    const open = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1', () => done(true)).once('error', () => done(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    await new Promise((next) => setTimeout(next, 50))
  }
  throw new Error('PostgreSQL does not start; its words are in output.log')
}
