/** Puts a backup back into an empty place: everything is checked before anything is in force, and no mail leaves by itself afterwards. */
import { createWriteStream } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CommandError } from '../ops/errors.ts'
import { makeFolder, syncFolder } from '../ops/folder.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import { listEpochs } from '../seal/keyring.ts'
import type { Db } from '../store/db.ts'
import { type HeldBack, holdBack } from './hold.ts'
import { databaseName, type Manifest, settingsName } from './manifest.ts'
import { verifyArchive } from './verify.ts'

export type RestorePlan = {
  /** Where everything goes: `data`, `database`, `keys` and `blobs`. */
  readonly settings: Settings
  /** The archive, decrypted. */
  readonly archive: AsyncIterable<Buffer>
  /** Opens the database of these settings, brought to the schema of this program. */
  readonly openDatabase: (settings: Settings) => Promise<Db>
  readonly actor: string
  /** Milliseconds since 1970. */
  readonly now: number
}

export type RestoreDone = HeldBack & {
  readonly manifest: Manifest
  /** Where the settings of the backup were put, for a person to compare. */
  readonly settingsAt: string | undefined
}

/**
 * Restore. Rejects with ArchiveBroken when the backup is not sound (then nothing was changed), else with the error of file system or database.
 * The caller holds the serving lock and has looked that the places are empty.
 */
export async function restoreBackup(plan: RestorePlan): Promise<RestoreDone> {
  const { settings, openDatabase, actor, now } = plan
  makeFolder(settings.data)
  const scratch = await mkdtemp(join(settings.data, '.restoring-'))
  try {
    const manifest = await unpack(plan.archive, scratch)
    const embedded = manifest.database === 'sqlite'
    refuseOtherEngine(embedded, settings)
    const epochs = listEpochs(join(scratch, 'keys'))
    const at = embedded ? { ...settings, database: `sqlite:${join(scratch, databaseName)}` } : settings
    const db = await openDatabase(at)
    const counts = await holdBack(db, { manifest, epochs, actor, now }).finally(() => db.close())
    await putInPlace(scratch, settings, embedded)
    const settingsAt = manifest.files.some(({ name }) => name === settingsName) ? join(settings.data, 'restored-settings.yaml') : undefined
    return { manifest, settingsAt, ...counts }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The address of a server would be taken for the name of a file, and a new empty file for the database that is missing. */
function refuseOtherEngine(embedded: boolean, { database }: Settings): void {
  if (embedded === database.startsWith('sqlite:')) return
  const holds = embedded ? 'holds an SQLite database' : 'is one of a gateway on PostgreSQL and holds no database'
  const named = embedded ? 'a server: set it to sqlite:PATH' : 'a file: set it to the server that holds the restored database'
  throw new CommandError('settings', `the backup ${holds}, and the setting \`database\` names ${named}`)
}

/** A database and what a crash leaves beside it: SQLite would play a log of the former one into the restored one. */
const ofSqlite = ['', '-wal', '-shm', '-journal']

/** What lies where the backup is to go; empty when there is room. */
export async function inTheWay(settings: Settings): Promise<string[]> {
  const places = [
    ...(settings.database.startsWith('sqlite:') ? ofSqlite.map((ending) => `${pathOf(settings.database)}${ending}`) : []),
    ...[pathOf(settings.keys), pathOf(settings.blobs), join(settings.data, 'tls')],
  ]
  const found = await Promise.all(places.map(async (path) => ((await holdsFiles(path)) ? [path] : [])))
  return found.flat()
}

async function holdsFiles(path: string): Promise<boolean> {
  const state = await stat(path).catch(() => undefined)
  if (state === undefined || !state.isDirectory()) return state !== undefined
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries.some((entry) => !entry.isDirectory())
}

async function unpack(archive: AsyncIterable<Buffer>, scratch: string): Promise<Manifest> {
  for (const folder of ['keys', 'tls', 'blobs']) await mkdir(join(scratch, folder), { mode: 0o700 })
  return verifyArchive(archive, async (name, content) => {
    const path = join(scratch, placeOf(name))
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await pipeline(content, createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }))
  })
}

/** Blobs lie in 256 folders, as the program looks for them. */
const placeOf = (name: string): string => name.replace(/^blobs\/(..)/, 'blobs/$1/$1')

/** The database last: without it a start refuses keys that have been used, so that half a restore is never served. */
async function putInPlace(scratch: string, settings: Settings, embedded: boolean): Promise<void> {
  await mkdir(join(scratch, 'blobs', 'tmp'), { recursive: true, mode: 0o700 })
  for (const [name, to] of [
    ['blobs', pathOf(settings.blobs)],
    ['tls', join(settings.data, 'tls')],
    ['keys', pathOf(settings.keys)],
    [settingsName, join(settings.data, 'restored-settings.yaml')],
    ...(embedded ? ([[databaseName, pathOf(settings.database)]] as const) : []),
  ] as const)
    await move(join(scratch, name), to)
}

async function move(from: string, to: string): Promise<void> {
  const what = await stat(from).catch(() => undefined)
  if (what === undefined) return
  makeFolder(dirname(to))
  await syncTree(from)
  if (!what.isDirectory()) return moveInto(from, to)
  // The folder itself stays: it may be a mounted one. What is in it are empty folders, or we would not be here.
  makeFolder(to)
  await chmod(to, 0o700)
  for (const name of await readdir(from)) {
    await rm(join(to, name), { recursive: true, force: true })
    await moveInto(join(from, name), join(to, name))
  }
}

async function moveInto(from: string, to: string): Promise<void> {
  await rename(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV') throw error // another disk
    await cp(from, to, { recursive: true })
    await syncTree(to)
  })
  await syncFolder(dirname(to))
}

/** Names are kept only when their folder was synced. */
async function syncTree(path: string): Promise<void> {
  if (!(await stat(path)).isDirectory()) {
    const file = await open(path, 'r')
    return file.sync().finally(() => file.close())
  }
  for (const entry of await readdir(path, { withFileTypes: true })) if (entry.isDirectory()) await syncTree(join(path, entry.name))
  await syncFolder(path)
}
