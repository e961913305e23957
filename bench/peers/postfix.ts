/** Postfix as Debian ships it, stock or tuned, with its own configuration and queue. */
import { execFile, execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../tools.ts'
import { installed } from './installed.ts'
import { greeting, launch, type Next, type Peer, type PeerKind, type Place } from './peer.ts'

const run = promisify(execFile)

export const postfix: PeerKind = {
  name: 'postfix',
  about: 'Postfix with the settings that it comes with',
  missing: () => missing(),
  start: (place) => start(place, {}),
}

/** What its authors advise for relays (TUNING_README, TLS_README, CONNECTION_CACHE_README), taken far. */
export const tunedPostfix: PeerKind = {
  name: 'postfix-tuned',
  about: 'Postfix with TLS connection reuse, no delay of intake, 20 connections to a destination from the start',
  missing: () => missing(),
  start: (place) =>
    start(place, {
      smtp_tls_connection_reuse: 'yes',
      smtp_connection_cache_on_demand: 'yes',
      smtp_connection_cache_destinations: place.next.kind === 'smarthost' ? place.next.host : '',
      in_flow_delay: '0',
      smtp_destination_concurrency_limit: '20',
      initial_destination_concurrency: '20',
    }),
}

function missing(): string | undefined {
  if (!installed('postfix')) return 'Postfix is not installed (Debian: apt install postfix)'
  return process.getuid?.() === 0 ? undefined : 'only root can start Postfix'
}

type Settings = { readonly [name: string]: string }

async function start(place: Place, tuning: Settings): Promise<Peer> {
  const port = await freePort()
  const conf = join(place.folder, 'conf')
  await prepare(place, port, tuning)
  launch(place, ['postfix', '-c', conf, 'start'])
  const at = { host: '127.0.0.1', port }
  await greeting('Postfix', at, place)
  return {
    at,
    folder: place.folder,
    version: execFileSync('postconf', ['-d', '-h', 'mail_version'], { encoding: 'utf8' }).trim(),
    stop: async () => {
      await run('postfix', ['-c', conf, 'abort']).catch(() => undefined)
      await place.account.close()
    },
  }
}

async function prepare(place: Place, port: number, tuning: Settings): Promise<void> {
  const { folder, authority, next } = place
  // The queue belongs to its own user, who must be able to get there.
  await chmod(folder, 0o755)
  for (const name of ['conf', 'queue', 'lib']) await mkdir(join(folder, name))
  const id = (what: string) => Number(execFileSync('id', [what, 'postfix'], { encoding: 'utf8' }))
  await chown(join(folder, 'lib'), id('-u'), id('-g'))
  const main = {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'queue'),
    data_directory: join(folder, 'lib'),
    maillog_file: join(folder, 'mail.log'),
    maillog_file_prefixes: folder,
    myhostname: 'relay.example.org',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    alias_maps: '',
    alias_database: '',
    message_size_limit: '104857600',
    mailbox_size_limit: '0',
    smtp_tls_CAfile: authority,
    smtp_tls_session_cache_database: `btree:${join(folder, 'lib', 'sessions')}`,
    ...nextHop(next),
    ...tuning,
  }
  const lines = Object.entries(main).map(([name, value]) => `${name} = ${value}`)
  await writeFile(join(folder, 'conf', 'main.cf'), `${lines.join('\n')}\n`)
  await writeFile(join(folder, 'conf', 'master.cf'), `127.0.0.1:${port} inet n - n - - smtpd\n${services.join('\n')}\n`)
}

/** Verified TLS both ways: the certificate must be trusted and fit the host that is connected to. */
function nextHop(next: Next): Settings {
  if (next.kind === 'internet') return { relayhost: '', smtp_tls_security_level: 'verify', smtp_dns_support_level: 'enabled' }
  return {
    relayhost: `[${next.host}]:${next.port}`,
    smtp_tls_security_level: 'secure',
    smtp_tls_secure_cert_match: 'nexthop',
    smtp_host_lookup: 'native',
    smtp_dns_support_level: 'disabled',
  }
}

/** master.cf as it comes, without chroot and without what nobody uses here. */
const services = [
  'pickup unix n - n 60 1 pickup',
  'cleanup unix n - n - 0 cleanup',
  'qmgr unix n - n 300 1 qmgr',
  'tlsmgr unix - - n 1000? 1 tlsmgr',
  'rewrite unix - - n - - trivial-rewrite',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'verify unix - - n - 1 verify',
  'flush unix n - n 1000? 0 flush',
  'proxymap unix - - n - - proxymap',
  'proxywrite unix - - n - 1 proxymap',
  'smtp unix - - n - - smtp',
  'relay unix - - n - - smtp',
  'error unix - - n - - error',
  'retry unix - - n - - error',
  'discard unix - - n - - discard',
  'anvil unix - - n - 1 anvil',
  'scache unix - - n - 1 scache',
  'tlsproxy unix - - n - 0 tlsproxy',
  'postlog unix-dgram n - n - 1 postlogd',
]
