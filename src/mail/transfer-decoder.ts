/** Takes the transfer encoding off a body that comes in pieces (RFC 2045 §6). */

export type Decoder = {
  readonly write: (bytes: Buffer) => Buffer
  readonly end: () => Buffer
  /** How many bytes this piece decodes to, without keeping them. Use `write` or `size`, not both, and add `rest` at the end. */
  readonly size: (bytes: Buffer) => number
  /** Bytes that `end` would give. */
  readonly rest: () => number
}

/** `encoding` in lower case; anything but base64 and quoted-printable is given as it is. */
export function createDecoder(encoding: string): Decoder {
  if (encoding === 'base64') return base64()
  if (encoding === 'quoted-printable') return quotedPrintable()
  return { write: (bytes) => bytes, end: () => none, size: (bytes) => bytes.length, rest: () => 0 }
}

const none = Buffer.alloc(0)

// RFC 2045 §6.8: whatever is not in the alphabet is skipped; `=` only fills up.
const inAlphabet = new Uint8Array(256)
for (const character of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')) inAlphabet[character] = 1

function base64(): Decoder {
  let rest = ''
  let counted = 0
  const write = (bytes: Buffer): Buffer => {
    const text = rest + bytes.toString('latin1').replace(/[^A-Za-z0-9+/]/g, '')
    const whole = text.length - (text.length % 4)
    rest = text.slice(whole)
    return Buffer.from(text.slice(0, whole), 'base64')
  }
  const size = (bytes: Buffer): number => {
    const before = Math.floor((counted * 3) / 4)
    for (let i = 0; i < bytes.length; i++) counted += inAlphabet[bytes[i] ?? 0] ?? 0
    return Math.floor((counted * 3) / 4) - before
  }
  return { write, end: () => Buffer.from(rest, 'base64'), size, rest: () => 0 }
}

// White space that long is no padding at a line's end (RFC 5321 §4.5.3.1.6).
const longestLine = 998
const [tab, lf, cr, space, equals] = [0x09, 0x0a, 0x0d, 0x20, 0x3d]

/** RFC 2045 §6.7, byte by byte: what is waiting is an escape that is not complete, or white space that ends a line and is dropped (rule 3). */
function quotedPrintable(): Decoder {
  let waiting: number[] = []
  let spaces: number[] = []
  const write = (bytes: Buffer): Buffer => {
    const out: number[] = []
    for (const byte of bytes) next(byte, out)
    return Buffer.from(out)
  }
  const next = (byte: number, out: number[]) => {
    if (waiting.length > 0 && escaped(byte, out)) return
    if (byte === space || byte === tab) {
      if (spaces.push(byte) > longestLine) flush(out)
      return
    }
    if (byte === lf || byte === cr) spaces = []
    else flush(out)
    if (byte === equals) waiting = [equals]
    else out.push(byte)
  }
  /** False when the byte is not of the escape, which then was none and stays as it is. */
  const escaped = (byte: number, out: number[]): boolean => {
    const last = waiting.at(-1)
    if (last === equals && (byte === space || byte === tab)) return true
    if (byte === lf) {
      if (last !== equals && last !== cr) return unescaped(out)
      waiting = []
      return true
    }
    if (last === equals && (byte === cr || isHex(byte))) return waiting.push(byte) > 0
    if (last !== undefined && last !== equals && last !== cr && isHex(byte)) {
      out.push(Number.parseInt(String.fromCharCode(last, byte), 16))
      waiting = []
      return true
    }
    return unescaped(out)
  }
  const unescaped = (out: number[]): boolean => {
    out.push(...waiting)
    waiting = []
    return false
  }
  const flush = (out: number[]) => {
    for (const one of spaces) out.push(one)
    spaces = []
  }
  const end = (): Buffer => {
    const out: number[] = []
    unescaped(out)
    flush(out)
    return Buffer.from(out)
  }
  return { write, end, size: (bytes) => write(bytes).length, rest: () => end().length }
}

const isHex = (byte: number) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)
