/** The composition root: settings → parts → servers; stopped in reverse order. */

import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runCommand } from './cli/program.ts'
import { startGateway } from './gateway.ts'
import { CommandError, exitCodes } from './ops/errors.ts'
import { armFailpoint } from './ops/failpoint.ts'
import { createLog } from './ops/log.ts'
import type { Settings } from './ops/settings.ts'

/** Milliseconds for what is under way when we stop, and for all of the stopping. */
const grace = 20_000
const stopped = 30_000

/** Serve until SIGTERM or SIGINT, then finish what is under way; after 30 s, or at a second signal, it ends all the same. */
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
  setTimeout(() => {
    log.error('stopping takes too long; what is accepted is safe, and what was being delivered is tried again after the next start')
    process.exit(exitCodes.ok)
  }, stopped).unref()
  await gateway.stop(grace)
}

/** True when this file is what was started, under its own name or through the `letterlock` link. */
const isEntry = process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)

if (isEntry) {
  // Whoever reads along may go (`| head`); what is being done is done all the same.
  for (const output of [process.stdout, process.stderr])
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  try {
    process.exitCode = await runCommand(process.argv.slice(2), {
      serve,
      demo: async (options) => (await import('./demo/demo.ts')).runDemo(options, startGateway),
    })
  } catch (error) {
    process.stderr.write(
      `letterlock: ${error instanceof CommandError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
    )
    process.exitCode = 70
  }
}
