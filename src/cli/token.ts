/** The token commands: who may use the API, in which role, for how long. */
import { type Command, Option } from 'commander'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { duration, pathOf } from '../ops/settings-kinds.ts'
import { openSigner } from '../seal/signer.ts'
import { refuseLostKeys } from '../spool/belonging.ts'
import { type Role, roles } from '../web/api/roles.ts'
import { createTokens, type Tokens, type TokenTrace } from '../web/api/tokens.ts'
import { actor, type Common, command } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

const hour = 3_600_000
const longest = 366 * 24 * hour

/** Add the commands to the program. */
export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('who may use the API, in which role')
  command(token, 'create', 'make a token and print it, this once')
    .addOption(new Option('--role <role>', 'what it may do (docs/api.md)').choices([...roles]).makeOptionMandatory())
    .option('--name <name>', 'what it is for, for lists', '')
    .option('--expires <duration>', 'how long it is good, from 1h to 366d', '90d')
    .option('--dry-run', 'only say what would happen')
    .action(create)
  command(token, 'list', 'all tokens: role, name, end; never the token itself').action(list)
  command(token, 'revoke <id>', 'refuse this token from now on').option('--dry-run', 'only say what would happen').action(revoke)
}

async function withTokens(options: Common, work: (tokens: Tokens) => Promise<void>): Promise<void> {
  const settings = settingsOf(options)
  await withDatabase(settings, async (db) => {
    await refuseLostKeys(db, settings)
    await work(createTokens({ db, clock: systemClock, signer: await openSigner(pathOf(settings.keys)) }))
  })
}

type New = Common & { readonly role: Role; readonly name: string; readonly expires: string; readonly dryRun?: boolean }

async function create(options: New): Promise<void> {
  const { role, dryRun = false, json } = options
  const [name, lifetime] = [nameOf(options.name), lifetimeOf(options.expires)]
  if (dryRun) return print(`would make a token of role ${role}, good until ${time(systemClock() + lifetime)}`)
  await withTokens(options, async (tokens) => {
    const made = await tokens.create({ role, name, lifetime, by: actor() })
    if (json) return printJson(made)
    process.stderr.write(`token ${made.id}, role ${role}, good until ${time(made.expiresAt)}. It is shown this once:\n`)
    print(made.token)
  })
}

function nameOf(given: string): string {
  if (given.length <= 80 && !/[\p{Cc}\p{Cf}]/u.test(given)) return given
  throw new CommandError('usage', 'a name has at most 80 characters, all of them printable')
}

function lifetimeOf(given: string): number {
  const read = duration.read(given, '')
  if ('value' in read && read.value >= hour && read.value <= longest) return read.value
  throw new CommandError('usage', `--expires ${JSON.stringify(given)}: expected a duration from 1h to 366d, such as 90d`)
}

async function list(options: Common): Promise<void> {
  await withTokens(options, async (tokens) => {
    const all = await tokens.list()
    if (options.json) return printJson({ tokens: all })
    const rows = all.map((one) => [
      one.id,
      one.role,
      plain(one.name) || '-',
      stateOf(one),
      time(one.expiresAt),
      time(one.usedAt),
      one.createdBy,
    ])
    print(table(['ID', 'ROLE', 'NAME', 'STATE', 'GOOD UNTIL', 'LAST USED', 'MADE BY'], rows, 'There are no tokens.'))
  })
}

const stateOf = ({ revokedAt, expiresAt }: TokenTrace): string =>
  revokedAt !== null ? 'revoked' : expiresAt <= systemClock() ? 'expired' : 'good'

async function revoke(id: string, options: Common & { readonly dryRun?: boolean }): Promise<void> {
  await withTokens(options, async (tokens) => {
    const known = (await tokens.list()).find((one) => one.id === id && one.revokedAt === null)
    const done = options.dryRun ? known !== undefined : await tokens.revoke(id, actor())
    if (!done) throw new CommandError('badData', `there is no token ${plain(id)} to revoke; \`letterlock token list\` shows them`)
    if (options.json) return printJson({ id, revoked: options.dryRun !== true })
    print(options.dryRun ? `would revoke ${id}` : `${id} is revoked`)
  })
}
