/** Makes text of what a mail carries: transfer encoding, character set and HTML taken off. Runs in the worker: its input is hostile. */
import { Parser } from 'htmlparser2'
import { createDecoder } from '../mail/transfer-decoder.ts'
import type { Piece } from './collect.ts'

/** The text that a reader would see, without characters that nobody sees. */
export function textOf({ bytes, encoding, charset, kind }: Piece): string {
  const decoder = createDecoder(encoding)
  const decoded = Buffer.concat([decoder.write(bytes), decoder.end()])
  const text = decoderFor(charset).decode(decoded)
  return visible(kind === 'html' ? textOfHtml(text) : text)
}

/** What is not known is read as the web does: every byte is a character. */
function decoderFor(charset: string): TextDecoder {
  try {
    return new TextDecoder(charset)
  } catch {
    return new TextDecoder('windows-1252')
  }
}

/** Full-width digits become digits; soft hyphens and zero-width characters, by which words are hidden from machines, go. */
export const visible = (text: string): string => text.normalize('NFKC').replace(/\p{Cf}|\u034f/gu, '')

/** Elements that do not part the words beside them. */
const inline = new Set([
  'a',
  'abbr',
  'b',
  'bdi',
  'bdo',
  'big',
  'cite',
  'code',
  'em',
  'font',
  'i',
  'ins',
  'del',
  'kbd',
  'mark',
  'q',
  's',
  'samp',
  'small',
  'span',
  'strike',
  'strong',
  'sub',
  'sup',
  'tt',
  'u',
  'var',
  'wbr',
])
const unread = new Set(['script', 'style', 'template'])

function textOfHtml(html: string): string {
  const pieces: string[] = []
  let skipping = 0
  const parser = new Parser(
    {
      onopentag: (name) => {
        if (unread.has(name)) skipping += 1
        else if (!inline.has(name)) pieces.push('\n')
      },
      onclosetag: (name) => {
        if (unread.has(name)) skipping = Math.max(0, skipping - 1)
        else if (!inline.has(name)) pieces.push('\n')
      },
      ontext: (text) => {
        if (skipping === 0) pieces.push(text)
      },
    },
    { decodeEntities: true, lowerCaseTags: true },
  )
  parser.end(html)
  return pieces.join('')
}
