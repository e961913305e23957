/** A real unbound for one test: it validates a root that the test signs, from zone files of its own, and asks nobody else. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exchange } from '../../src/transport/dns-exchange.ts'
import { startDaemon } from './daemon.ts'

export type Unbound = { readonly log: () => string; readonly stop: () => Promise<void> }

export type Zones = {
  /** Lines of the root zone, which is signed; names absolute. */
  readonly signed: readonly string[]
  /** Zones below that are delegated without a signature. */
  readonly unsigned?: { readonly [name: string]: readonly string[] }
  /** Changed after signing, line by line: their signatures no longer hold. */
  readonly forge?: (line: string) => string
}

/** Start it on loopback; throws with its log when it does not answer. */
export async function startUnbound(port: number, { signed, unsigned = {}, forge = (line) => line }: Zones): Promise<Unbound> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-unbound-'))
  try {
    const delegations = Object.keys(unsigned).flatMap((zone) => [`${zone}. IN NS ns.${zone}.`, `ns.${zone}. IN A 127.0.0.1`])
    const key = await sign(folder, [...head('.'), 'ns. IN A 127.0.0.1', ...delegations, ...signed])
    const path = join(folder, 'root.zone.signed')
    await writeFile(path, (await readFile(path, 'utf8')).split('\n').map(forge).join('\n'))
    for (const [zone, lines] of Object.entries(unsigned))
      await writeFile(join(folder, `${zone}.zone`), [...head(`${zone}.`), `ns.${zone}. IN A 127.0.0.1`, ...lines, ''].join('\n'))
    await writeFile(join(folder, 'unbound.conf'), configuration(folder, port, key, Object.keys(unsigned)))
    const daemon = await startDaemon('unbound', ['-d', '-c', join(folder, 'unbound.conf')], [])
    const stop = async () => {
      await daemon.stop()
      await rm(folder, { recursive: true, force: true })
    }
    if (await answersWithin(60_000, port)) return { log: daemon.log, stop }
    await daemon.stop()
    throw new Error(`unbound does not answer on port ${port}:\n${daemon.log()}`)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

const head = (zone: string) => [
  '$TTL 300',
  `${zone} IN SOA ns.${zone === '.' ? '' : zone} nobody.invalid. 1 3600 600 86400 60`,
  `${zone} IN NS ns.${zone === '.' ? '' : zone}`,
]

/** Signs `root.zone` with a new key, which signs itself as well: the file of its DS record, the trust anchor. */
async function sign(folder: string, lines: readonly string[]): Promise<string> {
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: folder }).toString().trim()
  await writeFile(join(folder, 'root.zone'), [...lines, ''].join('\n'))
  const key = run('ldns-keygen', '-r', '/dev/urandom', '-a', 'ECDSAP256SHA256', '-k', '.')
  run('ldns-signzone', '-o', '.', '-f', 'root.zone.signed', 'root.zone', key)
  return join(folder, `${key}.ds`)
}

const configuration = (folder: string, port: number, anchor: string, unsigned: readonly string[]): string => `
server:
  interface: 127.0.0.1
  port: ${port}
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  val-log-level: 2
  num-threads: 1
  module-config: "validator iterator"
  trust-anchor-file: "${anchor}"
remote-control:
  control-enable: no
${['.', ...unsigned]
  .map(
    (zone) => `auth-zone:
  name: "${zone}"
  zonefile: "${join(folder, zone === '.' ? 'root.zone.signed' : `${zone}.zone`)}"
  for-upstream: yes
  for-downstream: no
  fallback-enabled: no
`,
  )
  .join('')}`

async function answersWithin(time: number, port: number): Promise<boolean> {
  for (const end = Date.now() + time; Date.now() < end; ) {
    const answer = await exchange({ host: '127.0.0.1', port }, { name: '', type: 'SOA' }, 200)
    if (answer.kind === 'answer' && answer.rcode === 'NOERROR') return true
    await new Promise((next) => setTimeout(next, 50))
  }
  return false
}
