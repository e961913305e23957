/** Reads the header block of a stored message and the first lines of its body, and no more. */
import { splitHeader } from '../mail/header.ts'
import { SealBroken } from '../seal/payload.ts'
import type { Clear } from '../spool/content.ts'

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

/** The head of a message; 'damaged' when the sealed content is broken or gone; rejects when it cannot be read now. Whether all of it is sound shows only when all of it is read. */
export async function readHead({ open, whole }: Clear): Promise<Head | { readonly kind: 'damaged' }> {
  if (whole !== undefined) return headOf(whole)
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
  } catch (error) {
    if (isDamage(error)) return { kind: 'damaged' }
    throw error
  } finally {
    stream.destroy()
  }
  return headOf(Buffer.concat(chunks))
}

function headOf(content: Buffer): Head {
  const { header, bodyStart } = splitHeader(content)
  return { kind: 'head', header, bodyStart: content.subarray(bodyStart, bodyStart + bodyLook) }
}

/** A disk that fails or a process with too many open files (EMFILE) says nothing about the content: that passes, and the mail waits. */
const isDamage = (error: unknown): boolean =>
  error instanceof SealBroken || (error instanceof Error && 'code' in error && error.code === 'ENOENT')
