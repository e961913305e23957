/** The threads in which OpenPGP works: they judge keys, and turn clear text into an armored message. */
import type { MessagePort } from 'node:worker_threads'
import { createMessage, encrypt, type Key, readKey } from 'openpgp'
import { serveJobs } from '../../ops/threads.ts'
import { createArmorer } from './armor.ts'
import { objectionToKey } from './key-check.ts'
import { createKeyShelf } from './key-shelf.ts'
import { openPgpConfig } from './openpgp-limits.ts'

/** Keys are armored; `now` in milliseconds since 1970. */
export type PgpJob =
  /** Why each key cannot be used now; null: it can. */
  | { readonly kind: 'check'; readonly keys: readonly string[]; readonly now: number }
  /** Encrypt to all keys at once. `clear`: all of it, or where it comes from in pieces. */
  | {
      readonly kind: 'encrypt'
      readonly keys: readonly string[]
      readonly now: number
      readonly clear: Uint8Array<ArrayBuffer> | MessagePort
    }

export type PgpResult =
  | { readonly kind: 'checked'; readonly objections: readonly (string | null)[] }
  | { readonly kind: 'encrypted'; readonly text: readonly Uint8Array<ArrayBuffer>[] }
  | { readonly kind: 'failed'; readonly text: string }

type Text = Uint8Array<ArrayBuffer>[]

/** Over the port: for each message of the thread it gets one piece; null is the end, and nothing else is. */
export type Piece = Uint8Array<ArrayBuffer> | null

const keys = createKeyShelf((armoredKey) => readKey({ armoredKey, config: openPgpConfig }))

serveJobs<PgpJob, PgpResult>(async (job) => {
  try {
    if (job.kind === 'check') {
      const objections = await Promise.all(job.keys.map((armored) => objectionTo(armored, job.now)))
      return { result: { kind: 'checked', objections } }
    }
    const known = await Promise.all(job.keys.map(keys.read))
    const text = await encrypted(job.clear, known, new Date(job.now))
    return { result: { kind: 'encrypted', text }, transfer: text.map(({ buffer }) => buffer) }
  } catch (error) {
    return { result: { kind: 'failed', text: error instanceof Error ? error.message : String(error) } }
  }
})

/** A row that holds no key, or a broken one, speaks against that key alone. */
async function objectionTo(armored: string, now: number): Promise<string | null> {
  const key = await keys.read(armored).catch(() => undefined)
  return key === undefined ? 'cannot be read: import it again' : ((await objectionToKey(key, now)) ?? null)
}

async function encrypted(clear: Uint8Array<ArrayBuffer> | MessagePort, encryptionKeys: Key[], date: Date): Promise<Text> {
  const armorer = createArmorer()
  const options = { encryptionKeys, format: 'binary', date, config: openPgpConfig } as const
  // As a stream a small message takes four times as long.
  if (clear instanceof Uint8Array) {
    const message = await createMessage({ binary: clear, format: 'binary', date })
    return [...armorer.push(await encrypt({ ...options, message })), ...armorer.end()]
  }
  const message = await createMessage({ binary: streamFrom(clear), format: 'binary', date })
  const text: Text = []
  const sealed = await encrypt({ ...options, message })
  for await (const chunk of sealed as unknown as AsyncIterable<Uint8Array>) text.push(...armorer.push(chunk))
  return [...text, ...armorer.end()]
}

function streamFrom(port: MessagePort): ReadableStream<Uint8Array> {
  let take: (piece: Piece) => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  port.on('message', (piece: Piece) => take(piece))
  // Its other end was closed before the content's end.
  port.on('close', () => fail(new Error('the content broke off')))
  const next = () =>
    new Promise<Piece>((resolve, reject) => {
      take = resolve
      fail = reject
      port.postMessage('more')
    })
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const piece = await next()
      if (piece !== null) return controller.enqueue(piece)
      controller.close()
      port.close()
    },
  })
}
