/** The commands about keys: keys pgp import, list, remove; those of our own are in dkim.ts. */
import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { importKey, listKeys, removeKeys, type StoredKey, type Trust } from '../methods/pgp/keys.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { actor, type Common, command, later } from './command.ts'
import { addDkimCommands } from './dkim.ts'
import { settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'
import { addSpoolKeyCommands } from './spool-keys.ts'

type ImportOptions = Common & { readonly trust: Trust; readonly replace?: boolean; readonly dryRun?: boolean }

/** Add the commands to the program. */
export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('keys of recipients, and ours for DKIM')
  const pgp = keys.command('pgp').description('OpenPGP keys')
  command(pgp, 'import <file>', 'import public keys, armored or binary')
    .addOption(new Option('--trust <trust>', 'how sure you are whose key it is').choices(['direct', 'approved']).default('approved'))
    .option('--replace', 'replace another key that the address already has')
    .option('--dry-run', 'only say what would happen')
    .action(importFile)
  command(pgp, 'list', 'the keys on record').action((options: Common) =>
    withDatabase(settingsOf(options), async (db) => {
      const all = await listKeys(db)
      if (options.json) return printJson({ keys: all.map(shown) })
      const rows = all.map((key) => [
        plain(key.address),
        key.fingerprint,
        key.trust,
        key.expiresAt === null ? 'never' : time(key.expiresAt),
      ])
      print(table(['ADDRESS', 'FINGERPRINT', 'TRUST', 'EXPIRES'], rows, 'There are no keys; `letterlock keys pgp import FILE` adds one.'))
    }),
  )
  command(pgp, 'remove <key>', 'remove a key by fingerprint or address')
    .option('--dry-run', 'only say what would happen')
    .action((name: string, options: Common & { dryRun?: boolean }) =>
      withDatabase(settingsOf(options), async (db) => {
        const { dryRun = false } = options
        const removed = await removeKeys(db, name, { actor: actor(), dryRun })
        if (removed.length === 0) throw new CommandError('badData', `there is no key ${name}; \`letterlock keys pgp list\` shows them`)
        if (options.json) return printJson({ removed })
        for (const fingerprint of removed) print(`${dryRun ? 'would remove' : 'removed'} ${fingerprint}`)
      }),
    )
  addDkimCommands(keys)
  addSpoolKeyCommands(keys)
  later(keys, 'smime')
}

async function importFile(file: string, options: ImportOptions): Promise<void> {
  const bytes = await readFile(file).catch((error: Error) => {
    throw new CommandError('badData', `${file} cannot be read: ${error.message}`)
  })
  await withDatabase(settingsOf(options), async (db) => {
    const { trust, replace = false, dryRun = false } = options
    const imported = await importKey(db, bytes, { trust, source: file, replace, dryRun, now: systemClock(), actor: actor() })
    if (imported.kind === 'refused') throw new CommandError(imported.held ? 'notAllowed' : 'badData', `${file}: ${imported.text}`)
    if (options.json) return printJson({ imported: imported.keys.map(shown) })
    for (const { address, fingerprint } of imported.keys)
      print(`${dryRun ? 'would import' : 'imported'} ${fingerprint} for ${plain(address)} (${trust})`)
  })
}

const shown = ({ address, fingerprint, trust, source, importedAt, expiresAt }: StoredKey) => ({
  address,
  fingerprint,
  trust,
  source,
  importedAt,
  expiresAt,
})
