/** Runs the benchmark in namespaces of its own: ports, DNS and every process are its own, and all end with it. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeGroups, runName, runNameVariable } from './machine/groups.ts'

const marker = 'BENCH_ISOLATED'
const flags = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child']

/** True in the process that runs inside. */
export const isolated = (): boolean => process.env[marker] === 'yes'

export const inOwnNetwork = {
  /** Linux, root, and unshare and ip there. */
  possible: (): boolean =>
    process.getuid?.() === 0 && spawnSync('unshare', [...flags, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' }).status === 0,
  /** Runs this very command line again, inside, where DNS is what listens on 127.0.0.1; resolves with its exit code. */
  run: (folder: string): Promise<number> => {
    mkdirSync(folder, { recursive: true })
    const resolver = join(folder, 'resolv.conf')
    writeFileSync(resolver, 'nameserver 127.0.0.1\n')
    // The shell is process 1 of the namespace: it reaps what daemons leave behind.
    const script = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && "$@"; exit $?'
    const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
    const child = spawn('unshare', [...flags, 'sh', '-c', script, 'sh', resolver, ...command], {
      stdio: 'inherit',
      env: { ...process.env, [marker]: 'yes', [runNameVariable]: runName },
    })
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => child.kill('SIGKILL'))
    const code = new Promise<number>((done, fail) => child.once('error', fail).once('close', (ended) => done(ended ?? 1)))
    // However it ended: whoever is killed leaves its control groups behind.
    return code.finally(removeGroups)
  },
}
