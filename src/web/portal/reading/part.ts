/** One part of a mail, decoded, as a stream: a file of any size passes through without being kept. */
import { Readable } from 'node:stream'
import { transferEncoding } from '../../../mail/content-type.ts'
import { createWalk } from '../../../mail/mime-walk.ts'
import { createDecoder, type Decoder } from '../../../mail/transfer-decoder.ts'

/** The body of leaf `number` (as walk.ts numbers them), decoded; empty when there is none. Errors as `content` does. */
export const partOf = (content: Readable, number: number): Readable => Readable.from(pieces(content, number), { objectMode: false })

async function* pieces(content: Readable, wanted: number): AsyncGenerator<Buffer, void> {
  let current = -1
  let decoder: Decoder | undefined
  let ready: Buffer[] = []
  const walk = createWalk({
    leaf: (number, fields) => {
      current = number
      if (number === wanted) decoder = createDecoder(transferEncoding(fields))
    },
    body: (bytes) => {
      // A piece is a view of the chunk, which the stream may use again.
      if (current === wanted && decoder) ready.push(Buffer.from(decoder.write(bytes)))
    },
  })
  for await (const chunk of content as AsyncIterable<Buffer>) {
    if (!walk.write(chunk)) throw new Error('the mail has too many parts')
    yield* ready
    ready = []
    if (current > wanted) break
  }
  walk.end()
  yield* ready
  if (decoder) yield decoder.end()
}
