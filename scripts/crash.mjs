/**
 * `npm run test:crash`: the crash tests in their short form. `-- --long`: at least 1,000 kills and 100,000 messages with a bar, a report in
 * docs/crash-report.md, then the long forms of the other crash tests. `-- --long --kills N --messages N --report FILE`: that campaign alone.
 */
import { spawnSync } from 'node:child_process'
import { build, install, root, walk } from './prepare.mjs'

install()
build()
const given = process.argv.slice(2)
const long = given.includes('--long')
const campaign = given.filter((word) => word !== '--long')
const node = (args, more = {}) =>
  spawnSync(process.execPath, ['--import', 'tsx', ...args], { cwd: root, stdio: 'inherit', env: { ...process.env, ...more } }).status ?? 1

if (long) {
  const status = node(['test/crash/long.ts', ...campaign])
  if (status !== 0 || campaign.length > 0) process.exit(status)
}
const tests = walk('test/crash').filter((file) => file.endsWith('.test.ts'))
process.exit(node(['--test', '--test-reporter=spec', '--test-concurrency=1', ...tests], long ? { LONG_TESTS: '1' } : {}))
