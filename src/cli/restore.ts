/** The command restore: a backup into an empty data folder, and nothing is sent by itself. */
import { mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { inTheWay, restoreBackup } from '../backup/restore.ts'
import { openBackup } from '../backup/seal.ts'
import { ArchiveBroken } from '../backup/tar.ts'
import { verifyArchive } from '../backup/verify.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import type { Settings } from '../ops/settings.ts'
import { decodeIdentity } from '../seal/age.ts'
import { openDatabase } from '../store/open.ts'
import { takeServingLock } from '../store/serving-lock.ts'
import { actor, type Common, command } from './command.ts'
import { settingsOf } from './open.ts'
import { print, printJson, time } from './print.ts'

type RestoreOptions = Common & { readonly into?: string; readonly identity?: string; readonly dryRun?: boolean }

/** Add the command to the program. */
export function addRestoreCommand(program: Command): void {
  command(program, 'restore <backup>', 'put a backup into an empty data folder; what waited then is held, nothing is sent by itself')
    .option('--into <folder>', 'data folder to restore into, instead of the setting data')
    .option('--identity <file>', 'file with the age identity (AGE-SECRET-KEY-1…) of an encrypted backup')
    .option('--dry-run', 'only check that the backup is sound, and say what is in it')
    .action(restore)
}

async function restore(file: string, options: RestoreOptions): Promise<void> {
  const settings = placed(settingsOf(options), options.into)
  const archive = await archiveOf(file, options.identity)
  if (options.dryRun) {
    const { files, gone, ...said } = await sound(file, verifyArchive(archive()))
    if (options.json) return printJson({ sound: true, ...said, files: files.length, gone: gone.length })
    return print(
      `${file} is sound: made ${time(said.madeAt)} by version ${said.version} at ${said.hostname}, ${files.length} files, ${said.counts.messages} messages (${said.counts.waiting} waiting, ${said.counts.held} held), ${said.counts.letters} letters, ${said.epochKeys ? 'with' : 'without'} the keys that open waiting mail`,
    )
  }
  const unlock = await lockEmpty(settings)
  try {
    const done = await sound(file, restoreBackup({ settings, archive: archive(), openDatabase, actor: actor(), now: systemClock() }))
    report(settings, done, options)
  } finally {
    unlock()
  }
}

function report(settings: Settings, done: Awaited<ReturnType<typeof restoreBackup>>, { json }: Common): void {
  const { manifest, settingsAt, held, unreadable, done: finished } = done
  const next = [
    ...(held - unreadable - finished > 0
      ? [
          `${held} recipients waited when the backup was made; they are held, for they may have got their mail since. Look: \`letterlock queue list\`. Send: \`letterlock queue release --reason restored\`. Return: \`letterlock queue bounce --reason restored\`.`,
        ]
      : []),
    ...(unreadable > 0
      ? [
          `${unreadable} recipients' messages cannot be opened by anybody: the backup lacks the keys of their hours. They are held; \`letterlock queue bounce --reason content-damaged\` tells their senders.`,
        ]
      : []),
    ...(finished > 0
      ? [`${finished} recipients' messages were delivered or returned while the backup was made; they are held, without content.`]
      : []),
    ...(settingsAt === undefined ? [] : [`The settings file of the backup is ${settingsAt}; compare it with yours.`]),
    ...(manifest.environment.length === 0 ? [] : [`These settings came from the environment then: ${manifest.environment.join(', ')}.`]),
  ]
  if (json) {
    const { madeAt, version: made, hostname, epochKeys, counts } = manifest
    return printJson({ data: settings.data, madeAt, version: made, hostname, epochKeys, counts, held, unreadable, done: finished, next })
  }
  print(
    `restored the backup of ${time(manifest.madeAt)} into ${settings.data}: ${manifest.counts.messages} messages, ${manifest.counts.letters} letters`,
  )
  for (const line of next) print(line)
}

/** `--into`: everything below that folder, wherever the settings have it. */
const placed = (settings: Settings, into: string | undefined): Settings => {
  if (into === undefined) return settings
  const data = resolve(into)
  const database = settings.database.startsWith('sqlite:') ? `sqlite:${join(data, 'letterlock.db')}` : settings.database
  return { ...settings, data, database, keys: `file:${join(data, 'keys')}`, blobs: `file:${join(data, 'blobs')}` }
}

/** The serving lock of an empty place. */
async function lockEmpty(settings: Settings): Promise<() => void> {
  await mkdir(settings.data, { recursive: true, mode: 0o700 })
  const unlock = takeServingLock(join(settings.data, 'serving.lock'))
  if (unlock === undefined)
    throw new CommandError('notAllowed', `a letterlock serves ${settings.data}; stop it first, and move that folder away`)
  const full = await inTheWay(settings)
  if (full.length === 0) return unlock
  unlock()
  throw new CommandError(
    'notAllowed',
    `a backup is restored into an empty place only, and there is something at ${full.join(', ')}; move it away, or use --into another folder`,
  )
}

async function archiveOf(file: string, identityFile: string | undefined): Promise<() => AsyncIterable<Buffer>> {
  const identities = identityFile === undefined ? [] : await readIdentities(identityFile)
  const opened = await openBackup(file, identities).catch((error: Error) => {
    throw new CommandError('badData', `${file} cannot be read: ${error.message}`)
  })
  if (opened.kind === 'clear') return opened.open
  throw new CommandError(
    'badData',
    opened.none
      ? `${file} is encrypted: give the file with its age identity, --identity FILE`
      : `${file} is encrypted, and no identity in ${identityFile} opens it`,
  )
}

/** One a line, as `age-keygen` writes them; lines with # are comments. */
async function readIdentities(file: string): Promise<Buffer[]> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new CommandError('badData', `${file} cannot be read: ${error.message}`)
  })
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const found = lines.map(decodeIdentity).filter((secret) => secret !== undefined)
  if (found.length === 0) throw new CommandError('badData', `${file} holds no age identity (AGE-SECRET-KEY-1…)`)
  return found
}

async function sound<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof ArchiveBroken)
      throw new CommandError('badData', `${file} is not sound, and nothing was restored: ${error.message}`)
    if (error instanceof CommandError) throw error
    throw new CommandError('unavailable', `restoring ${file} failed: ${error instanceof Error ? error.message : String(error)}`)
  }
}
