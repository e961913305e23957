/** Makes a backup beside a serving gateway: one file, whole or not there, checked after it was written. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { link, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { syncFolder } from '../ops/folder.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import { newFileKey } from '../seal/age.ts'
import { backupFormat, databaseName, type Manifest, manifestName, settingsName } from './manifest.ts'
import { decrypted, sealing } from './seal.ts'
import { allBlobs, keepBlobs, readKeys, takeSnapshot } from './sources.ts'
import { type TarFile, writeTar } from './tar.ts'
import { verifyArchive } from './verify.ts'

export type BackupPlan = {
  readonly settings: Settings
  /** The file to make; it must not exist. */
  readonly path: string
  /** 32 bytes of an X25519 key: everything is encrypted to it, and the keys of the hours go in. Undefined: neither. */
  readonly recipient: Buffer | undefined
  /** The settings file in use. */
  readonly settingsFile: string | undefined
  readonly environment: readonly string[]
  readonly version: string
  /** Milliseconds since 1970. */
  readonly now: number
  /** Told now and then, for somebody who watches. */
  readonly progress: (text: string) => void
}

/** Make it. Rejects, leaving nothing behind, with the error of file system or database. */
export async function makeBackup(plan: BackupPlan): Promise<{ readonly manifest: Manifest; readonly size: number }> {
  await clearLeftOvers(plan.settings.data, plan.now, (name) => name.startsWith(scratchPrefix))
  await clearLeftOvers(dirname(plan.path), plan.now, (name) => unfinishedName.test(name))
  const scratch = await mkdtemp(join(plan.settings.data, scratchPrefix))
  const unfinished = join(dirname(plan.path), `.${basename(plan.path)}.${randomBytes(4).toString('hex')}.unfinished`)
  try {
    const manifest = await save(plan, scratch, unfinished)
    const { size } = await stat(unfinished)
    await link(unfinished, plan.path) // unlike a rename, never over another file
    await rm(unfinished)
    await syncFolder(dirname(plan.path))
    return { manifest, size }
  } finally {
    await rm(unfinished, { force: true })
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Beside the blobs, so that they can be linked, and where the database lies in clear anyway. */
const scratchPrefix = '.backup-'
const unfinishedName = /^\..+\.[0-9a-f]{8}\.unfinished$/
const abandoned = 24 * 3_600_000

/** What a killed backup left: snapshots, second names of blobs that were to be gone, files that were never finished. */
async function clearLeftOvers(folder: string, now: number, isOurs: (name: string) => boolean): Promise<void> {
  for (const name of (await readdir(folder)).filter(isOurs))
    if (now - (await stat(join(folder, name))).mtimeMs > abandoned) await rm(join(folder, name), { recursive: true, force: true })
}

async function save(plan: BackupPlan, scratch: string, unfinished: string): Promise<Manifest> {
  const { settings, recipient, progress, now } = plan
  const embedded = settings.database.startsWith('sqlite:')
  const epochs = recipient !== undefined
  // Before and after the snapshot: an epoch that began or ended meanwhile wraps what stands in it.
  const before = await readKeys(pathOf(settings.keys), { epochs })
  progress('taking a snapshot of the database')
  const snapshot = embedded
    ? takeSnapshot(settings, join(scratch, databaseName))
    : { counts: { messages: 0, waiting: 0, held: 0, letters: 0 }, blobs: await allBlobs(settings) }
  const gone = await keepBlobs(settings, snapshot.blobs, join(scratch, 'blobs'))
  const keys = new Map([...before, ...(await readKeys(pathOf(settings.keys), { epochs }))])

  const manifest: Manifest = {
    ...{ format: backupFormat, program: 'letterlock', version: plan.version, madeAt: now, hostname: settings.hostname },
    ...{ database: embedded ? 'sqlite' : 'postgres', epochKeys: epochs, counts: snapshot.counts },
    ...{ gone: embedded ? gone : [], environment: [...plan.environment], files: [] },
  }
  const sources = [
    ...(embedded ? [onDisk(databaseName, join(scratch, databaseName))] : []),
    ...(await readdir(join(scratch, 'blobs'))).map((blob) => onDisk(`blobs/${blob}`, join(scratch, 'blobs', blob))),
    ...[...keys].map(([name, content]) => inMemory(`keys/${name}`, content)),
    ...[...(await readKeys(join(settings.data, 'tls'), { epochs: true }))].map(([name, content]) => inMemory(`tls/${name}`, content)),
    ...(plan.settingsFile === undefined ? [] : [inMemory(settingsName, await readFile(plan.settingsFile))]),
  ]
  const fileKey = newFileKey()
  const file = await open(unfinished, 'wx', 0o600)
  await file.close()
  const archive = Readable.from(writeTar(named(sources, manifest, progress), now), { objectMode: false, highWaterMark: 1 << 20 })
  const sink = createWriteStream(unfinished, { flags: 'r+', flush: true })
  await (recipient === undefined ? pipeline(archive, sink) : pipeline(archive, sealing(fileKey, recipient), sink))

  progress('checking what was written')
  await verifyArchive(recipient === undefined ? createReadStream(unfinished) : decrypted(unfinished, fileKey))
  fileKey.fill(0)
  return manifest
}

type Source = { readonly name: string; readonly open: () => Promise<{ readonly size: number; readonly content: AsyncIterable<Buffer> }> }

const onDisk = (name: string, path: string): Source => ({
  name,
  open: async () => ({ size: (await stat(path)).size, content: createReadStream(path, { highWaterMark: 1 << 20 }) }),
})

const inMemory = (name: string, bytes: Buffer): Source => ({
  name,
  open: async () => ({ size: bytes.length, content: Readable.from([bytes], { objectMode: true }) }),
})

/** The files one after the other, hashed as they pass; the manifest, now complete, is the last. */
async function* named(sources: readonly Source[], manifest: Manifest, progress: (text: string) => void): AsyncGenerator<TarFile> {
  let bytes = 0
  for (const [index, { name, open: opened }] of sources.entries()) {
    const { size, content } = await opened()
    const hash = createHash('sha256')
    yield { name, size, content: hashed(content, hash) }
    manifest.files.push({ name, size, sha256: hash.digest('hex') })
    bytes += size
    progress(`${index + 1} of ${sources.length} files, ${Math.round(bytes / 1024 / 1024)} MiB`)
  }
  const text = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`)
  yield { name: manifestName, size: text.length, content: Readable.from([text], { objectMode: true }) }
}

async function* hashed(content: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
}
