/** Opens sealed content, wherever it lies. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { openPayload } from '../seal/age.ts'
import { sql } from '../store/db.ts'
import type { SpoolParts } from './parts.ts'

type ContentRow = { inline_payload: Buffer | null; blob: string | null }

/**
 * A function that opens the message in clear, as often as wanted; undefined when the content is gone. The stream errors with SealBroken
 * where the payload was altered, and with the system's error where it cannot be read.
 */
export async function openContent({ db, blobs }: SpoolParts, messageId: string, fileKey: Buffer): Promise<(() => Readable) | undefined> {
  const [row] = await db.read<ContentRow>(sql`SELECT inline_payload, blob FROM content WHERE message = ${messageId}`)
  if (row === undefined) return undefined
  const { inline_payload: inline, blob } = row
  const key = Buffer.from(fileKey)
  return () => {
    const clear = openPayload(key)
    const sealed = inline !== null ? Readable.from([inline]) : blobs.open(blob ?? '')
    sealed.on('error', (error) => clear.destroy(error))
    clear.on('close', () => sealed.destroy())
    return sealed.pipe(clear)
  }
}

/** Is the stored payload, byte for byte, the one that hashes to `payloadSha256` (hex)? False when it is gone or cannot be read. */
export async function isIntact({ db, blobs }: SpoolParts, messageId: string, payloadSha256: string): Promise<boolean> {
  const [row] = await db.read<ContentRow>(sql`SELECT inline_payload, blob FROM content WHERE message = ${messageId}`)
  if (row === undefined) return false
  const hash = createHash('sha256')
  try {
    for await (const chunk of row.inline_payload !== null ? [row.inline_payload] : blobs.open(row.blob ?? '')) hash.update(chunk)
  } catch {
    return false
  }
  return hash.digest('hex') === payloadSha256
}
