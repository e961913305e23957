/** ASCII armor (RFC 9580 §6.2) around ciphertext that is kept as bytes: a third smaller in memory than its text. */

const begin = '-----BEGIN PGP MESSAGE-----\r\n\r\n'
const end = '-----END PGP MESSAGE-----\r\n'
/** 48 bytes make a line of 64 characters; so many lines are made at once. */
const piece = 48 * 1024

/** Bytes of the armored text for so many bytes of ciphertext. */
export function armoredSize(bytes: number): number {
  const characters = Math.ceil(bytes / 3) * 4
  return begin.length + characters + Math.ceil(characters / 64) * 2 + end.length
}

/** The armored text, piece by piece. The checksum is left out, as RFC 9580 §6.1 asks. */
export function* armor(ciphertext: readonly Uint8Array[]): Generator<Buffer> {
  yield Buffer.from(begin)
  for (const bytes of pieces(ciphertext)) yield Buffer.from(bytes.toString('base64').replace(/.{1,64}/g, '$&\r\n'), 'latin1')
  yield Buffer.from(end)
}

function* pieces(chunks: readonly Uint8Array[]): Generator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk])
    for (; rest.length >= piece; rest = rest.subarray(piece)) yield rest.subarray(0, piece)
  }
  if (rest.length > 0) yield rest
}
