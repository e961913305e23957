/** Encrypts a backup as one age file, which the `age` command opens too, and opens it again. */
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable, Transform } from 'node:stream'
import { header, headerLength, openHeader, openPayload, SealBroken, sealPayload } from '../seal/age.ts'
import { ArchiveBroken } from './tar.ts'

/** Begins every age file. */
const magic = 'age-encryption.org/'

/** Clear bytes in, an age file for `recipient` (32 bytes of an X25519 key) out. */
export function sealing(fileKey: Buffer, recipient: Buffer): Transform {
  const payload = sealPayload(fileKey)
  payload.push(header(fileKey, recipient))
  return payload
}

export type OpenedBackup =
  | { readonly kind: 'clear'; readonly encrypted: boolean; readonly open: () => AsyncIterable<Buffer> }
  /** It is encrypted and none of the identities opens it; `none`: none was given. */
  | { readonly kind: 'closed'; readonly none: boolean }

/** The bytes of the archive in the file at `path`, decrypted with one of `identities` (32 secret bytes each). Rejects with the file system's error. */
export async function openBackup(path: string, identities: readonly Buffer[]): Promise<OpenedBackup> {
  const start = await firstBytes(path)
  if (!start.toString('latin1').startsWith(magic)) return { kind: 'clear', encrypted: false, open: () => createReadStream(path) }
  const fileKey = identities.map((identity) => openHeader(start, identity)).find((key) => key !== undefined)
  if (fileKey === undefined) return { kind: 'closed', none: identities.length === 0 }
  return { kind: 'clear', encrypted: true, open: () => decrypted(path, fileKey) }
}

/** The archive within an encrypted backup whose file key is known. */
export async function* decrypted(path: string, fileKey: Buffer): AsyncGenerator<Buffer> {
  const sealed = createReadStream(path, { start: headerLength })
  const clear: Readable = openPayload(fileKey)
  sealed.on('error', (error) => clear.destroy(error))
  clear.on('close', () => sealed.destroy())
  try {
    yield* sealed.pipe(clear as Transform) as AsyncIterable<Buffer>
  } catch (error) {
    if (error instanceof SealBroken) throw new ArchiveBroken(`it does not match its seal: ${error.message}`)
    throw error
  }
}

async function firstBytes(path: string): Promise<Buffer> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const { bytesRead, buffer } = await file.read(Buffer.alloc(headerLength), 0, headerLength, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file?.close()
  }
}
