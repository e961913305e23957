/** Exim, one delivery process a message, as Debian builds it; unpacked into the scratch folder, because it excludes Postfix as a package. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../tools.ts'
import { installed } from './installed.ts'
import { greeting, launch, type Peer, type PeerKind, type Place } from './peer.ts'

/** Debian's build looks for this user before it reads its configuration. */
const user = 'Debian-exim'

/** `scratch`: where `bench:setup -- --apt` has unpacked it. */
export const exim = (scratch: string): PeerKind => {
  const unpacked = join(scratch, 'exim', 'usr', 'sbin', 'exim4')
  const program = existsSync(unpacked) ? unpacked : installed('exim4') ? 'exim4' : undefined
  return {
    name: 'exim',
    about: 'Exim with the settings that it comes with',
    scenarios: ['20k', 'idle'],
    share: 0.2,
    missing: () => {
      if (program === undefined) return 'Exim is not here (npm run bench:setup -- --apt unpacks it)'
      if (process.getuid?.() !== 0) return 'only root can start Exim'
      return spawnSync('id', [user]).status === 0 ? undefined : `Exim needs the user ${user} (npm run bench:setup -- --apt makes it)`
    },
    start: (place) => start(program ?? '', place),
  }
}

async function start(program: string, place: Place): Promise<Peer> {
  const { folder } = place
  const at = { host: '127.0.0.1', port: await freePort() }
  const id = (what: string) => Number(execFileSync('id', [what, user], { encoding: 'utf8' }))
  await chmod(folder, 0o755)
  for (const name of ['spool', 'log']) {
    await mkdir(join(folder, name))
    await chown(join(folder, name), id('-u'), id('-g'))
  }
  const file = join(folder, 'exim.conf')
  await writeFile(file, configuration(program, place, at.port))
  launch(place, [program, '-C', file, '-bd', '-q10s'])
  await greeting('Exim', at, place)
  const version =
    /^Exim version (\S+)/m.exec(
      execFileSync(program, ['-C', '/dev/null', '-bV'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    )?.[1] ?? 'unknown'
  return { at, folder: place.folder, version, stop: () => place.account.close() }
}

function configuration(program: string, { folder, authority, next }: Place, port: number): string {
  if (next.kind !== 'smarthost') throw new Error('Exim is measured with one next hop only')
  return `
primary_hostname = relay.example.org
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
pid_file_path = ${folder}/exim.pid
exim_user = ${user}
exim_group = ${user}
exim_path = ${program}
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
tls_advertise_hosts =
disable_ipv6 = true
host_lookup =
rfc1413_hosts =
prdr_enable = false
chunking_advertise_hosts =
acl_smtp_rcpt = accept
acl_smtp_data = accept
message_size_limit = 100M
smtp_accept_max = 200
# Otherwise the eleventh message of a connection waits for the queue runner.
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 100000
queue_run_max = 5
begin routers
all:
  driver = manualroute
  route_list = * ${next.host} byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = ${next.port}
  allow_localhost
  hosts_require_tls = *
  tls_verify_certificates = ${authority}
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
  hosts_try_chunking =
begin retry
* * F,2h,1m
`
}
