/** Blobs as files: whole or absent, durable when told so, and nothing half-done left behind. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { Blobs } from '../../src/store/blobs.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'

describe('blobs in files', () => {
  let folder: string
  let blobs: Blobs
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'letterlock-blobs-')), 'blobs')
    blobs = openBlobs(folder)
  })
  afterEach(() => {
    mock.restoreAll()
    syncBuiltinESMExports()
    rmSync(join(folder, '..'), { recursive: true })
  })
  const store = async (...chunks: Buffer[]) => {
    const writer = blobs.write()
    for (const chunk of chunks) await writer.write(chunk)
    return (await writer.finish()).name
  }
  const names = async () => {
    const found: string[] = []
    for await (const name of blobs.list()) found.push(name)
    return found.sort()
  }
  const unfinished = () => readdirSync(join(folder, 'tmp'))

  it('gives back what was written, in order', async () => {
    const chunks = [Buffer.from('one'), Buffer.alloc(0), randomBytes(300_000), Buffer.from('end')]
    assert.deepEqual(await buffer(blobs.open(await store(...chunks))), Buffer.concat(chunks))
  })

  it('keeps the order of chunks that nobody waited for', async () => {
    const writer = blobs.write()
    const chunks = Array.from({ length: 50 }, (_, i) => Buffer.alloc(1000, i))
    await Promise.all([
      ...chunks.map((chunk) => writer.write(chunk)),
      writer.finish().then(async ({ name }) => {
        assert.deepEqual(await buffer(blobs.open(name)), Buffer.concat(chunks))
      }),
    ])
  })

  it('stores an empty blob', async () => {
    assert.equal((await buffer(blobs.open(await store()))).length, 0)
  })

  it('lists what is finished, and only that', async () => {
    const writer = blobs.write()
    await writer.write(Buffer.from('half'))
    const stored = [await store(Buffer.from('a')), await store(Buffer.from('b')), await store(Buffer.from('c'))]
    assert.deepEqual(await names(), stored.sort())
    await writer.abort()
  })

  it('survives being opened again, as after a restart', async () => {
    const name = await store(Buffer.from('kept'))
    blobs = openBlobs(folder)
    assert.deepEqual(await names(), [name])
    assert.equal((await buffer(blobs.open(name))).toString(), 'kept')
  })

  it('removes, and does not mind removing twice', async () => {
    const name = await store(Buffer.from('gone'))
    await blobs.remove(name)
    await blobs.remove(name)
    assert.deepEqual(await names(), [])
    await assert.rejects(buffer(blobs.open(name)), { code: 'ENOENT' })
  })

  it('leaves nothing behind when aborted', async () => {
    const writer = blobs.write()
    await writer.write(randomBytes(100_000))
    await writer.abort()
    await writer.abort()
    assert.deepEqual([await names(), unfinished()], [[], []])
    await assert.rejects(writer.write(Buffer.from('more')), /aborted/)
    await assert.rejects(writer.finish(), /aborted/)
  })

  it('does not remove a finished blob when aborted too late', async () => {
    const writer = blobs.write()
    const { name } = await writer.finish()
    await writer.abort()
    assert.deepEqual(await names(), [name])
  })

  it('opens nothing outside its folder', async () => {
    writeFileSync(join(folder, '..', 'secret'), 'outside')
    for (const name of ['../secret', '../../secret', '/etc/hostname', '', 'tmp', `${'a'.repeat(31)}/`, 'A'.repeat(32)]) {
      await assert.rejects(buffer(blobs.open(name)), /names no blob/)
      await blobs.remove(name)
    }
    assert.ok(existsSync(join(folder, '..', 'secret')))
  })

  it('lets nobody else read', async () => {
    const name = await store(Buffer.from('x'))
    assert.equal(statSync(join(folder, name.slice(0, 2), name)).mode & 0o777, 0o600)
    for (const each of [folder, join(folder, 'tmp'), join(folder, name.slice(0, 2))]) assert.equal(statSync(each).mode & 0o777, 0o700)
  })

  it('tells how many bytes are free', async () => {
    const free = await blobs.free()
    assert.ok(Number.isSafeInteger(free) && free > 0)
  })

  it('clears what a crash left half-written, but not what another process is writing', async () => {
    writeFileSync(join(folder, 'tmp', 'old'), 'x')
    utimesSync(join(folder, 'tmp', 'old'), 1_700_000_000, 1_700_000_000)
    writeFileSync(join(folder, 'tmp', 'new'), 'x')
    openBlobs(folder)
    assert.deepEqual(unfinished(), ['new'])
  })

  it('syncs the file, renames it, syncs its folder, and only then says finished', async () => {
    const steps: string[] = []
    const { sync } = await handlePrototype(folder)
    mock.method(await handlePrototype(folder), 'sync', async function (this: FileHandle) {
      const what = (await this.stat()).isDirectory() ? 'sync folder' : 'sync file'
      await sync.call(this)
      steps.push(what)
    })
    const { rename } = fs
    mock.method(fs, 'rename', async (from: string, to: string) => {
      await rename(from, to)
      steps.push('rename')
    })
    syncBuiltinESMExports()
    await store(Buffer.from('x'))
    // The first folder sync is for the shard's own name in the folder of all blobs.
    assert.deepEqual(steps, ['sync file', 'sync folder', 'rename', 'sync folder'])
  })

  for (const [nth, what] of [
    [1, 'the file'],
    [2, 'the folder of shards'],
    [3, 'the shard'],
  ] as const) {
    it(`takes a failed fsync of ${what} for a loss: rejects, and does not try again`, async () => {
      const { sync } = await handlePrototype(folder)
      let calls = 0
      mock.method(await handlePrototype(folder), 'sync', function (this: FileHandle) {
        return ++calls === nth ? Promise.reject(Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })) : sync.call(this)
      })
      const writer = blobs.write()
      await writer.write(Buffer.from('x'))
      await assert.rejects(writer.finish(), { code: 'EIO' })
      await assert.rejects(writer.finish(), { code: 'EIO' })
      assert.equal(calls, nth)
      await writer.abort()
      assert.deepEqual([await names(), unfinished()], [[], []])
      const again = await store(Buffer.from('the disk is well again'))
      assert.deepEqual(await names(), [again])
    })
  }

  it('tells of a failed write at every later call', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    const writer = blobs.write()
    const large = randomBytes(300_000)
    await writer.write(Buffer.from('x'))
    await writer.write(large)
    const failing = mock.method(await handlePrototype(folder), 'writev', () => Promise.reject(full))
    await writer.write(large)
    await assert.rejects(writer.write(Buffer.from('y')), { code: 'ENOSPC' })
    failing.mock.restore()
    await assert.rejects(writer.write(Buffer.from('z')), { code: 'ENOSPC' })
    await assert.rejects(writer.finish(), { code: 'ENOSPC' })
    await writer.abort()
    assert.deepEqual([await names(), unfinished()], [[], []])
  })

  it('writes everything when the disk takes only a few bytes at a time', async () => {
    const { write } = await handlePrototype(folder)
    const some = function (this: FileHandle, chunk: Buffer, at: number) {
      return write.call(this, chunk, at, Math.min(7, chunk.length - at))
    }
    mock.method(await handlePrototype(folder), 'write', some)
    const bytes = randomBytes(1000)
    const hash = (content: Buffer) => createHash('sha256').update(content).digest('hex')
    // The first call takes nothing, half of a piece, or one and a half.
    for (const taken of [0, 100, 450]) {
      mock.method(await handlePrototype(folder), 'writev', async function (this: FileHandle, pieces: Buffer[]) {
        const { bytesWritten } = await write.call(
          this,
          Buffer.concat(pieces),
          0,
          Math.min(
            taken,
            pieces.reduce((sum, piece) => sum + piece.length, 0),
          ),
        )
        return { bytesWritten }
      })
      const writer = blobs.write()
      await writer.write(bytes.subarray(0, 300), bytes.subarray(300, 600))
      await writer.write(bytes.subarray(600))
      const { name } = await writer.finish()
      assert.equal(hash(await buffer(blobs.open(name))), hash(bytes))
    }
  })
})

/** The functions that all of Node's file handles share: here a disk can be made to fail. */
async function handlePrototype(
  folder: string,
): Promise<
  Pick<FileHandle, 'sync'> & { readonly [name in 'write' | 'writev']: (...parts: unknown[]) => Promise<{ bytesWritten: number }> }
> {
  const file = await fs.open(folder, 'r')
  await file.close()
  return Object.getPrototypeOf(file)
}
