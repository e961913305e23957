/** Blobs as files in 256 sharded folders; a finished one survives a power cut. */

import { randomBytes } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { failpoint } from '../ops/failpoint.ts'
import { makeFolder, type Naming, namingIn } from '../ops/folder.ts'
import { giveBack } from '../ops/single-use.ts'
import type { Blobs, BlobWriter } from './blobs.ts'

/** Open the blobs below `folder`, making it when it is not there. Throws the file system's error. */
export function openBlobs(folder: string): Blobs {
  makeFolder(join(folder, 'tmp'))
  sweep(join(folder, 'tmp'))
  const naming = namingIn()
  const room: Room = { left: mostGathered }
  const shards = shardMaker(folder, naming)
  return {
    write: () => writeBlob(folder, shards, naming, room),
    open: (name) => {
      if (!isName(name)) return failing(new Error(`${JSON.stringify(name)} names no blob`))
      // Not mounted, perhaps: a blob that is not found there is not a lost one.
      if (!existsSync(join(folder, 'tmp'))) return failing(new Error(`the folder of blobs ${folder} is missing`))
      return createReadStream(pathOf(folder, name), { highWaterMark: readAtOnce })
    },
    remove: async (name) => {
      if (isName(name)) await rm(pathOf(folder, name), { force: true })
    },
    list: (age = 0) => listBlobs(folder, age),
    free: async () => {
      const { bavail, bsize, files, ffree } = await statfs(folder)
      // Some file systems count no inodes (files is 0); without a free one nothing can be stored, whatever the room.
      return files > 0 && ffree === 0 ? 0 : bavail * bsize
    },
  }
}

/** Each read is a round through the thread pool. */
const readAtOnce = 256 * 1024

/** 128 random bits: names never meet, and say nothing. */
const newName = () => randomBytes(16).toString('hex')
const isName = (name: string) => /^[0-9a-f]{32}$/.test(name) // names come from the database: a planted one must not leave the folder
const shardOf = (name: string) => name.slice(0, 2)
const pathOf = (folder: string, name: string) => join(folder, shardOf(name), name)

/** Milliseconds after which a file in tmp belongs to nobody: no content takes us longer to receive (its DATA deadline is 10 minutes). */
const abandoned = 3_600_000

/** Remove what a crash left half-written; not what another process is writing now. */
function sweep(tmp: string): void {
  for (const name of readdirSync(tmp)) {
    const path = join(tmp, name)
    const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs
    if (written !== undefined && Date.now() - written > abandoned) rmSync(path, { force: true })
  }
}

type ShardMaker = (shard: string) => Promise<string>

/** Each shard is made sure of once in the life of the process: it may exist only in the kernel's memory after a crash. */
function shardMaker(folder: string, naming: Naming): ShardMaker {
  const made = new Map<string, Promise<string>>()
  const make = async (shard: string) => {
    const path = join(folder, shard)
    try {
      await naming(folder, () => mkdir(path, { recursive: true, mode: 0o700 }))
    } catch (error) {
      // A second sync would succeed without having written anything: the name must be made anew. One that holds blobs was synced before.
      await rmdir(path).catch(() => undefined)
      throw error
    }
    return path
  }
  return (shard) => {
    const making = made.get(shard) ?? make(shard)
    made.set(shard, making)
    making.catch(() => made.delete(shard))
    return making
  }
}

/** Bytes that all blobs being written may hold in memory together. */
const mostGathered = 32 * 1024 * 1024
type Room = { left: number }

function writeBlob(folder: string, shards: ShardMaker, naming: Naming, room: Room): BlobWriter {
  const name = newName()
  const path = join(folder, 'tmp', name)
  let finished = false
  let file: FileHandle | undefined
  // Every step waits for the one before, and fails with it: after a failed write or fsync nothing more is tried.
  let last: Promise<void> = open(path, 'wx', 0o600).then((opened) => {
    file = opened
  })
  last.catch(() => {}) // told by the next call
  const then = (step: (file: FileHandle) => Promise<void>) => {
    last = last.then(() => (file ? step(file) : Promise.reject(new Error('this blob was finished or aborted'))))
    last.catch(() => {})
    return last
  }
  const gathered = gather(room)
  const flush = () => {
    const { pieces, done } = gathered.take()
    return then((opened) => writeAll(opened, pieces)).finally(done)
  }
  const close = async () => {
    gathered.take().done()
    await file?.close().catch(() => {})
    file = undefined
  }
  return {
    write: async (...pieces) => {
      gathered.add(pieces)
      const before = last
      // One batch is on its way to the disk while the next one is gathered.
      const mayGoOn = file !== undefined && room.left > 0
      if (gathered.isEnough() || file === undefined) flush().catch(() => {})
      await (mayGoOn ? before : last)
    },
    finish: async () => {
      await flush()
      await then(async (opened) => {
        failpoint('blob.written')
        await opened.sync()
        failpoint('blob.synced')
        await close()
        const shard = await shards(shardOf(name))
        await naming(shard, async () => {
          await rename(path, join(shard, name))
          failpoint('blob.renamed')
        })
        failpoint('blob.folder-synced')
        finished = true
      })
      return { name }
    },
    abort: async () => {
      await last.catch(() => {})
      await close()
      if (finished) return
      await rm(path, { force: true }).catch(() => {})
      await rm(pathOf(folder, name), { force: true }).catch(() => {}) // renamed, but its folder would not sync
    },
  }
}

/** Each write is a round through the thread pool as well. */
const writeAtOnce = 256 * 1024

/** Pieces kept until they are worth a write; at once when there is no room to keep them. */
function gather(room: Room) {
  let pieces: Buffer[] = []
  let size = 0
  return {
    add: (more: readonly Buffer[]) => {
      const length = more.reduce((sum, piece) => sum + piece.length, 0)
      pieces.push(...more)
      size += length
      room.left -= length
    },
    isEnough: () => size >= writeAtOnce || room.left <= 0,
    /** `done` is for when they need no room any more. */
    take: () => {
      const taken = { pieces, size }
      pieces = []
      size = 0
      return {
        pieces: taken.pieces,
        done: () => {
          room.left += taken.size
        },
      }
    },
  }
}

async function writeAll(file: FileHandle, pieces: readonly Buffer[]): Promise<void> {
  if (pieces.length === 0) return
  const { bytesWritten } = await file.writev(pieces)
  let before = 0
  for (const piece of pieces) {
    // A disk that is nearly full, or a signal, may cut a write short.
    for (let at = Math.max(0, bytesWritten - before); at < piece.length; ) at += (await file.write(piece, at)).bytesWritten
    before += piece.length
    giveBack(piece)
  }
}

async function* listBlobs(folder: string, age: number): AsyncGenerator<string> {
  for (const shard of await readdir(folder)) {
    if (!/^[0-9a-f]{2}$/.test(shard)) continue
    for (const name of (await readdir(join(folder, shard))).filter(isName)) {
      const written = age > 0 ? statSync(pathOf(folder, name), { throwIfNoEntry: false })?.mtimeMs : 0
      if (written !== undefined && Date.now() - written >= age) yield name
    }
  }
}

const failing = (error: Error): Readable =>
  new Readable({
    read() {
      this.destroy(error)
    },
  })
