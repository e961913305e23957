/** The body of a content stream: what comes after the first empty line. */
import type { Readable } from 'node:stream'
import { splitHeader } from '../../mail/header.ts'

/** The body's bytes as they come; the header block, which is bounded at acceptance, is skipped. */
export async function* bodyOf(content: Readable): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of content as AsyncIterable<Buffer>) {
    if (head === undefined) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    const { bodyStart } = splitHeader(head)
    if (!found(head, bodyStart)) continue
    if (bodyStart < head.length) yield head.subarray(bodyStart)
    head = undefined
  }
}

/** The first bytes of a body, at most `limit`; its stream is closed. */
export async function startOf(body: AsyncGenerator<Buffer>, limit = 4096): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= limit) break
  }
  return Buffer.concat(chunks).subarray(0, limit)
}

/** An empty line was there: what comes before the body ends in it. */
const found = (head: Buffer, bodyStart: number) =>
  /(?:^|\n)\r?\n$/.test(head.subarray(Math.max(0, bodyStart - 4), bodyStart).toString('latin1'))
