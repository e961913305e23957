/** A real Postfix for one test: its own configuration, queue and maildir in a temporary folder, several doors, nothing of the system's touched. */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Leaf } from '../../src/demo/authority.ts'
import { firstSilent, killAtExit, killGroup } from './daemon.ts'
import { type Maildir, readMaildir } from './maildir.ts'

export type Postfix = {
  readonly maildir: Maildir
  readonly log: () => string
  /** Submit as a local program does. */
  readonly sendmail: (args: readonly string[], mail: Buffer) => Promise<void>
  readonly stop: () => Promise<void>
}

/** A door without `tls` offers no STARTTLS. */
export type Door = { readonly host: string; readonly port: number; readonly tls?: Leaf }

export type PostfixOptions = {
  readonly domains: readonly string[]
  readonly doors: readonly Door[]
  /** Where everything else goes, over mandatory TLS. */
  readonly relayhost?: { readonly host: string; readonly port: number }
}

const run = promisify(execFile)

/** Start it; throws with its log when it does not listen. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-postfix-'))
  const conf = join(folder, 'conf')
  try {
    await prepare(folder, options)
    const log = () => readFileSync(join(folder, 'log'), 'utf8')
    const stop = await startMaster(conf, join(folder, 'queue', 'pid', 'master.pid'))
    const silent = await firstSilent(options.doors, () => false)
    if (silent) {
      await stop()
      throw new Error(`Postfix does not listen at ${silent.host}:${silent.port}:\n${log()}`)
    }
    return {
      maildir: readMaildir(join(folder, 'mail', 'box')),
      log,
      sendmail: (args, mail) => sendmail(conf, args, mail),
      stop: async () => {
        await stop()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Postfix's master makes itself the leader of a group of its own; how to end it. */
async function startMaster(conf: string, pidFile: string): Promise<() => Promise<void>> {
  await run('postfix', ['-c', conf, 'start'])
  const master = Number((await readFile(pidFile, 'utf8')).trim())
  const forget = killAtExit(() => master)
  return async () => {
    await run('postfix', ['-c', conf, 'abort']).catch(() => undefined)
    killGroup(master, 'SIGKILL')
    forget()
  }
}

async function prepare(folder: string, { domains, doors, relayhost }: PostfixOptions): Promise<void> {
  // The queue belongs to its own user, who must be able to get there.
  await chmod(folder, 0o755)
  for (const name of ['conf', 'queue', 'lib', 'mail']) await mkdir(join(folder, name))
  const id = (what: string, user: string) => Number(execFileSync('id', [what, user], { encoding: 'utf8' }))
  await chown(join(folder, 'lib'), id('-u', 'postfix'), id('-g', 'postfix'))
  const [user, group] = [id('-u', 'nobody'), id('-g', 'nobody')]
  await chown(join(folder, 'mail'), user, group)
  const main = {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'queue'),
    data_directory: join(folder, 'lib'),
    maillog_file: join(folder, 'log'),
    maillog_file_prefixes: folder,
    myhostname: 'postfix.example',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    alias_maps: '',
    alias_database: '',
    smtpd_peername_lookup: 'no',
    virtual_mailbox_domains: domains.join(' '),
    virtual_mailbox_base: join(folder, 'mail'),
    virtual_mailbox_maps: 'static:box/',
    virtual_uid_maps: `static:${user}`,
    virtual_gid_maps: `static:${group}`,
    // Nothing leaves for the real internet.
    relayhost: relayhost ? `[${relayhost.host}]:${relayhost.port}` : '[127.0.0.1]:1',
    smtp_tls_security_level: 'encrypt',
    smtp_dns_support_level: 'disabled',
    smtp_host_lookup: 'native',
  }
  await writeFile(join(folder, 'conf', 'main.cf'), lines(Object.entries(main).map(([name, value]) => `${name} = ${value}`)))
  const inward: string[] = []
  for (const [i, { host, port, tls }] of doors.entries()) {
    const [cert, key] = [join(folder, 'conf', `${i}.crt`), join(folder, 'conf', `${i}.key`)]
    const settings = tls
      ? `-o smtpd_tls_security_level=may -o smtpd_tls_cert_file=${cert} -o smtpd_tls_key_file=${key} -o smtpd_tls_received_header=yes`
      : '-o smtpd_tls_security_level=none'
    if (tls) await writeFile(cert, tls.cert)
    if (tls) await writeFile(key, tls.key, { mode: 0o600 })
    inward.push(`${host}:${port} inet n - n - - smtpd ${settings}`)
  }
  await writeFile(join(folder, 'conf', 'master.cf'), lines([...inward, ...services]))
}

const lines = (all: readonly string[]) => `${all.join('\n')}\n`

const services = [
  'pickup unix n - n 1 1 pickup',
  'cleanup unix n - n - 0 cleanup',
  'qmgr unix n - n 5 1 qmgr',
  'rewrite unix - - n - - trivial-rewrite',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'flush unix n - n 1000? 0 flush',
  'proxymap unix - - n - - proxymap',
  'smtp unix - - n - - smtp',
  'error unix - - n - - error',
  'retry unix - - n - - error',
  'virtual unix - n n - - virtual',
  'anvil unix - - n - 1 anvil',
  'scache unix - - n - 1 scache',
  'tlsmgr unix - - n 1000? 1 tlsmgr',
  'postlog unix-dgram n - n - 1 postlogd',
]

function sendmail(conf: string, args: readonly string[], mail: Buffer): Promise<void> {
  const child = spawn('sendmail', ['-C', conf, ...args], { stdio: ['pipe', 'ignore', 'pipe'] })
  let error = ''
  child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()))
  child.stdin.end(mail)
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (code) => (code === 0 ? done() : fail(new Error(`sendmail ended with ${code}: ${error}`))))
  })
}
