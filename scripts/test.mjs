/** `npm test`: installs, builds, checks style and types, then runs the tests; `npm test -- FILE…` runs only these. */
import { spawnSync } from 'node:child_process'
import { build, install, onPath, root, run, walk } from './prepare.mjs'

const say = (text) => process.stderr.write(`${text}\n`)

/** Programs that are used as oracles when they are there; CI has them all. */
const peers = {
  gpg: 'decrypts what we encrypted with OpenPGP',
  openssl: 'speaks TLS with us and checks certificates',
  age: 'opens what we sealed',
  chromium: 'reads letters like a person does',
  swaks: 'sends mail like another program does',
  dkimverify: 'checks our DKIM signatures',
  postfix: 'receives our mail and brings us mail',
  pg_ctlcluster: 'keeps our mail as PostgreSQL does',
}

install()
build()

const missing = Object.keys(peers).filter((name) => !onPath(name))
for (const name of missing) say(`not installed, its tests are skipped: ${name} (${peers[name]})`)
if (missing.length > 0 && process.env.CI === 'true') {
  say(`with CI=true everything must be tested; missing: ${missing.join(', ')}`)
  process.exit(1)
}

const chosen = process.argv.slice(2)
const options = chosen.filter((argument) => argument.startsWith('-'))
const named = chosen.filter((argument) => !argument.startsWith('-'))
if (named.length === 0) {
  const style = run('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings'])
  if (style !== 0) process.exit(style)
  const types = run('node_modules/typescript/bin/tsc', ['--noEmit'])
  if (types !== 0) process.exit(types)
}

const files = named.length > 0 ? named : walk('test').filter((file) => file.endsWith('.test.ts'))
const reporters = [
  '--test-reporter=spec',
  '--test-reporter-destination=stdout',
  '--test-reporter=./scripts/skipped.mjs',
  '--test-reporter-destination=stdout',
]
const result = spawnSync(
  process.execPath,
  ['--import', 'tsx', '--test', ...reporters, '--test-concurrency=2', '--test-timeout=600000', ...options, ...files],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
process.exit(result.status ?? 1)
