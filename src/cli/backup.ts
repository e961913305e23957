/** The command backup. */
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { entry } from '../audit/audit.ts'
import { type BackupPlan, makeBackup } from '../backup/save.ts'
import { allBlobs, exists, lookAt, readKeys, sizeOf } from '../backup/sources.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { packageRoot } from '../ops/package-root.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import { decodeRecipient } from '../seal/age.ts'
import { sql } from '../store/db.ts'
import { actor, type Common, command } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { print, printJson } from './print.ts'

type BackupOptions = Common & { readonly encryptTo?: string; readonly dryRun?: boolean }

/** Add the command to the program. */
export function addBackupCommand(program: Command): void {
  command(program, 'backup <destination>', 'save database, blobs, server keys and settings in one file, beside a running server')
    .option(
      '--encrypt-to <recipient>',
      'an age recipient (age1…): everything is encrypted to it, and the keys that open waiting mail go in',
    )
    .option('--dry-run', 'only say what would be saved')
    .action(backup)
}

async function backup(destination: string, options: BackupOptions): Promise<void> {
  const settings = settingsOf(options)
  const recipient = options.encryptTo === undefined ? undefined : decodeRecipient(options.encryptTo)
  if (options.encryptTo !== undefined && recipient === undefined)
    throw new CommandError(
      'usage',
      `--encrypt-to ${options.encryptTo}: that is no age recipient; \`age-keygen\` prints one, it begins with age1`,
    )
  const now = systemClock()
  const path = await fileFor(resolve(destination), now, recipient !== undefined)
  if (await exists(path))
    throw new CommandError('badData', `${path} exists already, and a backup never replaces a file; give another name, or a folder`)
  if (settings.database.startsWith('sqlite:') && !(await exists(pathOf(settings.database))))
    throw new CommandError('unavailable', `there is no database ${pathOf(settings.database)} to save; is this the right --config?`)
  if (options.dryRun) return dryBackup(settings, path, recipient !== undefined, options)
  const plan = { settings, path, recipient, settingsFile: options.config, now, version: version(), ...surroundings(options) }
  const { manifest, size } = await makeBackup(plan).catch((error: unknown) => {
    throw notMade(path, error)
  })
  await withDatabase(settings, async (db) => {
    const detail = { file: path, bytes: size, encrypted: recipient !== undefined, ...manifest.counts }
    await db.write(
      sql`INSERT INTO fact (name, value) VALUES ('backup.last', ${String(now)}) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      entry(systemClock(), { actor: actor(), action: 'backup.made', object: new Date(now).toISOString(), detail }),
    )
  })
  const notes = notesOn(manifest.database, manifest.epochKeys, manifest.counts.waiting + manifest.counts.held)
  const { files, gone, ...said } = manifest
  if (options.json) return printJson({ file: path, bytes: size, ...said, files: files.length, gone: gone.length, notes })
  print(
    `saved ${path}: ${files.length} files, ${size} bytes, checked; ${said.counts.messages} messages (${said.counts.waiting} waiting, ${said.counts.held} held), ${said.counts.letters} letters`,
  )
  if (gone.length > 0) print(`${gone.length} messages were delivered or returned meanwhile; their content is not in the backup`)
  for (const note of notes) process.stderr.write(`${note}\n`)
}

async function dryBackup(settings: Settings, path: string, encrypted: boolean, { json }: Common): Promise<void> {
  const embedded = settings.database.startsWith('sqlite:')
  const { counts, blobs } = embedded ? lookAt(settings) : { counts: undefined, blobs: await allBlobs(settings) }
  const keys = [...(await readKeys(pathOf(settings.keys), { epochs: encrypted })).keys()]
  const bytes = (embedded ? (await stat(pathOf(settings.database))).size : 0) + (await sizeOf(settings, blobs))
  const notes = notesOn(embedded ? 'sqlite' : 'postgres', encrypted, (counts?.waiting ?? 0) + (counts?.held ?? 0))
  if (json) return printJson({ file: path, bytes, counts, blobs: blobs.length, keys, encrypted, notes })
  print(`would save ${path}: about ${bytes} bytes, ${blobs.length} blobs, ${keys.length} key files (${keys.join(', ')})`)
  for (const note of notes) process.stderr.write(`${note}\n`)
}

/** What whoever relies on this backup must know. */
const notesOn = (database: 'sqlite' | 'postgres', epochKeys: boolean, unopened: number): string[] => [
  ...(database === 'postgres'
    ? [
        'The database is PostgreSQL and not in this backup, which holds blobs, keys and settings: save the database with pg_dump (before this command, so that no blob it names is missed).',
      ]
    : []),
  ...(epochKeys
    ? []
    : [
        `Not encrypted: whoever reads this file holds the server's keys. Keep it as safe as ${'`keys`'}, or use --encrypt-to.`,
        ...(unopened > 0
          ? [
              `Without --encrypt-to the keys of the hours are left out: ${unopened} waiting or held messages cannot be opened from this backup.`,
            ]
          : []),
      ]),
]

/** A folder gets a file named after the time; everything else is the name of the file. */
async function fileFor(destination: string, now: number, encrypted: boolean): Promise<string> {
  const state = await stat(destination).catch(() => undefined)
  if (!state?.isDirectory()) {
    const parent = await stat(join(destination, '..')).catch(() => undefined)
    if (!parent?.isDirectory()) throw new CommandError('badData', `the folder for ${destination} does not exist; make it first`)
    return destination
  }
  return join(destination, `letterlock-${new Date(now).toISOString().slice(0, 19).replaceAll(':', '')}Z.tar${encrypted ? '.age' : ''}`)
}

function notMade(path: string, error: unknown): CommandError {
  const why = error instanceof Error ? error.message : String(error)
  return new CommandError('unavailable', `no backup was made at ${path}, and nothing of it is left: ${why}`)
}

function surroundings({ json }: Common): Pick<BackupPlan, 'environment' | 'progress'> {
  const watched = !json || process.stderr.isTTY
  let last = 0
  return {
    environment: Object.keys(process.env).filter((name) => name.startsWith('LETTERLOCK_')),
    progress: (text) => {
      const now = performance.now()
      if (!watched || now - last < 2000) return
      last = now
      process.stderr.write(`backup: ${text} …\n`)
    },
  }
}

const version = (): string => (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version
