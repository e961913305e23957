/** Reads a backup through: every file has the hash that the manifest names, none is missing and none is strange. */
import { createHash } from 'node:crypto'
import { isFileName, type Manifest, manifestName, readManifest } from './manifest.ts'
import { ArchiveBroken, readTar } from './tar.ts'

const largestManifest = 256 * 1024 * 1024

/** What each file's bytes are given to while they are checked; nothing of it may be used before all is verified. */
export type Sink = (name: string, content: AsyncIterable<Buffer>) => Promise<void>

/** Read all of it, and hand each file to `sink`. The manifest when it is sound; throws ArchiveBroken, whose text completes "the backup is not sound: …". */
export async function verifyArchive(archive: AsyncIterable<Buffer>, sink: Sink = drain): Promise<Manifest> {
  const found = new Map<string, { readonly size: number; readonly sha256: string }>()
  let manifest: Manifest | undefined
  for await (const { name, size, content } of readTar(archive)) {
    if (manifest !== undefined) throw new ArchiveBroken(`${name} stands behind its manifest`)
    if (name === manifestName) {
      if (size > largestManifest) throw new ArchiveBroken('its manifest is too large')
      manifest = readManifest(await text(content))
      continue
    }
    if (!isFileName(name) || found.has(name)) throw new ArchiveBroken(`it holds a file ${JSON.stringify(name)} that no backup has`)
    const hash = createHash('sha256')
    await sink(name, passing(content, hash))
    found.set(name, { size, sha256: hash.digest('hex') })
  }
  if (manifest === undefined) throw new ArchiveBroken('it has no manifest: it was cut off, or it is no backup of Letterlock')
  for (const { name, size, sha256 } of manifest.files) {
    const one = found.get(name)
    if (one === undefined) throw new ArchiveBroken(`${name} is missing`)
    if (one.size !== size || one.sha256 !== sha256) throw new ArchiveBroken(`${name} was altered`)
  }
  if (found.size !== manifest.files.length) throw new ArchiveBroken('it holds files that its manifest does not name')
  return manifest
}

async function drain(_name: string, content: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of content);
}

async function* passing(content: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
}

async function text(content: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
