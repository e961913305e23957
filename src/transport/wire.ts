/** One SMTP connection as lines: commands out, replies in, every wait with an end. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createReplyParser, type Reply } from './reply.ts'

/** Why nothing more comes. */
export type Lost = { readonly kind: 'lost'; readonly how: 'closed' | 'timeout' | 'garbage' | 'aborted'; readonly text: string }
export type Heard = { readonly kind: 'reply'; readonly reply: Reply } | Lost

export type Wire = {
  /** The stream below, for the content and for the handshake. */
  readonly stream: Duplex
  /** The TCP connection at the bottom. */
  readonly raw: Socket
  /** The next reply, at most `deadline` milliseconds from now however slowly its octets drip. Never rejects. */
  readonly hear: (deadline: number) => Promise<Heard>
  /** A reply that is already here, if any. */
  readonly heard: () => Heard | undefined
  /** Send one or more command lines in one go. */
  readonly say: (...commands: readonly string[]) => void
  /** Octets received and not yet read as a reply. */
  readonly unread: () => number
  /** Stop listening and hand the stream on: to TLS. */
  readonly detach: () => void
  /** Cut the connection. */
  readonly cut: () => void
  readonly lost: () => Lost | undefined
}

/** Listen to a connected stream. */
export function createWire(stream: Duplex, raw: Socket): Wire {
  const parser = createReplyParser()
  let lost: Lost | undefined
  let waiting: (() => void) | undefined
  const lose = (how: Lost['how'], text: string) => {
    if (lost) return
    lost = { kind: 'lost', how, text }
    waiting?.()
  }
  const onBytes = (chunk: Buffer) => {
    parser.push(chunk)
    waiting?.()
  }
  const onEnd = () => lose('closed', 'the server closed the connection')
  const onError = (error: NodeJS.ErrnoException) => lose('closed', describeError(error))
  stream.on('data', onBytes).on('end', onEnd).on('close', onEnd).on('error', onError)

  const heard = (): Heard | undefined => {
    const parsed = parser.next()
    if (parsed.kind === 'reply') return parsed
    if (parsed.kind === 'garbage') lose('garbage', `the server sent ${parsed.text}`)
    return lost
  }
  const hear = (deadline: number): Promise<Heard> =>
    new Promise((resolve) => {
      const look = () => {
        const found = heard()
        if (found) finish(found)
      }
      const finish = (found: Heard) => {
        clearTimeout(timer)
        waiting = undefined
        resolve(found)
      }
      const timer = setTimeout(() => {
        lose('timeout', `no whole reply within ${seconds(deadline)}`)
        if (lost) finish(lost)
      }, deadline)
      waiting = look
      look()
    })
  return {
    stream,
    raw,
    hear,
    heard,
    say: (...commands) => void (stream.writable && stream.write(commands.map((command) => `${command}\r\n`).join(''))),
    unread: parser.pending,
    detach: () => void stream.off('data', onBytes).off('end', onEnd).off('close', onEnd).off('error', onError),
    cut: () => {
      stream.destroy()
      raw.destroy()
    },
    lost: () => lost,
  }
}

/** A system error in plain words. */
export function describeError(error: NodeJS.ErrnoException): string {
  const known: { readonly [code: string]: string } = {
    ECONNREFUSED: 'the connection was refused',
    ECONNRESET: 'the server reset the connection',
    EPIPE: 'the server closed the connection',
    ETIMEDOUT: 'the connection timed out',
    EHOSTUNREACH: 'the host cannot be reached',
    ENETUNREACH: 'its network cannot be reached from here',
  }
  return known[error.code ?? ''] ?? error.message
}

const seconds = (milliseconds: number) => (milliseconds >= 1000 ? `${Math.round(milliseconds / 1000)} s` : `${milliseconds} ms`)
