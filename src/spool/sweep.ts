/** Tidies what a crash may leave: blob files that no row names. */
import { failpoint } from '../ops/failpoint.ts'
import { sql } from '../store/db.ts'
import type { SpoolParts } from './parts.ts'

/** Milliseconds after which a blob without a row belongs to nobody: no message takes that long from its last byte to its row. */
const abandoned = 3_600_000

/**
 * Remove blobs without a row; returns how many. Only before intake has begun, for a blob being received has no row yet; where other processes
 * receive meanwhile, old blobs only.
 */
export async function sweepBlobs({ db, blobs }: SpoolParts): Promise<number> {
  let removed = 0
  for await (const name of blobs.list(db.engine.shared ? abandoned : 0)) {
    const [row] = await db.read(sql`SELECT message FROM content WHERE blob = ${name}`)
    if (row !== undefined) continue
    await blobs.remove(name)
    failpoint('start.blob-swept')
    removed += 1
  }
  return removed
}
