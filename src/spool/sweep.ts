/** Tidies what a crash may leave: blob files that no row names, epoch keys that wrap nothing any more. */
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

/**
 * A new epoch: what still waits is wrapped anew under it, then older keys that wrap nothing are destroyed. Call hourly, and at start before
 * anything is received. While mail flows the key just replaced is kept until the next call: a message may be on its way to the disk with it.
 */
export async function rotateEpoch(parts: SpoolParts, { flowing }: { flowing: boolean }): Promise<void> {
  const { db, keyring } = parts
  const replaced = keyring.currentEpoch()
  await keyring.rotate()
  failpoint('start.rotate.begun')
  await rewrap(parts)
  for (const epoch of keyring.epochs()) {
    if (epoch === keyring.currentEpoch() || (flowing && epoch === replaced)) continue
    const [used] = await db.read(sql`SELECT id FROM message WHERE epoch = ${epoch} LIMIT 1`)
    if (used !== undefined) continue
    failpoint('start.rotate.before-destroy')
    await keyring.destroy(epoch)
    failpoint('start.rotate.destroyed')
  }
  await db.scrub()
}

type WrappedRow = { id: string; epoch: string; wrap: Buffer }

async function rewrap({ db, keyring }: SpoolParts): Promise<void> {
  let after = ''
  for (;;) {
    const rows = await db.read<WrappedRow>(sql`SELECT id, epoch, wrap FROM message
      WHERE epoch IS NOT NULL AND epoch <> ${keyring.currentEpoch()} AND id > ${after} ORDER BY id LIMIT 200`)
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.id
    const statements = rows.flatMap(({ id, epoch, wrap }) => {
      const fileKey = keyring.unwrap(epoch, wrap)
      if (fileKey === undefined) return [] // its key stays until somebody has looked: openClaimed tells of it
      const fresh = keyring.wrap(fileKey)
      fileKey.fill(0)
      return [sql`UPDATE message SET epoch = ${fresh.epoch}, wrap = ${fresh.wrap} WHERE id = ${id} AND epoch = ${epoch}`]
    })
    if (statements.length > 0) await db.write(...statements)
    failpoint('start.rotate.rewrapped')
  }
}
