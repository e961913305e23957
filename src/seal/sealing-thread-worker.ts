/** The thread that seals: has the sealers and the hashes of all contents under way, and answers clear text with payload, in order. */
import { createHash, type Hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { giveBack, singleUse } from '../ops/single-use.ts'
import { type Sealer, sealer } from './payload.ts'

/** `push` and `end` are answered. */
export type Asked =
  | { readonly kind: 'begin'; readonly content: number; readonly fileKey: Uint8Array }
  | { readonly kind: 'push'; readonly content: number; readonly clear: Uint8Array }
  | { readonly kind: 'end' | 'drop'; readonly content: number }

/** `sha256` of the whole payload, with its end. */
export type Sealed = { readonly sealed: Uint8Array; readonly sha256?: string }

type Content = { readonly sealing: Sealer; readonly hash: Hash }

const port = parentPort
if (port === null) throw new Error('this file runs in a worker thread only')

const contents = new Map<number, Content>()

/** One that is not known is a bug of ours: the error ends the thread, and with it whatever was being sealed. */
function found(content: number): Content {
  const known = contents.get(content)
  if (known === undefined) throw new Error('a content was not begun, or has ended')
  return known
}

/** In one piece, which is handed over. */
function hashed({ hash }: Content, pieces: readonly Buffer[]): Buffer {
  const whole = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    at += piece.copy(whole, at)
    giveBack(singleUse(piece))
  }
  hash.update(whole)
  return whole
}

const answer = (sealed: Sealed) => port.postMessage(sealed, [sealed.sealed.buffer as ArrayBuffer])

port.on('message', (asked: Asked) => {
  switch (asked.kind) {
    case 'begin': {
      const fileKey = Buffer.from(asked.fileKey.buffer)
      contents.set(asked.content, { sealing: sealer(fileKey), hash: createHash('sha256') })
      fileKey.fill(0)
      return
    }
    case 'push': {
      const content = found(asked.content)
      const clear = Buffer.from(asked.clear.buffer, asked.clear.byteOffset, asked.clear.byteLength)
      const sealed = hashed(content, content.sealing.push(clear))
      giveBack(singleUse(clear))
      return answer({ sealed })
    }
    case 'end': {
      const content = found(asked.content)
      contents.delete(asked.content)
      const sealed = hashed(content, content.sealing.end())
      return answer({ sealed, sha256: content.hash.digest('hex') })
    }
    case 'drop':
      // Its key and what it holds in clear are wiped with its end.
      contents.get(asked.content)?.sealing.end()
      contents.delete(asked.content)
  }
})

// What is not answered would be waited for for ever, and the next answer taken for it.
port.on('messageerror', (error) => {
  throw error
})
