/** Reads the header block of a stored message and the first lines of its body, and no more. */
import type { Readable } from 'node:stream'
import { splitHeader } from '../mail/header.ts'

export type Head = {
  readonly kind: 'head'
  /** Without the empty line that ends it. */
  readonly header: Buffer
  /** The first octets of the body. */
  readonly bodyStart: Buffer
}

/** Enough for the largest header block that submission lets in. */
const most = 1024 * 1024
const bodyLook = 4096

/** The head of a message; 'damaged' when the sealed content cannot be read. Whether all of it is sound shows only when all of it is read. */
export async function readHead(open: () => Readable): Promise<Head | { readonly kind: 'damaged' }> {
  const stream = open()
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      const content = Buffer.concat(chunks)
      const end = content.indexOf('\r\n\r\n')
      if ((end >= 0 && size - end > bodyLook) || size > most) break
    }
  } catch {
    return { kind: 'damaged' }
  } finally {
    stream.destroy()
  }
  const content = Buffer.concat(chunks)
  const { header, bodyStart } = splitHeader(content)
  return { kind: 'head', header, bodyStart: content.subarray(bodyStart, bodyStart + bodyLook) }
}
