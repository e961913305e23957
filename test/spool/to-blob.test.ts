/** Large content on its way into a blob, over a disk that takes its time. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { openWhole } from '../../src/seal/age.ts'
import { sealInThread } from '../../src/seal/sealing-thread.ts'
import { streamToBlob } from '../../src/spool/to-blob.ts'
import type { Blobs } from '../../src/store/blobs.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'

/** The disk's own writes, each so many milliseconds later than it was asked for. */
function slow(blobs: Blobs, delays: readonly number[]): Blobs {
  let writes = 0
  return {
    ...blobs,
    write: () => {
      const writer = blobs.write()
      return {
        ...writer,
        write: async (...pieces) => {
          await pause(delays[writes++ % delays.length])
          await writer.write(...pieces)
        },
      }
    },
  }
}

test('its parts are written in their order, each waiting for the one before, to the last of them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-to-blob-'))
  try {
    const blobs = await openBlobs(folder)
    for (const delays of [[0], [40, 0], [0, 40], [60, 30, 0]]) {
      const [fileKey, content] = [randomBytes(16), randomBytes(3 * 256 * 1024 + 17)]
      const to = streamToBlob(slow(blobs, delays), sealInThread(), fileKey)
      for (let at = 0; at < content.length; at += 100_000) await to.write(content.subarray(at, at + 100_000))
      const { blob, payloadSize, sha256 } = await to.end()
      const sealed = await buffer(blobs.open(blob))
      assert.equal(sealed.length, payloadSize)
      assert.equal(createHash('sha256').update(sealed).digest('hex'), sha256)
      assert.ok(content.equals(openWhole(fileKey, sealed) ?? assert.fail('it cannot be opened')), `delays of ${delays}`)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
