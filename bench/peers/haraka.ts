/** Haraka, the mail server in Node, with one process a processor; from npm, in the scratch folder. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../tools.ts'
import { greeting, launch, type Peer, type PeerKind, type Place } from './peer.ts'

/** `scratch`: where `bench:setup -- --haraka` has installed it. */
export const haraka = (scratch: string): PeerKind => {
  const home = join(scratch, 'haraka', 'node_modules', 'Haraka')
  return {
    name: 'haraka',
    about: 'Haraka with a worker for each processor',
    scenarios: ['20k', '20k-once', 'idle'],
    share: 0.4,
    missing: () => (existsSync(home) ? undefined : 'Haraka is not here (npm run bench:setup -- --haraka installs it from npm)'),
    start: (place) => start(home, place),
  }
}

async function start(home: string, place: Place): Promise<Peer> {
  const { folder, next, authority } = place
  if (next.kind !== 'smarthost') throw new Error('Haraka is measured with one next hop only')
  const at = { host: '127.0.0.1', port: await freePort() }
  for (const name of ['config', 'plugins', 'queue']) await mkdir(join(folder, name))
  const config = {
    'smtp.ini': `listen=127.0.0.1:${at.port}\nnodes=${availableParallelism()}\n`,
    'connection.ini': readFileSync(join(home, 'config', 'connection.ini'), 'utf8').replace(/^;*\s*bytes *=.*$/m, 'bytes=104857600'),
    databytes: '104857600',
    me: 'relay.example.org',
    plugins: 'relay\n',
    host_list: 'localhost.invalid\n',
    'outbound.ini': 'local_mx_ok=true\nconcurrency_max=100\n',
    'tls.ini': '[outbound]\nrejectUnauthorized=true\nforce_tls_hosts[]=127.0.0.1\n',
    'log.ini': '[main]\nlevel=info\n',
  }
  for (const [name, text] of Object.entries(config)) await writeFile(join(folder, 'config', name), text)
  await writeFile(join(folder, 'plugins', 'relay.js'), plugin(next.port))
  const child = launch(place, [process.execPath, join(home, 'bin', 'haraka'), '-c', folder], { NODE_EXTRA_CA_CERTS: authority })
  await greeting('Haraka', at, place, child)
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  return { at, folder: place.folder, version, stop: () => place.account.close() }
}

/** Takes everything, and sends it to the sink. */
const plugin = (port: number) => `
exports.hook_connect = (next, connection) => { connection.relaying = true; next() }
exports.hook_rcpt = (next) => next(OK)
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '127.0.0.1', port: ${port} })
`
