/** Letterlock itself: the built program in a folder of its own, verified TLS, policy and audit on. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../tools.ts'
import { greeting, launch, type Peer, type PeerKind, type Place } from './peer.ts'
import { postgresMissing, startPostgres } from './postgres.ts'

export type Ours = {
  readonly name: string
  readonly about: string
  /** The program's main.js. */
  readonly program: string
  /** With a PostgreSQL of its own; default: SQLite in the folder. */
  readonly postgres?: boolean
  /** More settings, as in the file. */
  readonly settings?: { readonly [key: string]: unknown }
  /** Only these; default: all. */
  readonly scenarios?: readonly string[]
}

/** One build and one set of settings, as a peer. */
export function ours({ name, about, program, postgres = false, settings = {}, scenarios }: Ours): PeerKind {
  return {
    name,
    about,
    ...(scenarios === undefined ? {} : { scenarios }),
    missing: () => (existsSync(program) ? (postgres ? postgresMissing() : undefined) : `${program} is not there; npm run build makes it`),
    start: async (place) => start(name, program, place, { ...(postgres ? { database: await startPostgres(place) } : {}), ...settings }),
  }
}

async function start(name: string, program: string, place: Place, more: { readonly [key: string]: unknown }): Promise<Peer> {
  const at = { host: '127.0.0.1', port: await freePort() }
  const local = async () => `127.0.0.1:${await freePort()}`
  const settings = {
    hostname: 'relay.example.org',
    'organisation.domains': ['example.org'],
    data: join(place.folder, 'data'),
    'smtp.listen': [`${at.host}:${at.port}`],
    'portal.listen': await local(),
    'admin.listen': await local(),
    'metrics.listen': await local(),
    'smtp.maxMessageSize': '100MiB',
    'tls.ca': place.authority,
    'delivery.ipv6': false,
    'delivery.allowPrivateAddresses': true,
    ...(place.next.kind === 'smarthost'
      ? { 'delivery.routes': { '*': { host: place.next.host, port: place.next.port, tls: 'verified' } } }
      : {}),
    ...more,
  }
  const file = join(place.folder, 'letterlock.yaml')
  // JSON is YAML. It may hold a password.
  await writeFile(file, JSON.stringify(nested(settings), null, 2), { mode: 0o600 })
  const child = launch(place, [process.execPath, ...loader(program), program, 'serve', '--config', file])
  await greeting(name, at, place, child)
  return { at, folder: place.folder, version: await versionOf(program), stop: () => place.account.close() }
}

/** The tests start the source as it is. The loader is named by its place, because the server runs in a folder of its own. */
const loader = (program: string): readonly string[] => (program.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [])

function nested(settings: { readonly [key: string]: unknown }): object {
  const tree: { [key: string]: unknown } = {}
  for (const [key, value] of Object.entries(settings)) {
    const names = key.split('.')
    const last = names.pop() ?? key
    let at = tree
    for (const name of names) {
      at[name] ??= {}
      at = at[name] as { [key: string]: unknown }
    }
    at[last] = value
  }
  return tree
}

const versionOf = async (program: string): Promise<string> =>
  JSON.parse(await readFile(join(program, '..', '..', 'package.json'), 'utf8').catch(() => '{}')).version ?? 'unknown'
