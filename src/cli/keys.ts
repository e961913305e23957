/** The commands about recipients' keys: keys pgp import, list, remove. */
import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { entry } from '../audit/audit.ts'
import { importKey, listKeys, removeKeys } from '../methods/pgp/keys.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError, notAvailable } from '../ops/errors.ts'
import { command, type Common } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

type ImportOptions = Common & { readonly trust: 'direct' | 'approved'; readonly replace?: boolean; readonly dryRun?: boolean }

/** Add the commands to the program. */
export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('keys of recipients')
  const pgp = keys.command('pgp').description('OpenPGP keys')
  command(pgp, 'import <file>', 'import public keys, armored or binary')
    .addOption(new Option('--trust <trust>', 'how sure you are whose key it is').choices(['direct', 'approved']).default('approved'))
    .option('--replace', 'replace another key that the address already has')
    .option('--dry-run', 'only check the file')
    .action(importFile)
  command(pgp, 'list', 'the keys on record').action((options: Common) =>
    withDatabase(settingsOf(options), async (db) => {
      const all = await listKeys(db)
      if (options.json) return printJson({ keys: all })
      const rows = all.map((key) => [plain(key.address), key.fingerprint, key.trust, key.expiresAt === null ? 'never' : time(key.expiresAt)])
      print(table(['ADDRESS', 'FINGERPRINT', 'TRUST', 'EXPIRES'], rows, 'There are no keys; `letterlock keys pgp import FILE` adds one.'))
    }),
  )
  command(pgp, 'remove <key>', 'remove a key by fingerprint or address').action((name: string, options: Common) =>
    withDatabase(settingsOf(options), async (db) => {
      const removed = await removeKeys(db, name)
      if (removed.length === 0) throw new CommandError('badData', `there is no key ${name}; \`letterlock keys pgp list\` shows them`)
      await db.write(entry(systemClock(), { actor: 'cli', action: 'key.removed', object: name, detail: { kind: 'pgp', removed } }))
      options.json ? printJson({ removed }) : print(`removed ${removed.join(', ')}`)
    }),
  )
  for (const noun of ['smime', 'dkim', 'spool'])
    keys
      .command(noun, { hidden: true })
      .allowUnknownOption()
      .argument('[rest...]')
      .action(() => {
        throw notAvailable(`keys ${noun}`)
      })
}

async function importFile(file: string, options: ImportOptions): Promise<void> {
  const bytes = await readFile(file).catch((error: Error) => {
    throw new CommandError('badData', `${file} cannot be read: ${error.message}`)
  })
  await withDatabase(settingsOf(options), async (db) => {
    const result = await importKey(db, bytes, { trust: options.trust, source: file, replace: options.replace === true, dryRun: options.dryRun === true, now: systemClock() })
    if (result.kind === 'refused') throw new CommandError('badData', `${file}: ${result.text}`)
    if (!options.dryRun) await db.write(entry(systemClock(), { actor: 'cli', action: 'key.imported', object: file, detail: { kind: 'pgp', keys: result.keys, trust: options.trust } }))
    if (options.json) return printJson({ imported: result.keys })
    for (const { address, fingerprint } of result.keys) print(`${options.dryRun ? 'would import' : 'imported'} ${fingerprint} for ${plain(address)} (${options.trust})`)
  })
}
