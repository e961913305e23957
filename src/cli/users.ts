/** The commands about people and machines that submit with AUTH: user add, list, disable. */
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Command } from 'commander'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { createUsers, type Users } from '../submission/users.ts'
import { actor, type Common, command, later } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

/** Add the commands to the program. */
export function addUserCommands(program: Command): void {
  const user = program.command('user').description('who may submit with AUTH')
  command(user, 'add <name>', 'add a user, or set a new password; it is read from the terminal or from stdin, never from the command line')
    .option('--generate', 'make a password and print it once')
    .option('--dry-run', 'only say what would happen')
    .action((name: string, options: Common & { generate?: boolean; dryRun?: boolean }) =>
      withUsers(options, (users) => add(users, name, options)),
    )
  command(user, 'list', 'all users').action((options: Common) =>
    withUsers(options, async (users) => {
      const all = await users.list()
      if (options.json) return printJson({ users: all })
      print(
        table(
          ['NAME', 'SINCE', 'DISABLED'],
          all.map((one) => [plain(one.name), time(one.createdAt), time(one.disabledAt)]),
          'There are no users.',
        ),
      )
    }),
  )
  command(user, 'disable <name>', 'no longer accept this user')
    .option('--dry-run', 'only say what would happen')
    .action((name: string, options: Common & { dryRun?: boolean }) =>
      withUsers(options, async (users) => {
        if (options.dryRun) {
          const known = (await users.list()).some((one) => one.name === name && one.disabledAt === null)
          if (!known) throw new CommandError('badData', `there is no user ${name}; \`letterlock user list\` shows them`)
          return print(`would disable ${name}`)
        }
        const disabled = await users.disable(name, actor())
        if (disabled.kind === 'unknown') throw new CommandError('badData', `there is no user ${name}; \`letterlock user list\` shows them`)
        if (options.json) return printJson({ name, disabled: true })
        print(`${name} is disabled`)
      }),
    )
  later(user, 'link')
}

const withUsers = (options: Common, work: (users: Users) => Promise<void>): Promise<void> => {
  const settings = settingsOf(options)
  return withDatabase(settings, (db) => work(createUsers({ db, clock: systemClock, settings })))
}

async function add(users: Users, name: string, options: Common & { generate?: boolean; dryRun?: boolean }): Promise<void> {
  if (options.dryRun)
    return print(`${(await users.list()).some((one) => one.name === name) ? 'would give a new password to' : 'would add'} ${name}`)
  const password = options.generate ? randomBytes(18).toString('base64url') : await readPassword()
  const added = await users.add(name, password, actor())
  if (added.kind === 'refused') throw new CommandError('badData', added.text)
  if (options.json) return printJson({ name: added.name, ...(options.generate && { password }) })
  print(options.generate ? `${added.name} may submit with this password, shown this once: ${password}` : `${added.name} may submit now`)
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
