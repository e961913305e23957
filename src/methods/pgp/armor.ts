/** ASCII armor (RFC 9580 §6) around ciphertext that is kept as bytes: a third smaller in memory than its text. */

/** Encrypted data in pieces, and the CRC-24 over all of them. */
export type Ciphertext = { readonly chunks: readonly Uint8Array[]; readonly checksum: number }

const begin = '-----BEGIN PGP MESSAGE-----\r\n\r\n'
const end = '-----END PGP MESSAGE-----\r\n'
/** 48 bytes make a line of 64 characters; so many lines are made at once. */
const piece = 48 * 1024
/** `=abcd` and its line end. */
const checksumLine = 7

/** Bytes of the armored text. */
export function armoredSize({ chunks }: Ciphertext): number {
  const characters = Math.ceil(chunks.reduce((sum, chunk) => sum + chunk.length, 0) / 3) * 4
  return begin.length + characters + Math.ceil(characters / 64) * 2 + checksumLine + end.length
}

/**
 * The armored text, piece by piece. RFC 9580 §6.1 would rather have no checksum, but gpg 2.2 takes the end line for data when there is
 * none and the last group is full.
 */
export function* armor({ chunks, checksum }: Ciphertext): Generator<Buffer> {
  yield Buffer.from(begin)
  for (const bytes of pieces(chunks)) yield Buffer.from(bytes.toString('base64').replace(/.{1,64}/g, '$&\r\n'), 'latin1')
  const sum = Buffer.from([checksum >>> 16, (checksum >>> 8) & 0xff, checksum & 0xff])
  yield Buffer.from(`=${sum.toString('base64')}\r\n${end}`)
}

function* pieces(chunks: readonly Uint8Array[]): Generator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk])
    for (; rest.length >= piece; rest = rest.subarray(piece)) yield rest.subarray(0, piece)
  }
  if (rest.length > 0) yield rest
}

/** RFC 9580 §6.1.1: where a checksum starts. */
export const crc24Start = 0xb704ce

/** The checksum after further bytes. */
export function crc24(checksum: number, bytes: Uint8Array): number {
  let sum = checksum
  for (const byte of bytes) sum = ((sum << 8) & 0xffffff) ^ (table[((sum >>> 16) ^ byte) & 0xff] ?? 0)
  return sum
}

const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte << 16
  for (let bit = 0; bit < 8; bit++) sum = sum & 0x800000 ? (sum << 1) ^ 0x1864cfb : sum << 1
  return sum & 0xffffff
})
