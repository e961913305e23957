/** A large content on its way into a blob: one part is gathered while the one before is sealed by a thread and then written. */
import { singleUse } from '../ops/single-use.ts'
import type { Sealing } from '../seal/sealing-thread.ts'
import type { Blobs } from '../store/blobs.ts'

export type ToBlob = {
  /** Resolves when more may be written; the chunk is the caller's again. Rejects when the thread or the disk fails, as all later calls but `abort`. */
  readonly write: (clear: Buffer) => Promise<void>
  /** Resolves only when the blob would survive a power cut. */
  readonly end: () => Promise<{ readonly blob: string; readonly payloadSize: number; readonly sha256: string }>
  readonly abort: () => Promise<void>
}

/** Each part is a message to the thread and one back. */
const partLength = 256 * 1024

/** Begin a content; see Sealing. */
export function streamToBlob(blobs: Blobs, sealing: Sealing, fileKey: Buffer): ToBlob {
  const sealer = sealing(fileKey)
  const writer = blobs.write()
  let part = Buffer.alloc(0)
  let filled = 0
  let payloadSize = 0
  let last = Promise.resolve()

  const store = async (sealed: Buffer) => {
    payloadSize += sealed.length
    await writer.write(singleUse(sealed))
  }
  /** Resolves when the part before is out of the way. */
  const pass = () => {
    const before = last
    last = Promise.all([sealer.push(part.subarray(0, filled)), before]).then(([sealed]) => store(sealed))
    last.catch(() => {}) // told by the next call
    filled = 0
    return before
  }
  const write = async (clear: Buffer) => {
    for (let at = 0; at < clear.length; ) {
      // The one before was handed over.
      if (filled === 0) part = Buffer.allocUnsafeSlow(partLength)
      const copied = clear.copy(part, filled, at)
      filled += copied
      at += copied
      if (filled === partLength) await pass()
    }
  }
  return {
    write,
    end: async () => {
      if (filled > 0) await pass()
      const [{ sealed, sha256 }] = await Promise.all([sealer.end(), last])
      await store(sealed)
      const { name: blob } = await writer.finish()
      return { blob, payloadSize, sha256 }
    },
    abort: async () => {
      sealer.drop()
      await last.catch(() => {})
      await writer.abort()
    },
  }
}
