/** The composition root: settings → parts → servers; stopped in reverse order. */

import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runCommand } from './cli/program.ts'
import { runDemo } from './demo/demo.ts'
import { startGateway } from './gateway.ts'
import { CommandError } from './ops/errors.ts'
import { armFailpoint } from './ops/failpoint.ts'
import { createLog } from './ops/log.ts'
import type { Settings } from './ops/settings.ts'

/** Serve until SIGTERM or SIGINT, then drain for at most 30 s; a second signal ends it at once. */
async function serve(settings: Settings): Promise<void> {
  const log = createLog(settings)
  const failpoint = armFailpoint(process.env.LETTERLOCK_FAILPOINT)
  if (failpoint !== undefined)
    log.warn({ failpoint }, 'LETTERLOCK_FAILPOINT is set: this gateway kills itself there; it is for crash tests only')
  const gateway = await startGateway(settings, { log })
  for (const line of gateway.greeting) process.stderr.write(`${line}\n`)
  process.on('SIGHUP', () => {
    gateway.reload().catch((error) => log.error({ err: error }, 'reloading failed; what was in force stays'))
  })
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  })
  log.info({ signal }, 'stopping: what is under way is finished first')
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1))
  await gateway.stop(30_000)
}

/** True when this file is what was started, under its own name or through the `letterlock` link. */
const isEntry = process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)

if (isEntry) {
  try {
    process.exitCode = await runCommand(process.argv.slice(2), { serve, demo: (options) => runDemo(options, startGateway) })
  } catch (error) {
    process.stderr.write(
      `letterlock: ${error instanceof CommandError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
    )
    process.exitCode = 70
  }
}
