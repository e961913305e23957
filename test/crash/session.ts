/** One SMTP client that says what it was told: the code of the last reply, or that the connection was lost. */
import { connect, type Socket } from 'node:net'

/** The reply to the final dot, or to the command that was refused; `lost`: the connection ended before one came. */
export type Told = { readonly kind: 'reply'; readonly code: number; readonly text: string } | { readonly kind: 'lost' }

export type Session = {
  /** Submit one message; content without its final dot, lines ended by CRLF, none beginning with a dot. `size`: announced; null: not. */
  readonly submit: (from: string, to: string, content: Buffer, size?: number | null) => Promise<Told>
  readonly close: () => void
}

/** Connect and say EHLO. Rejects when the gateway does not greet. */
export async function openSession(port: number): Promise<Session> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  const replies = repliesOf(socket)
  const greeting = await replies()
  if (greeting.kind === 'lost' || greeting.code !== 220) throw new Error(`no greeting: ${JSON.stringify(greeting)}`)
  const say = (line: string) => {
    socket.write(`${line}\r\n`)
    return replies()
  }
  await say('EHLO client.org.example')
  return {
    submit: async (from, to, content, size = content.length) => {
      for (const line of [`MAIL FROM:<${from}>${size === null ? '' : ` SIZE=${size}`}`, `RCPT TO:<${to}>`, 'DATA']) {
        const told = await say(line)
        if (told.kind === 'lost' || told.code >= 400) {
          if (told.kind === 'reply') await say('RSET')
          return told
        }
      }
      socket.write(content)
      return say('.')
    },
    close: () => void socket.destroy(),
  }
}

/** Replies in order; `lost` for ever once the socket has ended. */
function repliesOf(socket: Socket): () => Promise<Told> {
  const come: Told[] = []
  const waiting: ((told: Told) => void)[] = []
  let text = ''
  let lost = false
  const give = (told: Told) => {
    const next = waiting.shift()
    if (next) next(told)
    else come.push(told)
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    text += chunk
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end).trimEnd()
      text = text.slice(end + 1)
      if (line[3] !== '-') give({ kind: 'reply', code: Number(line.slice(0, 3)), text: line.slice(4) })
    }
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    lost = true
    for (const next of waiting.splice(0)) next({ kind: 'lost' })
  })
  return () => {
    const first = come.shift()
    if (first !== undefined) return Promise.resolve(first)
    if (lost) return Promise.resolve({ kind: 'lost' })
    return new Promise((resolve) => waiting.push(resolve))
  }
}

/** The id in `250 2.0.0 queued as …`; undefined for any other answer. */
export const acceptedAs = (told: Told): string | undefined =>
  told.kind === 'reply' && told.code === 250 ? /queued as (\S+)/.exec(told.text)?.[1] : undefined

/** A message of about `size` octets that carries `mark` in its subject and is filled from it. */
export function message(mark: string, to: string, size: number): Buffer {
  const head = `From: a@org.example\r\nTo: ${to}\r\nSubject: ${mark}\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <${mark}@org.example>\r\n\r\n`
  const line = `${mark.padEnd(68, '+')}\r\n`
  return Buffer.from(head + line.repeat(Math.max(1, Math.floor((size - head.length) / line.length))))
}
