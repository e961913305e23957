/** The commands about people and machines that submit with AUTH: user add, list, disable. */
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Command } from 'commander'
import { entry } from '../audit/audit.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { createUsers } from '../submission/users.ts'
import type { Db } from '../store/db.ts'
import { command, type Common } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

/** Add the commands to the program. */
export function addUserCommands(program: Command): void {
  const user = program.command('user').description('who may submit with AUTH')
  command(user, 'add <name>', 'add a user, or set a new password; it is read from the terminal or from stdin, never from the command line')
    .option('--generate', 'make a password and print it once')
    .action((name: string, options: Common & { generate?: boolean }) => withDatabase(settingsOf(options), (db) => add(db, name, options)))
  command(user, 'list', 'all users').action((options: Common) =>
    withDatabase(settingsOf(options), async (db) => {
      const users = await createUsers({ db, clock: systemClock }).list()
      if (options.json) return printJson({ users })
      print(table(['NAME', 'SINCE', 'DISABLED'], users.map((one) => [plain(one.name), time(one.createdAt), time(one.disabledAt)]), 'There are no users.'))
    }),
  )
  command(user, 'disable <name>', 'no longer accept this user').action((name: string, options: Common) =>
    withDatabase(settingsOf(options), async (db) => {
      if (!(await createUsers({ db, clock: systemClock }).disable(name))) throw new CommandError('badData', `there is no user ${name}; \`letterlock user list\` shows them`)
      await db.write(entry(systemClock(), { actor: 'cli', action: 'user.disabled', object: name, detail: {} }))
      options.json ? printJson({ name, disabled: true }) : print(`${name} is disabled`)
    }),
  )
}

async function add(db: Db, name: string, options: Common & { generate?: boolean }): Promise<void> {
  if (!/^[\p{L}\p{N}._@+-]{1,128}$/u.test(name)) throw new CommandError('usage', 'a user name has letters, digits and . _ @ + - only')
  const password = options.generate ? randomBytes(18).toString('base64url') : await readPassword()
  if (password.length < 12) throw new CommandError('badData', 'the password is too short: at least 12 characters, or let --generate make one')
  await createUsers({ db, clock: systemClock }).add(name, password)
  await db.write(entry(systemClock(), { actor: 'cli', action: 'user.added', object: name, detail: {} }))
  if (options.json) return printJson({ name, ...(options.generate && { password }) })
  print(options.generate ? `${name} may submit with this password, shown this once: ${password}` : `${name} may submit now`)
}

/** One line of stdin; nothing is echoed on a terminal. */
async function readPassword(): Promise<string> {
  const terminal = process.stdin.isTTY === true
  if (terminal) process.stderr.write('Password: ')
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: silent, terminal })
  for await (const line of lines) {
    lines.close()
    if (terminal) process.stderr.write('\n')
    return line
  }
  throw new CommandError('usage', 'no password was given: type it, pipe it in, or use --generate')
}
