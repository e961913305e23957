/** The `letterlock` command: nouns and verbs, one place that turns errors into exit codes. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { CommandError, exitCodes } from '../ops/errors.ts'
import { packageRoot } from '../ops/package-root.ts'
import type { Settings } from '../ops/settings.ts'
import { printedSettings } from '../ops/settings-print.ts'
import { PolicyAltered } from '../routing/signature.ts'
import { KeyFileBroken } from '../seal/keyring.ts'
import { addBackupCommand } from './backup.ts'
import { type Common, command, commonLast, later } from './command.ts'
import { addDomainCommands } from './domain.ts'
import { addKeyCommands } from './keys.ts'
import { addMessageCommands } from './messages.ts'
import { settingsOf } from './open.ts'
import { addPolicyCommands } from './policy.ts'
import { print, printJson } from './print.ts'
import { addQueueCommands } from './queue.ts'
import { addRestoreCommand } from './restore.ts'
import { addTokenCommands } from './token.ts'
import { addUserCommands } from './users.ts'

/** What the composition root hands in: servers are put together there. */
export type Servers = {
  /** Serve until a signal ends it. */
  readonly serve: (settings: Settings) => Promise<void>
  readonly demo: (options: { readonly auto: boolean; readonly portBase: number | undefined }) => Promise<void>
}

/** Run one command line (without node and script). Resolves with the exit code of sysexits.h. */
export async function runCommand(argv: readonly string[], servers: Servers): Promise<number> {
  try {
    await buildProgram(servers).parseAsync(commonLast(argv), { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const told = foretold(error)
    if (told === undefined) throw error
    process.stderr.write(`letterlock: ${told.message}\n`)
    return told.exitCode
  }
}

/** What has a sentence for the operator; undefined for a bug of ours. */
function foretold(error: unknown): CommandError | undefined {
  if (error instanceof CommandError) return error
  return error instanceof KeyFileBroken || error instanceof PolicyAltered ? new CommandError('unavailable', error.message) : undefined
}

function buildProgram(servers: Servers): Command {
  const program = new Command('letterlock')
    .description('A secure-send mail gateway: forced verified TLS, else PGP, else a sealed letter.')
    .version(version())
    .exitOverride()
  program.showSuggestionAfterError().showHelpAfterError('(`letterlock --help` lists the commands)')
  command(program, 'serve', 'run the gateway').action((options: Common) => servers.serve(settingsOf(options)))
  command(program, 'demo', 'the gateway with a fake internet on this machine: partners of every manner and an inbox page')
    .option('--auto', 'send to all partners at once, without a press')
    .option('--port <port>', 'port of the inbox page, the others follow it; 0 takes free ones', Number)
    .action((options: { auto?: boolean; port?: number }) => servers.demo({ auto: options.auto === true, portBase: options.port }))
  addPolicyCommands(program)
  addMessageCommands(program)
  addQueueCommands(program)
  addDomainCommands(program)
  addKeyCommands(program)
  addUserCommands(program)
  addTokenCommands(program)
  addBackupCommand(program)
  addRestoreCommand(program)
  const settings = program.command('settings').description('how this installation is set up')
  command(settings, 'print', 'every setting, its value and where it comes from').action((options: Common) => {
    const printed = printedSettings(options.config, process.env)
    if (printed.kind === 'bad') throw new CommandError('settings', printed.text)
    options.json ? printJson({ settings: printed.rows }) : print(printed.text)
  })
  for (const noun of laterNouns) later(program, noun)
  return program
}

/** Named by the product, not there yet. */
const laterNouns = ['setup', 'doctor', 'evidence', 'audit', 'report']

const version = (): string => (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version
