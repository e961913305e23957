/** Large content in clear, kept in memory until it was delivered for the first time: its blob need not be read and opened again at once. */
import { Readable } from 'node:stream'
import { markPlainLines } from '../mail/plain-lines.ts'
import type { Clear } from './content.ts'

/** A write to the network takes as much. */
const blockLength = 256 * 1024

/** Blocks of memory for what is kept: made when first wanted, and then used again and again, for buffers that come and go keep V8 marking. */
export type Blocks = {
  /** Undefined when all are taken. */
  readonly take: () => Buffer | undefined
  /** `again`: nobody can be reading it any more. */
  readonly giveBack: (block: Buffer, again: boolean) => void
}

/** So many blocks of 256 KiB. */
export function createBlocks(most: number): Blocks {
  const free: Buffer[] = []
  let left = most
  return {
    take: () => {
      if (left === 0) return undefined
      left--
      return free.pop() ?? Buffer.allocUnsafeSlow(blockLength)
    },
    giveBack: (block, again) => {
      left++
      if (again) free.push(block.fill(0))
    },
  }
}

export type Keeping = {
  /** Copies it. Where there is no room left, all that was kept is let go. */
  readonly add: (clear: Buffer) => void
  /** All that was added; undefined when it was let go. `plainLines` as in Acceptance. */
  readonly clear: (plainLines: boolean) => (Pick<Clear, 'open'> & { readonly done: () => void }) | undefined
  readonly letGo: () => void
}

/** Keeps one content, as long as there is room. */
export function keepContent(room: Blocks): Keeping {
  let blocks: Buffer[] | undefined = []
  let length = 0
  let readers = 0
  const letGo = () => {
    // What a reader still holds must not turn into another mail.
    for (const block of blocks ?? []) room.giveBack(block, readers === 0)
    blocks = undefined
  }
  const lastBlock = (kept: Buffer[]): Buffer | undefined => {
    if (length < kept.length * blockLength) return kept.at(-1)
    const block = room.take()
    if (block !== undefined) kept.push(block)
    return block
  }
  const add = (clear: Buffer) => {
    for (let at = 0; blocks !== undefined && at < clear.length; ) {
      const block = lastBlock(blocks)
      if (block === undefined) return letGo()
      const copied = clear.copy(block, length % blockLength, at)
      length += copied
      at += copied
    }
  }
  const read = function* (judged: (piece: Buffer) => Buffer): Generator<Buffer> {
    for (let at = 0; at < length; at += blockLength) {
      const block = blocks?.[at / blockLength]
      // A content must never end early without an error.
      if (block === undefined) throw new Error('a content was still read after all was said to be done with it')
      yield judged(block.subarray(0, length - at))
    }
  }
  const open = (plainLines: boolean) => {
    readers++
    return Readable.from(read(plainLines ? markPlainLines : (piece) => piece), { highWaterMark: 1 }).once('close', () => readers--)
  }
  return { add, letGo, clear: (plainLines) => blocks && { open: () => open(plainLines), done: letGo } }
}
