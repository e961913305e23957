/** Opens sealed content, wherever it lies. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { markPlainLines } from '../mail/plain-lines.ts'
import { giveBack, singleUse } from '../ops/single-use.ts'
import { opener, openWhole, SealBroken } from '../seal/age.ts'
import { sql } from '../store/db.ts'
import type { SpoolParts } from './parts.ts'

/** Where a content lies. */
export type ContentRow = { readonly inline_payload: Buffer | null; readonly blob: string | null }

/** A message in clear. */
export type Clear = {
  /**
   * All of it as a stream, as often as wanted; it errors with SealBroken where the payload was altered, and with the system's error where it
   * cannot be read.
   */
  readonly open: () => Readable
  /** All of it, where it is small enough to be in memory: then nobody needs the stream. */
  readonly whole?: Buffer | undefined
  /** To be called once, when nobody will open it any more and those who did have ended. */
  readonly done?: (() => void) | undefined
}

/** A content that is in memory. */
export const clearOf = (whole: Buffer): Clear => ({ open: () => Readable.from([whole]), whole })

/** A content in a blob file; `plainLines` as in Acceptance. */
export function clearOfBlob(blobs: SpoolParts['blobs'], blob: string, fileKey: Buffer, plainLines = false): Clear {
  const key = Buffer.from(fileKey)
  const clear = () => opened(() => blobs.open(blob), key, plainLines)
  // Piece by piece, one ahead: joined by the stream, they would be copied once more.
  return { open: () => Readable.from(clear(), { highWaterMark: 1 }) }
}

/** The clear text of a sealed stream that nobody else reads. It begins with the first read: before that nobody would hear its error, or close it. */
async function* opened(open: () => Readable, key: Buffer, plainLines: boolean): AsyncGenerator<Buffer> {
  const opening = opener(key)
  const given = (clear: Buffer) => singleUse(plainLines ? markPlainLines(clear) : clear)
  for await (const piece of open() as AsyncIterable<Buffer>) {
    const clear = [...opening.push(piece)]
    giveBack(singleUse(piece))
    if (clear.length > 0) yield given(joined(clear))
  }
  for (const clear of opening.end()) yield given(clear)
}

/** A copy costs less than each chunk's own way to the network. */
function joined(chunks: readonly Buffer[]): Buffer {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const whole = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const chunk of chunks) {
    at += chunk.copy(whole, at)
    giveBack(singleUse(chunk))
  }
  return whole
}

/** The message in clear; undefined when its content is gone. Rejects with SealBroken when it was altered, as far as that shows at once. */
export async function openContent(parts: SpoolParts, messageId: string, fileKey: Buffer): Promise<Clear | undefined> {
  const [row] = await parts.db.read<ContentRow>(sql`SELECT inline_payload, blob FROM content WHERE message = ${messageId}`)
  return row && openRow(parts, row, fileKey)
}

/** The same of a row that was read. Throws SealBroken. */
export function openRow({ blobs }: Pick<SpoolParts, 'blobs'>, { inline_payload: inline, blob }: ContentRow, fileKey: Buffer): Clear {
  if (inline === null) return clearOfBlob(blobs, blob ?? '', fileKey)
  // A planted row may hold text.
  if (!Buffer.isBuffer(inline)) throw new SealBroken('the payload is no bytes')
  return clearOf(openWhole(fileKey, inline))
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
