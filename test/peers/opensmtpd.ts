/** A real OpenSMTPD for one test, in a mount namespace of its own: its fixed folders and users exist only in there. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Leaf } from '../../src/demo/authority.ts'
import { startDaemon } from './daemon.ts'
import { type Maildir, readMaildir } from './maildir.ts'

export type OpenSmtpd = { readonly maildir: Maildir; readonly log: () => string; readonly stop: () => Promise<void> }
export type Door = { readonly host: string; readonly port: number; readonly hostname: string; readonly tls?: Leaf }

/**
 * Where the Debian package lies unpacked (`dpkg -x`): it cannot be installed beside Postfix. `.ci/run` puts it there.
 * Undefined: nowhere.
 */
export function unpackedOpenSmtpd(): string | undefined {
  const folder = process.env.OPENSMTPD_ROOT ?? join(homedir(), '.cache', 'letterlock-peers', 'opensmtpd')
  return existsSync(join(folder, 'usr', 'sbin', 'smtpd')) ? folder : undefined
}

/** Start it; throws with its log when it does not listen. */
export async function startOpenSmtpd(unpacked: string, domains: readonly string[], doors: readonly Door[]): Promise<OpenSmtpd> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-opensmtpd-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    await prepare(folder, domains, doors)
    const daemon = await startDaemon('unshare', ['--mount', 'sh', '-c', enter, 'sh', folder, unpacked], doors)
    return {
      maildir: readMaildir(join(folder, 'mail')),
      log: daemon.log,
      stop: async () => {
        await daemon.stop()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

// $1: the test's folder, $2: the unpacked package. Whatever is mounted ends with the last process of the namespace.
const enter = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /var/spool
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
for file in passwd group; do
  { grep -v '^opensmtp[dq]:' "/etc/$file"; cat "$1/$file"; } > "$1/all-$file"
  mount --bind "$1/all-$file" "/etc/$file"
done
mount -t overlay overlay -o "lowerdir=$2/usr:/usr" /usr
exec /usr/sbin/smtpd -d -f "$1/smtpd.conf"
`

async function prepare(folder: string, domains: readonly string[], doors: readonly Door[]): Promise<void> {
  // Its delivery agent runs as another user, who must be able to get there.
  await chmod(folder, 0o755)
  await mkdir(join(folder, 'mail'))
  const id = (what: string) => Number(execFileSync('id', [what, 'nobody'], { encoding: 'utf8' }))
  await chown(join(folder, 'mail'), id('-u'), id('-g'))
  const conf: string[] = ['table anyone { "@" = "nobody" }']
  for (const [i, { host, port, hostname, tls }] of doors.entries()) {
    const listen = `listen on ${host} port ${port} hostname "${hostname}"`
    if (!tls) {
      conf.push(listen)
      continue
    }
    const [cert, key] = [join(folder, `${i}.crt`), join(folder, `${i}.key`)]
    await writeFile(cert, tls.cert)
    await writeFile(key, tls.key, { mode: 0o600 })
    conf.push(`pki "door${i}" cert "${cert}"`, `pki "door${i}" key "${key}"`, `${listen} tls pki "door${i}"`)
  }
  conf.push(
    `action "local" maildir "${join(folder, 'mail')}" virtual <anyone> user "nobody"`,
    ...domains.map((domain) => `match from any for domain "${domain}" action "local"`),
  )
  await writeFile(join(folder, 'smtpd.conf'), `${conf.join('\n')}\n`)
  const users = ['opensmtpd', 'opensmtpq'].map((name, i) => ({ name, id: 64_990 + i }))
  const passwd = users.map(({ name, id: number }) => `${name}:x:${number}:${number}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n`)
  await writeFile(join(folder, 'passwd'), passwd.join(''))
  await writeFile(join(folder, 'group'), users.map(({ name, id: number }) => `${name}:x:${number}:\n`).join(''))
}
