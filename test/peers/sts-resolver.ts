/** Debian's postfix-mta-sts-resolver and ours, asked about the same domains, in a network of their own: both need the ports 53 and 443. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What one of them made of a domain, and whether it got as far as asking for the policy. */
export type Found = { readonly verdict: string; readonly asked: boolean }
export type Compared = {
  readonly ours: Found
  readonly theirs: Found
  /** Of our trouble, if there was any. */
  readonly reason?: string
  /** The hosts that fit by both: for a wildcard, one and two labels below it, and whether ours lets them in. */
  readonly names: readonly (readonly [name: string, fits: boolean])[]
}

/** All rows of the table, in order; throws with what the driver said when it does not end well. */
export async function compareAll(): Promise<readonly Compared[]> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-sts-resolver-'))
  try {
    await writeFile(join(folder, 'resolv.conf'), 'nameserver 127.0.0.1\n')
    await writeFile(join(folder, 'nsswitch.conf'), 'hosts: files dns\n')
    const inside = fileURLToPath(new URL('./sts-resolver-inside.ts', import.meta.url))
    const args = ['--net', '--mount', 'sh', '-c', enter, 'sh', folder, process.execPath, '--import', 'tsx', inside, folder]
    await new Promise<void>((done, fail) =>
      execFile('unshare', args, { timeout: 120_000 }, (error, _out, said) =>
        error ? fail(new Error(`${error.message}\n${said}`)) : done(),
      ),
    )
    return JSON.parse(await readFile(join(folder, 'compared.json'), 'utf8')) as readonly Compared[]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

// $1: the test's folder; then the driver. The address beside loopback is for resolvers that believe a host without one to be offline.
const enter = `
set -e
mount --make-rprivate /
ip link set lo up
ip address add 192.0.2.1/32 dev lo
for file in resolv.conf nsswitch.conf; do
  [ ! -e "/etc/$file" ] || mount --bind "$1/$file" "/etc/$file"
done
shift
exec "$@"
`
