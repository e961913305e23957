/** Encoded words (RFC 2047): how header fields carry more than ASCII. */

/** One encoded word: charset (a language after `*` is dropped, RFC 2231 §5), encoding, text. Spaces in Q are tolerated. */
const encodedWord = /=\?([^?*\s]{1,64})(?:\*[^?\s]{0,64})?\?([bq])\?([^?\r\n]*)\?=/gi

/** The text of an unfolded field value with its encoded words decoded; what cannot be decoded stays as it stands. */
export function decodeWords(value: string): string {
  let text = ''
  let end = 0
  let pending: { charset: string; bytes: Buffer } | undefined
  const flush = () => {
    if (pending !== undefined) text += decode(pending.bytes, pending.charset)
    pending = undefined
  }
  for (const word of value.matchAll(encodedWord)) {
    const [whole, charset = '', encoding = '', encoded = ''] = word
    const between = value.slice(end, word.index)
    // RFC 2047 §6.2: white space between two encoded words is not shown.
    const adjacent = pending !== undefined && /^\s*$/.test(between)
    const bytes = encoding.toLowerCase() === 'b' ? Buffer.from(encoded, 'base64') : unquote(encoded)
    if (adjacent && pending?.charset === charset.toLowerCase()) {
      // Some senders cut a character between two words: join the bytes before decoding.
      pending = { charset: pending.charset, bytes: Buffer.concat([pending.bytes, bytes]) }
    } else {
      flush()
      if (!adjacent) text += between
      pending = { charset: charset.toLowerCase(), bytes }
    }
    end = word.index + whole.length
  }
  flush()
  return text + value.slice(end)
}

/** `text` as it may stand in an unstructured field or a display name: itself when printable ASCII, else encoded words of at most 75 characters. */
export function encodeWords(text: string): string {
  if (/^[\x20-\x7e\t]*$/.test(text) && !text.includes('=?')) return text
  const words: string[] = []
  let chunk = ''
  for (const char of text) {
    // RFC 2047 §2: 75 characters a word; 39 octets make 64 with the frame, so that a field name fits before them. A character is never cut.
    if (Buffer.byteLength(chunk + char) > 39) {
      words.push(chunk)
      chunk = ''
    }
    chunk += char
  }
  return [...words, chunk].map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ')
}

/** Bytes of a header as text: UTF-8 (RFC 6532) when it is, else each octet one character. */
export function bytesToText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return bytes.toString('latin1')
  }
}

const unquote = (text: string) =>
  Buffer.from(
    text.replace(/_/g, ' ').replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )

function decode(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return bytesToText(bytes)
  }
}
