/** The thread in which OpenPGP works, so that a large message never holds up the others: clear text in, ciphertext out, chunk by chunk. */
import { parentPort } from 'node:worker_threads'
import { createMessage, encrypt, readKey } from 'openpgp'
import { crc24, crc24Start } from './armor.ts'
import { openPgpConfig } from './openpgp-limits.ts'

/** What is asked: encrypt the stream to all keys at once. Answers carry the same number. */
export type EncryptJob = {
  readonly job: number
  readonly keys: readonly string[]
  readonly clear: ReadableStream<Uint8Array>
  readonly now: number
}
export type EncryptAnswer = { readonly job: number } & (
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  /** CRC-24 of all chunks. */
  | { readonly kind: 'done'; readonly checksum: number }
  | { readonly kind: 'failed'; readonly text: string }
)

const port = parentPort
if (port === null) throw new Error('encrypt-worker.ts runs as a worker thread only')
const answer = (given: EncryptAnswer, transfer: ArrayBuffer[] = []) => port.postMessage(given, transfer)

port.on('message', async ({ job, keys, clear, now }: EncryptJob) => {
  try {
    const encryptionKeys = await Promise.all(keys.map((armoredKey) => readKey({ armoredKey, config: openPgpConfig })))
    const message = await createMessage({ binary: clear, format: 'binary', date: new Date(now) })
    const ciphertext = await encrypt({ message, encryptionKeys, format: 'binary', date: new Date(now), config: openPgpConfig })
    let checksum = crc24Start
    for await (const chunk of ciphertext as unknown as AsyncIterable<Uint8Array>) {
      const bytes = new Uint8Array(chunk)
      checksum = crc24(checksum, bytes)
      answer({ job, kind: 'chunk', bytes }, [bytes.buffer])
    }
    answer({ job, kind: 'done', checksum })
  } catch (error) {
    answer({ job, kind: 'failed', text: error instanceof Error ? error.message : String(error) })
  }
})
