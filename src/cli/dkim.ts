/** The commands about the keys that sign our own mail: keys dkim create, list, remove. */
import { createHash, createPublicKey } from 'node:crypto'
import { type Command, Option } from 'commander'
import { entry } from '../audit/audit.ts'
import { canonicalDomain } from '../mail/address.ts'
import { type DkimAlgorithm, publicRecord, recordName, zoneLine } from '../mail/dkim.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { pathOf } from '../ops/settings.ts'
import { type DkimKey, destroyDkimKey, makeDkimKey, openDkimKeys } from '../seal/dkim-keys.ts'
import { actor, type Common, command } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { print, printJson, table, time } from './print.ts'

type Changing = Common & { readonly dryRun?: boolean }
type CreateOptions = Changing & { readonly selector?: string; readonly algorithm: DkimAlgorithm }

/** Add the commands below `keys`. */
export function addDkimCommands(keys: Command): void {
  const dkim = keys.command('dkim').description('the keys that sign the mail we write ourselves (docs/dkim.md)')
  command(dkim, 'create <domain>', 'make a key for mail from this domain, and print the DNS record to publish')
    .option('--selector <selector>', 'name of the key below _domainkey; by default from date and algorithm')
    .addOption(new Option('--algorithm <algorithm>', 'make one of each: both then sign').choices(['ed25519', 'rsa']).default('rsa'))
    .option('--dry-run', 'only say what would happen')
    .action(create)
  command(dkim, 'list', 'the keys, their records, and which of them sign').action(list)
  command(dkim, 'remove <domain> <selector>', 'destroy a key; its record should stay published for a week')
    .option('--dry-run', 'only say what would happen')
    .action(remove)
}

const keysOf = (options: Common) => {
  const folder = pathOf(settingsOf(options).keys)
  return { folder, keys: openDkimKeys(folder, (text) => tell(text)) }
}

async function create(given: string, options: CreateOptions): Promise<void> {
  const { algorithm, dryRun = false } = options
  const domain = canonicalDomain(given)
  if (domain === undefined || domain.startsWith('[')) throw new CommandError('badData', `${given} is no domain`)
  const now = systemClock()
  const selector = selectorOf(options.selector ?? `ll${time(now).slice(0, 10).replaceAll('-', '')}${algorithm === 'rsa' ? 'r' : 'e'}`)
  const { folder, keys } = keysOf(options)
  const taken = `${recordName({ selector, domain })} is a key already; name another one with --selector`
  if (keys.all().some((key) => key.domain === domain && key.selector === selector)) throw new CommandError('badData', taken)
  if (dryRun) {
    if (options.json) return printJson({ wouldCreate: { domain, selector, algorithm } })
    return print(`would make the ${algorithm} key ${recordName({ selector, domain })}`)
  }
  const key = await makeDkimKey(folder, { domain, selector, algorithm, createdAt: now })
  if (key === undefined) throw new CommandError('badData', taken)
  await audited(options, 'dkim.created', key).catch(async (error) => {
    await destroyDkimKey(folder, key) // no key that the audit does not know
    throw error
  })
  const signers = keys.signersFor(domain)
  if (options.json) return printJson(shown(key, signs(signers, key)))
  tell(`Publish this record: the key ${signs(signers, key) ? 'signs from now on' : waits(signers, key)}.`)
  print(zoneLine(recordName(key), publicRecord(key)))
}

/** Why it does not sign yet, and what to do. */
function waits(signers: readonly DkimKey[], { algorithm, domain }: DkimKey): string {
  const older = signers.find((one) => one.algorithm === algorithm)?.selector ?? ''
  return `signs once the older one is removed (\`letterlock keys dkim remove ${domain} ${older}\`)`
}

function list(options: Common): void {
  const { keys } = keysOf(options)
  const all = keys.all().map((key) => shown(key, signs(keys.signersFor(key.domain), key)))
  if (options.json) return printJson({ keys: all })
  const rows = all.map((key) => [key.domain, key.selector, key.algorithm, time(key.createdAt), key.signs ? 'yes' : 'waits'])
  print(
    table(
      ['DOMAIN', 'SELECTOR', 'ALGORITHM', 'SINCE', 'SIGNS'],
      rows,
      'There are no DKIM keys; `letterlock keys dkim create DOMAIN` makes one.',
    ),
  )
  for (const key of all) print(key.zone)
}

const signs = (signers: readonly DkimKey[], { selector }: DkimKey) => signers.some((one) => one.selector === selector)

async function remove(given: string, selector: string, options: Changing): Promise<void> {
  const { folder, keys } = keysOf(options)
  const domain = canonicalDomain(given)
  const key = keys.all().find((one) => one.domain === domain && one.selector === selector.toLowerCase())
  if (key === undefined)
    throw new CommandError('badData', `there is no DKIM key ${selector} of ${given}; \`letterlock keys dkim list\` shows them`)
  const name = recordName(key)
  if (!options.dryRun) {
    await audited(options, 'dkim.removed', key)
    await destroyDkimKey(folder, key)
  }
  if (options.json) return printJson(options.dryRun ? { wouldRemove: name } : { removed: name })
  print(`${options.dryRun ? 'would remove' : 'removed'} ${name}; leave its record published for a week: mail under way is still checked`)
}

const audited = (options: Common, action: 'dkim.created' | 'dkim.removed', key: DkimKey): Promise<unknown> =>
  withDatabase(settingsOf(options), (db) =>
    db.write(
      entry(systemClock(), {
        actor: actor(),
        action,
        object: recordName(key),
        detail: { algorithm: key.algorithm, publicKeySha256: publicHash(key) },
      }),
    ),
  )

const publicHash = ({ privateKey }: DkimKey): string =>
  createHash('sha256')
    .update(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }))
    .digest('hex')

const shown = (key: DkimKey, signing: boolean) => {
  const { domain, selector, algorithm, createdAt } = key
  const [name, record] = [recordName(key), publicRecord(key)]
  return { domain, selector, algorithm, createdAt, signs: signing, name, record, zone: zoneLine(name, record) }
}

/** RFC 6376 §3.1: labels of letters, digits and hyphens. */
function selectorOf(given: string): string {
  const selector = given.toLowerCase()
  if (/^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(selector)) return selector
  throw new CommandError('badData', `${given} is no selector: letters, digits and hyphens, at most 63`)
}

const tell = (text: string): void => {
  process.stderr.write(`${text}\n`)
}
