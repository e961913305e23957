/** Finds what a backup saves: a snapshot of the database, the blobs that it names, keys, certificate and settings file. */
import { constants } from 'node:fs'
import { access, copyFile, link, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { pathOf, type Settings } from '../ops/settings.ts'
import { snapshotSqlite } from '../store/snapshot.ts'
import type { Manifest } from './manifest.ts'

/** Files of the folder of keys. */
export type KeyFiles = ReadonlyMap<string, Buffer>

const isEpoch = (name: string): boolean => name.startsWith('epoch-')
const isWhole = (name: string): boolean => !name.startsWith('.') && !name.endsWith('.destroying')

/** All whole files of a folder; none when there is no such folder. `epochs` false: without the keys of the hours. */
export async function readKeys(folder: string, { epochs }: { readonly epochs: boolean }): Promise<KeyFiles> {
  const names = await readdir(folder).catch((error: unknown) => ifMissing(error, []))
  const files = new Map<string, Buffer>()
  for (const name of names) {
    if (!isWhole(name) || (isEpoch(name) && !epochs)) continue
    const content = await readFile(join(folder, name)).catch((error: unknown) => ifMissing(error, undefined))
    if (content !== undefined) files.set(name, content) // an epoch may end at any moment
  }
  return files
}

export type Snapshot = {
  readonly counts: Manifest['counts']
  /** The blobs that its rows name, with their message. */
  readonly blobs: readonly { readonly message: string; readonly blob: string }[]
}

/** Take the snapshot into `into` and look what is in it. */
export function takeSnapshot(settings: Pick<Settings, 'database'>, into: string): Snapshot {
  snapshotSqlite(pathOf(settings.database), into)
  const database = new Database(into, { readonly: true })
  try {
    return { counts: counted(database), blobs: database.prepare(blobRows).all() as { message: string; blob: string }[] }
  } finally {
    database.close()
  }
}

/** What a snapshot taken now would hold, without taking it. */
export function lookAt(settings: Pick<Settings, 'database'>): Snapshot {
  const database = new Database(pathOf(settings.database), { readonly: true, fileMustExist: true, timeout: 30_000 })
  try {
    return { counts: counted(database), blobs: database.prepare(blobRows).all() as { message: string; blob: string }[] }
  } finally {
    database.close()
  }
}

const blobRows = 'SELECT message, blob FROM content WHERE blob IS NOT NULL ORDER BY blob'

function counted(database: Database.Database): Manifest['counts'] {
  const one = (text: string) => Number(database.prepare(text).pluck().get())
  return {
    messages: one('SELECT COUNT(*) FROM message'),
    waiting: one("SELECT COUNT(*) FROM recipient WHERE state = 'waiting'"),
    held: one("SELECT COUNT(*) FROM recipient WHERE state = 'held'"),
    letters: one('SELECT COUNT(*) FROM letter WHERE ended_at IS NULL'),
  }
}

export const blobPath = (settings: Pick<Settings, 'blobs'>, blob: string): string => join(pathOf(settings.blobs), blob.slice(0, 2), blob)

/**
 * Keep these blobs in `into` whatever is delivered meanwhile: by a second name for the same file, else by a copy. Returns the messages whose
 * blob was gone already.
 */
export async function keepBlobs(settings: Pick<Settings, 'blobs'>, blobs: Snapshot['blobs'], into: string): Promise<string[]> {
  await mkdir(into, { recursive: true, mode: 0o700 })
  const gone: string[] = []
  for (const { message, blob } of blobs) {
    const [from, to] = [blobPath(settings, blob), join(into, blob)]
    const kept = await link(from, to)
      .catch(() => copyFile(from, to, constants.COPYFILE_EXCL))
      .then(() => true)
      .catch((error: unknown) => ifMissing(error, false))
    if (!kept) gone.push(message)
  }
  return gone
}

/** All blobs in the folder: where the database that names them is not at hand. */
export async function allBlobs(settings: Pick<Settings, 'blobs'>): Promise<Snapshot['blobs']> {
  const folder = pathOf(settings.blobs)
  const shards = (await readdir(folder).catch((error: unknown) => ifMissing(error, []))).filter((name) => /^[0-9a-f]{2}$/.test(name))
  const names = await Promise.all(shards.map((shard) => readdir(join(folder, shard))))
  return names
    .flat()
    .filter((name) => /^[0-9a-f]{32}$/.test(name))
    .map((blob) => ({ message: '', blob }))
}

/** Bytes of these blobs. */
export async function sizeOf(settings: Pick<Settings, 'blobs'>, blobs: Snapshot['blobs']): Promise<number> {
  let sum = 0
  for (const { blob } of blobs) sum += (await stat(blobPath(settings, blob)).catch((error: unknown) => ifMissing(error, { size: 0 }))).size
  return sum
}

/** Whether something is there. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

function ifMissing<T>(error: unknown, instead: T): T {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return instead
  throw error
}
