/** The payload of an age file as a stream: a nonce, then chunks of 64 KiB, each encrypted and authenticated, the last one marked. */
import { randomBytes } from 'node:crypto'
import { Transform } from 'node:stream'
import { giveBack, singleUse } from '../ops/single-use.ts'
import { derive, openWith, sealWith } from './box.ts'

/** The sealed bytes are not what was written: cut, changed, swapped, extended, or under another key. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken'
}

const chunkLength = 65_536
const tagLength = 16
const nonceLength = 16

/** Bytes of the payload of so many bytes in clear. */
export const payloadSize = (clearBytes: number): number =>
  nonceLength + clearBytes + tagLength * Math.max(1, Math.ceil(clearBytes / chunkLength))

/** Encrypts what is pushed; what it returns, joined in order, is the payload, for one reader. It keeps no more than one chunk. */
export type Sealer = { readonly push: (clear: Buffer) => Buffer[]; readonly end: () => Buffer[] }

/** A sealer for one content. Never seal two contents under one file key. */
export function sealer(fileKey: Buffer): Sealer {
  const nonce = randomBytes(nonceLength)
  const key = derive(fileKey, nonce, 'payload')
  const counter = chunkCounter()
  const pending = Buffer.allocUnsafeSlow(chunkLength) // not from the shared pool: it holds clear text
  let filled = 0
  let started = false
  const start = () => {
    const first = started ? [] : [nonce]
    started = true
    return first
  }
  const seal = (last: boolean, clear: Buffer) => sealWith(key, counter.next(last), clear).map(singleUse)
  return {
    push: (clear) => {
      const out: Buffer[] = start()
      for (let at = 0; at < clear.length; ) {
        // A full chunk is sealed only when more follows: the last one must be marked.
        if (filled === chunkLength) {
          out.push(...seal(false, pending))
          filled = 0
        }
        const copied = clear.copy(pending, filled, at)
        filled += copied
        at += copied
      }
      return out
    },
    end: () => {
      const out = [...start(), ...seal(true, pending.subarray(0, filled))]
      pending.fill(0)
      key.fill(0)
      return out
    },
  }
}

/** The payload of a content that is in memory as a whole. Never seal two contents under one file key. */
export function sealWhole(fileKey: Buffer, clear: Buffer): Buffer {
  const nonce = randomBytes(nonceLength)
  const key = derive(fileKey, nonce, 'payload')
  const counter = chunkCounter()
  const out = Buffer.allocUnsafeSlow(payloadSize(clear.length))
  let to = nonce.copy(out)
  let at = 0
  const seal = (last: boolean, end: number) => {
    for (const piece of sealWith(key, counter.next(last), clear.subarray(at, end)).map(singleUse)) {
      to += piece.copy(out, to)
      giveBack(piece)
    }
    at = end
  }
  while (clear.length - at > chunkLength) seal(false, at + chunkLength)
  seal(true, clear.length)
  key.fill(0)
  return out
}

/** The content of a payload that is in memory as a whole. Throws SealBroken; nothing is given out that was not authenticated. */
export function openWhole(fileKey: Buffer, sealed: Buffer): Buffer {
  const opening = opener(fileKey)
  const clear = [...opening.push(sealed), ...opening.end()]
  return clear.length === 1 && clear[0] !== undefined ? clear[0] : Buffer.concat(clear)
}

/** Decrypts what is pushed. Both throw SealBroken; what was given out before had been authenticated, but may be incomplete. */
export type Opener = { readonly push: (sealed: Buffer) => Generator<Buffer, void>; readonly end: () => Generator<Buffer, void> }

/** An opener for one payload. It keeps no more than one chunk. */
export function opener(fileKey: Buffer): Opener {
  const nonce = Buffer.alloc(nonceLength)
  const counter = chunkCounter()
  const pending = Buffer.allocUnsafeSlow(chunkLength + tagLength)
  let known = 0 // bytes of the nonce
  let key: Buffer | undefined
  let filled = 0
  return {
    push: function* (sealed) {
      let at = sealed.copy(nonce, known)
      known += at
      if (known === nonceLength) key ??= derive(fileKey, nonce, 'payload')
      while (key && at < sealed.length) {
        if (filled === pending.length) {
          yield* openMiddle(key, counter, pending)
          filled = 0
        }
        const copied = sealed.copy(pending, filled, at)
        filled += copied
        at += copied
      }
    },
    end: function* () {
      if (!key) throw new SealBroken('the payload ends within its nonce')
      try {
        yield* openLast(key, counter, pending.subarray(0, filled))
      } finally {
        key.fill(0)
      }
    },
  }
}

/** A chunk that others follow. When it is marked as the last one, its bytes are sound, but the ones after it are not ours. */
function* openMiddle(key: Buffer, counter: ChunkCounter, sealed: Buffer): Generator<Buffer, void> {
  const clear = openWith(key, counter.peek(false), sealed)
  if (clear) {
    counter.next(false)
    yield clear
    return
  }
  const last = openWith(key, counter.peek(true), sealed)
  if (!last) throw new SealBroken('a chunk of the payload was changed')
  yield last
  throw new SealBroken('there are bytes behind the end of the payload')
}

/** The chunk behind which nothing stands. When it is whole but not marked as the last one, others have been cut off. */
function* openLast(key: Buffer, counter: ChunkCounter, sealed: Buffer): Generator<Buffer, void> {
  if (sealed.length < tagLength) throw new SealBroken('the payload is cut off')
  const clear = openWith(key, counter.peek(true), sealed)
  if (clear && clear.length === 0 && !counter.first()) throw new SealBroken('the last chunk is empty, which no age program writes')
  if (clear) {
    if (clear.length) yield clear
    return
  }
  const middle = sealed.length === chunkLength + tagLength && openWith(key, counter.peek(false), sealed)
  if (middle) yield middle
  throw new SealBroken('the payload is cut off, or its last chunk was changed')
}

type ChunkCounter = ReturnType<typeof chunkCounter>

/** The nonces of STREAM: an 11-byte big-endian counter and a byte that is 1 for the last chunk. 2^32 chunks are 256 TiB. */
function chunkCounter() {
  const nonce = Buffer.alloc(12)
  let count = 0
  const peek = (last: boolean) => {
    nonce.writeUInt32BE(count, 7) // throws beyond 2^32
    nonce[11] = last ? 1 : 0
    return nonce
  }
  return {
    peek,
    first: () => count === 0,
    next: (last: boolean) => {
      peek(last)
      count += 1
      return nonce
    },
  }
}

/** Clear bytes in, payload out. */
export function sealPayload(fileKey: Buffer): Transform {
  const sealing = sealer(fileKey)
  return new Transform({
    transform(clear: Buffer, _encoding, done) {
      for (const piece of sealing.push(clear)) this.push(piece)
      done()
    },
    flush(done) {
      for (const piece of sealing.end()) this.push(piece)
      done()
    },
  })
}

/** Payload in, clear bytes out; fails with SealBroken. Only when it ended without error was the content complete. */
export function openPayload(fileKey: Buffer): Transform {
  const opening = opener(fileKey)
  return new Transform({
    transform(sealed: Buffer, _encoding, done) {
      attempt(done, () => {
        for (const clear of opening.push(sealed)) this.push(clear)
      })
    },
    flush(done) {
      attempt(done, () => {
        for (const clear of opening.end()) this.push(clear)
      })
    },
  })
}

/** Run a step of a Transform and tell it how that went. */
function attempt(done: (error?: Error) => void, step: () => void): void {
  try {
    step()
  } catch (error) {
    done(error as Error)
    return
  }
  done()
}
