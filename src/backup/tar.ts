/** The few lines of the tar format (POSIX.1-1988 ustar) that a backup needs: plain files with short names, written and read as streams. */

/** One file of an archive. `size` in bytes; `content` gives exactly so many. */
export type TarFile = { readonly name: string; readonly size: number; readonly content: AsyncIterable<Buffer> }

/** This is no archive of ours, or it is cut off or altered; the text says what was found. */
export class ArchiveBroken extends Error {
  override readonly name = 'ArchiveBroken'
}

const block = 512

/** The bytes of an archive with these files, `at` (milliseconds since 1970) as their time, readable by their owner only. */
export async function* writeTar(files: AsyncIterable<TarFile>, at: number): AsyncGenerator<Buffer> {
  for await (const { name, size, content } of files) {
    yield head(name, size, at)
    let written = 0
    for await (const chunk of content) {
      written += chunk.length
      yield chunk
    }
    if (written !== size) throw new Error(`${name} changed while it was saved: ${written} bytes instead of ${size}`)
    yield Buffer.alloc(padding(size))
  }
  yield Buffer.alloc(2 * block) // two empty blocks end an archive
}

/** The files of an archive one after the other; what was not read of a file is skipped. Throws ArchiveBroken. */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarFile> {
  const bytes = byteReader(source)
  try {
    for (;;) {
      const header = await bytes.exactly(block)
      if (header.every((byte) => byte === 0)) return await bytes.rest()
      const { name, size } = readHead(header)
      let left = size
      const content = (async function* () {
        while (left > 0) {
          const chunk = await bytes.some(left)
          left -= chunk.length
          yield chunk
        }
      })()
      yield { name, size, content }
      while (left > 0) left -= (await bytes.some(left)).length
      await bytes.exactly(padding(size))
    }
  } finally {
    await bytes.close()
  }
}

const padding = (size: number): number => (block - (size % block)) % block

function head(name: string, size: number, at: number): Buffer {
  const header = Buffer.alloc(block)
  if (Buffer.byteLength(name) > 99) throw new Error(`${name} is too long a name for an archive`)
  header.write(name, 0)
  header.write('0000600\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  writeSize(header, size)
  header.write(
    `${Math.floor(at / 1000)
      .toString(8)
      .padStart(11, '0')}\0`,
    136,
  )
  header.write('0', 156) // a plain file
  header.write('ustar\x0000', 257)
  header.write(checksum(header), 148)
  return header
}

/** Eleven octal digits reach to 8 GiB; beyond that as GNU tar does: a set first bit, then a big-endian number. */
function writeSize(header: Buffer, size: number): void {
  if (size < 8 ** 11) {
    header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
    return
  }
  header[124] = 0x80
  header.writeBigUInt64BE(BigInt(size), 128)
}

/** The sum of all bytes, its own field counted as blanks. */
function checksum(header: Buffer): string {
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0)
  return `${sum.toString(8).padStart(6, '0')}\0 `
}

function readHead(header: Buffer): { name: string; size: number } {
  if (header.toString('latin1', 148, 156) !== checksum(header)) throw new ArchiveBroken('it is no tar archive, or a part of it was altered')
  if (header[156] !== 0x30) throw new ArchiveBroken('it holds something else than plain files')
  const name = header.toString('utf8', 0, header.indexOf(0))
  const size = header[124] === 0x80 ? Number(header.readBigUInt64BE(128)) : Number.parseInt(header.toString('latin1', 124, 135), 8)
  if (!Number.isSafeInteger(size) || size < 0) throw new ArchiveBroken(`the size of ${name} cannot be read`)
  return { name, size }
}

/** Takes a stream apart as wanted. */
function byteReader(source: AsyncIterable<Buffer>) {
  const chunks = source[Symbol.asyncIterator]()
  let ahead: Buffer = Buffer.alloc(0)
  const some = async (most: number): Promise<Buffer> => {
    while (ahead.length === 0) {
      const next = await chunks.next()
      if (next.done) throw new ArchiveBroken('it is cut off')
      ahead = next.value
    }
    const taken = ahead.subarray(0, most)
    ahead = ahead.subarray(taken.length)
    return taken
  }
  return {
    some,
    exactly: async (length: number): Promise<Buffer> => {
      const parts: Buffer[] = []
      for (let left = length; left > 0; ) {
        const part = await some(left)
        parts.push(part)
        left -= part.length
      }
      return Buffer.concat(parts)
    },
    /** Read to the end: only then an encrypted archive is known to be whole. */
    rest: async (): Promise<void> => {
      while (!(await chunks.next()).done);
    },
    close: async (): Promise<void> => {
      await chunks.return?.()
    },
  }
}
