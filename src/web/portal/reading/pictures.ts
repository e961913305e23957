/** Pictures that travel inside a mail, turned into data: URIs within limits. */
import type { Attachment } from 'postal-mime'

const oneLimit = 3 * 1024 * 1024
const allLimit = 8 * 1024 * 1024

export type Pictures = {
  /** The data: URI of the picture with this Content-ID; undefined: not there, not a picture, or too large. */
  readonly find: (contentId: string) => string | undefined
  readonly used: ReadonlySet<Attachment>
}

/** Looks up by Content-ID (RFC 2392). The type comes from the first bytes, never from the label. */
export function picturesOf(attachments: readonly Attachment[]): Pictures {
  const byId = new Map(attachments.filter((one) => one.contentId).map((one) => [bare(one.contentId ?? ''), one]))
  const made = new Map<Attachment, string>()
  let room = allLimit
  const find = (contentId: string) => {
    const attachment = byId.get(bare(decode(contentId)))
    if (!attachment) return undefined
    const bytes = Buffer.from(bytesOf(attachment))
    const type = pictureType(bytes)
    // Each showing of a picture writes it into the page again, so each counts.
    if (!type || bytes.length > oneLimit || bytes.length > room) return undefined
    room -= bytes.length
    const uri = made.get(attachment) ?? `data:${type};base64,${bytes.toString('base64')}`
    made.set(attachment, uri)
    return uri
  }
  return {
    find,
    get used() {
      return new Set(made.keys())
    },
  }
}

/** The decoded content of an attachment without a copy. */
export function bytesOf(attachment: Attachment): ArrayBuffer {
  const { content } = attachment
  if (content instanceof ArrayBuffer) return content
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return new Uint8Array(bytes).buffer
}

const bare = (contentId: string) => contentId.trim().replace(/^<|>$/g, '')

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function pictureType(bytes: Buffer): string | undefined {
  if (bytes.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'))) return 'image/png'
  if (bytes.subarray(0, 3).equals(Buffer.from('ffd8ff', 'hex'))) return 'image/jpeg'
  if (/^GIF8[79]a$/.test(bytes.toString('latin1', 0, 6))) return 'image/gif'
  if (/^RIFF....WEBP$/s.test(bytes.toString('latin1', 0, 12))) return 'image/webp'
  return undefined
}
