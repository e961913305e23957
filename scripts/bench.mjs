/** `npm run bench:setup` and `npm run bench`: installs and builds when needed, then is bench/setup.ts or bench/run.ts. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { build, install, root } from './prepare.mjs'

const [what = 'run', ...given] = process.argv.slice(2)
const options = given.filter((option) => option !== '--no-build')

if (options.length === given.length && !options.includes('--help')) {
  install()
  build()
}

const script = join(root, 'bench', `${what}.ts`)
process.exit(spawnSync(process.execPath, ['--import', 'tsx', script, ...options], { cwd: root, stdio: 'inherit' }).status ?? 1)
