/** Streams a message into DATA and knows whether its final dot has left. */

import type { Duplex, Readable } from 'node:stream'
import { failpoint } from '../ops/failpoint.ts'
import { giveBack } from '../ops/single-use.ts'
import { SealBroken } from '../seal/payload.ts'
import type { Deadlines } from './deadlines.ts'
import { BareLineEnd, bareLineEnd, createStuffer, stuffedWhole } from './dot-stuffing.ts'
import type { Reply } from './reply.ts'
import type { Wire } from './wire.ts'

/**
 * - sent: everything, the final dot included, was handed to the network.
 * - lost: the connection ended before that. - interrupted: the server answered in the middle, and was cut off.
 * - damaged: our own content failed; the connection was cut, so nothing was delivered.
 */
export type Sent =
  | { readonly kind: 'sent' }
  | { readonly kind: 'lost'; readonly text: string }
  | { readonly kind: 'interrupted'; readonly reply: Reply }
  | { readonly kind: 'damaged'; readonly row: 'content-damaged' | 'local-fault'; readonly text: string }

/** Dot-stuff and send the content; the wire is unusable afterwards unless the answer is `sent`. Never rejects. */
export async function sendContent(
  wire: Wire,
  { open, whole }: { readonly open: () => Readable; readonly whole?: Buffer | undefined },
  { block }: Deadlines,
): Promise<Sent> {
  if (whole !== undefined) return sendWhole(wire, whole, block)
  let stopped: Exclude<Sent, { kind: 'sent' }> | undefined
  try {
    stopped = await sendPieces(wire, open(), block)
  } catch (error) {
    if (!stopped) stopped = damaged(error)
  }
  stopped ??= whyStop(wire) ?? (await flush(wire, '.\r\n', block))
  if (!stopped) return { kind: 'sent' }
  // Without its final dot the message was never there (RFC 5321 §4.1.1.4).
  wire.cut()
  return stopped
}

/** Undefined: all of it was taken. Rejects when the content itself fails. */
async function sendPieces(wire: Wire, content: Readable, deadline: number): Promise<Stopped | undefined> {
  const stuffer = createStuffer()
  for await (const chunk of content as AsyncIterable<Buffer>) {
    const piece = stuffer.push(chunk)
    const stopped = whyStop(wire) ?? (await flush(wire, piece, deadline))
    failpoint('send.content')
    if (stopped) return stopped
    giveBack(chunk)
  }
  const end = stuffer.end()
  return end.length === 0 ? undefined : flush(wire, end, deadline)
}

/** What is in memory leaves in one piece, its final dot with it. */
async function sendWhole(wire: Wire, whole: Buffer, deadline: number): Promise<Sent> {
  const stuffed = stuffedWhole(whole)
  const stopped = stuffed === undefined ? damaged(new BareLineEnd(bareLineEnd)) : whyStop(wire)
  if (stuffed !== undefined && stopped === undefined) {
    failpoint('send.content')
    const { stream } = wire
    const written = await settledWithin(stream, deadline, (done) => {
      stream.cork()
      stream.write(stuffed)
      stream.write('.\r\n', (error) => error ?? done())
      stream.uncork()
    })
    if (written) return { kind: 'sent' }
  }
  wire.cut()
  return stopped ?? lostBy(wire)
}

type Stopped = Exclude<Sent, { kind: 'sent' }>

/** A server that talks before the end has made up its mind: 552 too large, 421 shutting down. */
function whyStop(wire: Wire): Stopped | undefined {
  const heard = wire.heard()
  if (!heard) return undefined
  return heard.kind === 'reply' ? { kind: 'interrupted', reply: heard.reply } : { kind: 'lost', text: heard.text }
}

/** Resolves when the network has taken it: then nobody needs its memory any more. */
async function flush(wire: Wire, piece: Buffer | string, deadline: number): Promise<Stopped | undefined> {
  return (await settledWithin(wire.stream, deadline, (done) => wire.stream.write(piece, (error) => error ?? done())))
    ? undefined
    : lostBy(wire)
}

const lostBy = (wire: Wire): Stopped => whyStop(wire) ?? { kind: 'lost', text: 'the server took no more bytes' }

/** True when `begin` called back in time; false when the stream closed or time ran out. */
function settledWithin(stream: Duplex, deadline: number, begin: (done: () => void) => void): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (settled: boolean) => {
      clearTimeout(timer)
      stream.off('close', onClose)
      resolve(settled)
    }
    const onClose = () => finish(false)
    const timer = setTimeout(() => finish(false), deadline)
    stream.once('close', onClose)
    if (stream.destroyed) return finish(false)
    begin(() => finish(true))
  })
}

/** Why our own content failed while it was read. */
export function damaged(error: unknown): Extract<Sent, { kind: 'damaged' }> {
  const text = error instanceof Error ? error.message : String(error)
  if (error instanceof BareLineEnd)
    return { kind: 'damaged', row: 'content-damaged', text: `${text}, which would let one message pass as two` }
  if (error instanceof SealBroken) return { kind: 'damaged', row: 'content-damaged', text: `the stored content was altered (${text})` }
  return { kind: 'damaged', row: 'local-fault', text: `the stored content could not be read (${text})` }
}
