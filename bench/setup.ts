/** `npm run bench:setup`: compiles the load generator and says which other mail servers can be measured; `-- --apt` installs them (Debian). */
import { spawnSync } from 'node:child_process'
import { readOptions, scratch } from './options.ts'
import { buildTool } from './tools.ts'

const say = (line: string) => process.stderr.write(`${line}\n`)
const argv = process.argv.slice(2)
if (argv.some((option) => option !== '--apt')) {
  say(
    'npm run bench:setup [-- --apt]      compile the load generator; --apt: first install compiler, OpenSSL headers and peers (Debian, root)',
  )
  process.exit(argv.includes('--help') ? 0 : 64)
}
if (argv.includes('--apt')) installPackages()
try {
  await buildTool(scratch)
  say(`the load generator is in ${scratch}`)
  const options = readOptions([])
  for (const kind of options.kind === 'run' ? options.peers : []) say(`${kind.name}: ${kind.missing() ?? `ready (${kind.about})`}`)
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(69)
}

/** Postfix gets no configuration of the system's: the benchmark brings its own. */
function installPackages(): void {
  const script = `
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libssl-dev iproute2 strace postfix`
  const result = spawnSync('sh', ['-ec', script], { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  if (result.status === 0) return
  say('bench: apt-get failed; the reason stands above')
  process.exit(69)
}
