/** OpenPGP from the side of those who ask: keys judged and messages encrypted in threads, so that nobody else waits for it. */
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { createThreads, type Ran } from '../../ops/threads.ts'
import type { PgpJob, PgpResult, Piece } from './encrypt-worker.ts'

/** An armored message in pieces. */
export type Armored = { readonly text: readonly Uint8Array[]; readonly size: number }

export type Encryptor = {
  /** The armored message of a clear text of about `size` bytes. Rejects with the source's error, or with a fault of ours, to be tried again. */
  readonly encrypt: (clear: Readable, size: number, keys: readonly string[], now: number) => Promise<Armored>
  /** Why each of these keys cannot be used at `now` (milliseconds since 1970). Rejects with a fault of ours. */
  readonly objections: (keys: readonly string[], now: number) => Promise<readonly (string | undefined)[]>
}

/** How long one message may take: milliseconds at least, and for each MiB of it. */
export type Patience = { readonly least: number; readonly perMiB: number }

const usual: Patience = { least: 60_000, perMiB: 1000 }
const pieceSize = 256 * 1024
/** Milliseconds for the keys of one attempt. */
const checkTime = 10_000

/** The threads are started by the first message, and never keep the program alive by themselves. */
export function createEncryptor(patience = usual): Encryptor {
  const script = new URL('./encrypt-worker.ts', import.meta.url)
  const threads = createThreads<PgpJob, PgpResult>(script, { waiting: 1000, time: patience.least, memory: 256 })

  const encrypt: Encryptor['encrypt'] = async (clear, size, keys, now) => {
    const time = patience.least + (size / (1024 * 1024)) * patience.perMiB
    const late = setTimeout(() => clear.destroy(new Error('encrypting took too long')), time)
    const fault = faultOf(clear)
    const source = piecesOf(clear)
    try {
      const first = await source.next()
      const second = first.done ? first : await source.next()
      const begun = { kind: 'encrypt', keys, now } as const
      if (second.done) {
        const bytes = first.done ? new Uint8Array(0) : first.value
        return armoredOf(await threads.run({ ...begun, clear: bytes }, { time, transfer: [bytes.buffer] }))
      }
      return armoredOf(
        await fed((port) => threads.run({ ...begun, clear: port }, { time, transfer: [port] }), [first.value, second.value], source),
      )
    } catch (error) {
      throw fault() ?? error
    } finally {
      clearTimeout(late)
      clear.destroy()
    }
  }

  const judge = async (keys: readonly string[], now: number) => {
    const result = resultOf(await threads.run({ kind: 'check', keys, now }, { time: checkTime }))
    if (result.kind !== 'checked') throw new Error('the encrypting thread answered something else')
    return result.objections.map((objection) => objection ?? undefined)
  }

  return { encrypt, objections: remembered(judge) }
}

/** Milliseconds for which a judgement holds, and keys whose judgement is kept. */
const judged = { life: 60_000, most: 1000 }

type Judgement = { readonly objection: string | undefined; readonly at: number }

/** Asks only about the keys that were not judged within the last minute. */
function remembered(judge: Encryptor['objections']): Encryptor['objections'] {
  const known = new Map<string, Judgement>()
  const recent = (id: string, now: number): Judgement | undefined => {
    const one = known.get(id)
    return one !== undefined && now >= one.at && now < one.at + judged.life ? one : undefined
  }
  return async (keys, now) => {
    const ids = keys.map((armored) => createHash('sha256').update(armored).digest('base64'))
    const atHand = ids.map((id) => recent(id, now))
    const asked = keys.filter((_, i) => atHand[i] === undefined)
    const answers = (asked.length > 0 ? await judge(asked, now) : []).map((objection) => ({ objection, at: now }))
    if (answers.length !== asked.length) throw new Error('not every key was judged')
    if (known.size + answers.length > judged.most) known.clear()
    return atHand.map((before, i) => {
      const judgement = before ?? answers.shift()
      if (judgement !== undefined) known.set(ids[i] ?? '', judgement)
      return judgement?.objection
    })
  }
}

/** Remembers how a source failed, from now on. */
function faultOf(source: Readable): () => Error | undefined {
  let fault = source.errored ?? undefined
  source.on('error', (error) => {
    fault ??= error
  })
  return () => fault
}

/** The content in pieces of one size, the last one smaller, each in memory of its own that can be handed over. Half of it is an error. */
async function* piecesOf(clear: Readable): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (clear.destroyed) throw new Error('the content was closed before it was encrypted')
  let piece = new Uint8Array(pieceSize)
  let filled = 0
  for await (const chunk of clear as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; ) {
      const taken = chunk.subarray(at, at + pieceSize - filled)
      piece.set(taken, filled)
      filled += taken.length
      at += taken.length
      if (filled < pieceSize) continue
      yield piece
      piece = new Uint8Array(pieceSize)
      filled = 0
    }
  }
  if (!clear.readableEnded) throw new Error('the content was closed while it was encrypted')
  if (filled > 0) yield piece.slice(0, filled)
}

/** Run a job that asks for its content piece by piece. Whatever ends it early closes the port, which the thread takes for a failure. */
async function fed(
  run: (port: MessagePort) => Promise<Ran<PgpResult>>,
  begun: readonly Uint8Array<ArrayBuffer>[],
  source: AsyncGenerator<Uint8Array<ArrayBuffer>>,
): Promise<Ran<PgpResult>> {
  const { port1: port, port2: theirs } = new MessageChannel()
  const waiting = [...begun]
  let failed: unknown
  const give = (piece: Piece) => port.postMessage(piece, piece === null ? [] : [piece.buffer])
  let turn: Promise<void> = Promise.resolve()
  const next = async () => {
    const piece = waiting.shift() ?? (await source.next()).value
    give(piece ?? null)
  }
  port.on('message', () => {
    turn = turn.then(next).catch((error: unknown) => {
      failed ??= error
      port.close()
    })
  })
  try {
    const ran = await run(theirs)
    if (failed !== undefined) throw failed
    return ran
  } finally {
    port.close()
    theirs.close()
  }
}

function armoredOf(ran: Ran<PgpResult>): Armored {
  const result = resultOf(ran)
  if (result.kind !== 'encrypted') throw new Error('the encrypting thread answered something else')
  return { text: result.text, size: result.text.reduce((sum, { length }) => sum + length, 0) }
}

function resultOf(ran: Ran<PgpResult>): Exclude<PgpResult, { kind: 'failed' }> {
  if (ran.kind !== 'done')
    throw new Error(ran.because === 'time' ? 'encrypting took too long' : `encrypting was broken off (${ran.because})`)
  if (ran.result.kind === 'failed') throw new Error(`encrypting failed: ${ran.result.text}`)
  return ran.result
}
