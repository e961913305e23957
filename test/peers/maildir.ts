/** Reads what a foreign server has put into a maildir. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../stories/world.ts'

export type Maildir = {
  /** The one mail that holds this text, with CRLF line ends as on the line, once it is there. */
  readonly arrival: (text: string) => Promise<Buffer>
  readonly all: () => Promise<readonly Buffer[]>
}

export function readMaildir(folder: string): Maildir {
  const all = async () => {
    const names = await readdir(join(folder, 'new')).catch(() => [])
    return Promise.all(names.map(async (name) => withCrlf(await readFile(join(folder, 'new', name)))))
  }
  return {
    all,
    arrival: (text) => eventually(`a mail with ${text}`, async () => (await all()).find((mail) => mail.includes(text))),
  }
}

/** Local delivery writes LF; what came had CRLF only, else it would not have been taken. */
function withCrlf(stored: Buffer): Buffer {
  return Buffer.from(stored.toString('latin1').replaceAll('\n', '\r\n'), 'latin1')
}
