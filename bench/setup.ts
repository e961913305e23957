/** `npm run bench:setup`: compiles the load generator, installs other mail servers when asked, and says which can be measured. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readOptions, scratch } from './options.ts'
import { buildTool } from './tools.ts'

const say = (line: string) => process.stderr.write(`${line}\n`)
const known = ['--apt', '--haraka']
const argv = process.argv.slice(2)
if (argv.some((option) => !known.includes(option))) {
  say(`npm run bench:setup [-- --apt] [--haraka]     compiles the load generator and says which peers can be measured
  --apt      first installs compiler, OpenSSL headers and peers (Debian, root); Exim is only unpacked into the scratch folder
  --haraka   first installs Haraka from npm into the scratch folder ${scratch}`)
  process.exit(argv.includes('--help') ? 0 : 64)
}
mkdirSync(scratch, { recursive: true })
if (argv.includes('--apt')) installPackages()
if (argv.includes('--haraka')) installHaraka()
try {
  await buildTool(scratch)
  say(`the load generator is in ${scratch}`)
  const options = readOptions([])
  for (const kind of options.kind === 'run' ? options.peers : []) say(`${kind.name}: ${kind.missing() ?? `ready (${kind.about})`}`)
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(69)
}

/** Postfix gets no configuration of the system's: the benchmark brings its own. Exim cannot be installed beside it. */
function installPackages(): void {
  shell(`
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    apt-get update
    apt-get install -y --no-install-recommends gcc libc6-dev libssl-dev iproute2 util-linux strace gnupg postfix postgresql libidn12 libdb5.3
    rm -rf exim exim4-daemon-light_*.deb
    apt-get download exim4-daemon-light
    dpkg -x exim4-daemon-light_*.deb exim
    id Debian-exim || useradd --system --no-create-home --shell /usr/sbin/nologin Debian-exim`)
}

/** Its dependencies want newer versions of three packages than run on Node 20. */
function installHaraka(): void {
  const folder = join(scratch, 'haraka')
  const overrides = { 'encoding-japanese': '2.2.0', libqp: '2.1.1', libmime: '5.3.7' }
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, overrides }))
  shell('cd haraka && npm install --no-audit --no-fund --save-exact Haraka@3.3.4')
}

function shell(script: string): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const result = spawnSync('sh', ['-ec', script], { cwd: scratch, stdio: 'inherit', env: environment })
  if (result.status === 0) return
  say('bench: that failed; the reason stands above')
  process.exit(69)
}
