/** Large sealed contents by name, wherever they are kept; what goes in is already encrypted. */
import type { Readable } from 'node:stream'

/** One blob being written: nothing of it can be seen until `finish` resolved. */
export type BlobWriter = {
  /**
   * Resolves when more may be written, which may be before these are on the disk: they belong to the writer. Rejects when the disk fails; then
   * all later calls but `abort` reject too.
   */
  readonly write: (...pieces: Buffer[]) => Promise<void>
  /** Resolves, with the name to open it by, only when the blob would survive a power cut. A failure is final: begin anew. */
  readonly finish: () => Promise<{ readonly name: string }>
  /** Forget what was written; also after a failure. Never rejects; does nothing after `finish` resolved. */
  readonly abort: () => Promise<void>
}

export type Blobs = {
  readonly write: () => BlobWriter
  /** The bytes of a blob; the stream fails with ENOENT when there is none of that name. */
  readonly open: (name: string) => Readable
  /** Resolves also when there was none of that name. */
  readonly remove: (name: string) => Promise<void>
  /** The names of all finished blobs that are at least `age` milliseconds old (0: of all), in no order. */
  readonly list: (age?: number) => AsyncIterable<string>
  /** Bytes that we may still store. */
  readonly free: () => Promise<number>
}
