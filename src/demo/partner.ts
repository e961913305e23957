/** A scripted mail server on loopback: the other side of every delivery in the demo and the tests, well-behaved unless told otherwise. */
import { createServer, type Socket } from 'node:net'
import { createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls'
import type { Leaf } from './authority.ts'

/** When the script is asked: each command, plus the connection (CONNECT), the end of the content (DOT). */
export type Verb = 'CONNECT' | 'EHLO' | 'HELO' | 'STARTTLS' | 'MAIL' | 'RCPT' | 'DATA' | 'DOT' | 'RSET' | 'NOOP' | 'QUIT' | '?'

/** Text: a reply without its last CRLF. Else exact bytes (or none), perhaps one at a time, and what to do then. */
export type Answer =
  | string
  | { readonly send?: string | Buffer; readonly everyMs?: number; readonly then?: 'close' | 'reset' | 'go-on' | 'silence' }

/** How a partner behaves; `{}` is a good server without TLS. */
export type Manner = {
  /** In the greeting and the EHLO reply. */
  readonly hostname?: string
  /** Offered by STARTTLS; absent: STARTTLS is not offered. */
  readonly tls?: Leaf
  /** Further TLS settings: minVersion, maxVersion, ciphers. */
  readonly secure?: SecureContextOptions
  /** EHLO keywords beside STARTTLS. */
  readonly keywords?: readonly string[]
  /** Asked before every answer; undefined: answer as a good server would. `line` is the command as received. */
  readonly script?: (
    verb: Verb,
    line: string,
    session: { readonly secure: boolean; readonly recipients: readonly string[] },
  ) => Answer | undefined
  /** Close after so many octets of content. */
  readonly dropInContent?: number
}

export type PartnerMail = {
  readonly from: string
  /** What stands after MAIL FROM:<…>, e.g. `SIZE=123 BODY=8BITMIME`. */
  readonly parameters: string
  readonly recipients: readonly { readonly address: string; readonly parameters: string }[]
  /** Dot-unstuffed, byte for byte. */
  readonly content: Buffer
  readonly tls: { readonly protocol: string; readonly serverName: string; readonly resumed: boolean } | null
  /** Milliseconds since 1970. */
  readonly at: number
}

export type Partner = {
  readonly host: string
  readonly port: number
  readonly mails: PartnerMail[]
  /** Every line received, in order, except content. */
  readonly lines: { readonly line: string; readonly secure: boolean }[]
  /** Every octet received outside TLS, all connections together. */
  readonly clear: () => Buffer
  readonly connections: () => number
  /** From now on, for new connections and new commands. */
  readonly behave: (manner: Manner) => void
  readonly close: () => Promise<void>
}

export type PartnerOptions = { readonly host?: string; readonly port?: number; readonly onMail?: (mail: PartnerMail) => void }

const usual = ['PIPELINING', 'SIZE 52428800', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES']

/** Listen (default 127.0.0.1, a free port) and behave as told. */
export async function startPartner(manner: Manner = {}, options: PartnerOptions = {}): Promise<Partner> {
  const host = options.host ?? '127.0.0.1'
  const state = { manner, connections: 0, clear: [] as Buffer[] }
  const mails: PartnerMail[] = []
  const lines: { line: string; secure: boolean }[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    state.connections++
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('close', () => sockets.delete(socket))
    converse(socket, {
      manner: () => state.manner,
      tap: (bytes) => state.clear.push(bytes),
      line: (line, secure) => lines.push({ line, secure }),
      mail: (mail) => {
        mails.push(mail)
        options.onMail?.(mail)
      },
    })
  })
  await new Promise<void>((done, fail) => server.once('error', fail).listen(options.port ?? 0, host, done))
  return {
    host,
    port: (server.address() as { port: number }).port,
    mails,
    lines,
    clear: () => Buffer.concat(state.clear),
    connections: () => state.connections,
    behave: (next) => {
      state.manner = next
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

type Watch = {
  readonly manner: () => Manner
  readonly tap: (bytes: Buffer) => void
  readonly line: (line: string, secure: boolean) => void
  readonly mail: (mail: PartnerMail) => void
}

/** One connection: commands one after the other, content as bytes. */
function converse(raw: Socket, watch: Watch): void {
  let socket: Socket | TLSSocket = raw
  let input: Buffer = Buffer.alloc(0)
  let mail: { from: string; parameters: string } | undefined
  let recipients: { address: string; parameters: string }[] = []
  let content: Buffer[] | undefined
  let contentSize = 0
  let deaf = false
  const secure = () => socket instanceof TLSSocket
  const reset = () => {
    mail = undefined
    recipients = []
  }

  const answer = (verb: Verb, line: string, usually: string): boolean => {
    const scripted = watch.manner().script?.(verb, line, { secure: secure(), recipients: recipients.map(({ address }) => address) })
    const reply = scripted ?? usually
    if (typeof reply === 'string') {
      socket.write(`${reply}\r\n`)
      return reply.startsWith('2') || reply.startsWith('3')
    }
    send(socket, raw, reply)
    if (reply.then !== 'go-on') deaf = true
    return reply.then === 'go-on'
  }

  const command = (line: string) => {
    watch.line(line, secure())
    const verb = (/^(EHLO|HELO|STARTTLS|MAIL|RCPT|DATA|RSET|NOOP|QUIT)\b/i.exec(line)?.[1]?.toUpperCase() ?? '?') as Verb
    switch (verb) {
      case 'EHLO':
        return void answer(verb, line, ehloReply(watch.manner(), secure()))
      case 'STARTTLS':
        if (answer(verb, line, watch.manner().tls ? '220 2.0.0 go ahead' : '502 5.5.1 not here')) startTls()
        return
      case 'MAIL': {
        const [, from = '', parameters = ''] = /^MAIL FROM:<([^>]*)>\s*(.*)$/i.exec(line) ?? []
        if (answer(verb, line, '250 2.1.0 ok')) mail = { from, parameters }
        return
      }
      case 'RCPT': {
        const [, address = '', parameters = ''] = /^RCPT TO:<([^>]*)>\s*(.*)$/i.exec(line) ?? []
        if (answer(verb, line, mail ? '250 2.1.5 ok' : '503 5.5.1 MAIL first')) recipients.push({ address, parameters })
        return
      }
      case 'DATA':
        if (answer(verb, line, recipients.length > 0 ? '354 go ahead' : '554 5.5.1 no valid recipients')) content = []
        contentSize = 0
        return
      case 'RSET':
        reset()
        return void answer(verb, line, '250 2.0.0 ok')
      case 'QUIT':
        answer(verb, line, '221 2.0.0 bye')
        return void socket.end()
      default:
        return void answer(verb, line, verb === '?' ? '500 5.5.2 what?' : `250 ${watch.manner().hostname ?? 'partner.example'}`)
    }
  }

  const dot = (bytes: Buffer) => {
    content = undefined
    const { from, parameters } = mail ?? { from: '', parameters: '' }
    const tls =
      socket instanceof TLSSocket
        ? { protocol: socket.getProtocol() ?? '', serverName: serverName(socket), resumed: socket.isSessionReused() }
        : null
    if (answer('DOT', '.', '250 2.0.0 queued as partner-1'))
      watch.mail({ from, parameters, recipients, content: unstuff(bytes), tls, at: Date.now() })
    reset()
  }

  const take = () => {
    while (!deaf) {
      if (content) {
        const end = endOfContent(input, content.length === 0)
        if (end === undefined) {
          // All but what may be the beginning of the end is put aside: 40 MB are not copied with every chunk.
          const kept = Math.max(0, input.length - 4)
          if (kept > 0) content.push(input.subarray(0, kept))
          input = input.subarray(kept)
          return
        }
        const bytes = Buffer.concat([...content, input.subarray(0, end)])
        input = input.subarray(end + 3)
        dot(bytes)
        continue
      }
      const end = input.indexOf('\r\n')
      if (end < 0) return
      const line = input.subarray(0, end).toString('utf8')
      input = input.subarray(end + 2)
      command(line)
    }
  }

  const listen = () => {
    socket.on('error', () => raw.destroy())
    socket.on('data', (chunk: Buffer) => {
      if (!secure()) watch.tap(chunk)
      contentSize += chunk.length
      input = input.length === 0 ? chunk : Buffer.concat([input, chunk])
      const limit = watch.manner().dropInContent
      if (content && limit !== undefined && contentSize > limit) return void raw.destroy()
      take()
    })
  }

  const startTls = () => {
    const { tls, secure: settings } = watch.manner()
    raw.removeAllListeners('data')
    input = Buffer.alloc(0)
    reset()
    socket = new TLSSocket(raw, { isServer: true, secureContext: createSecureContext({ ...(tls ?? {}), ...settings }) })
    listen()
  }

  listen()
  answer('CONNECT', '', `220 ${watch.manner().hostname ?? 'partner.example'} ESMTP`)
}

/** `raw` is the TCP socket below, the only one that can send a reset. */
function send(socket: Socket, raw: Socket, answer: Exclude<Answer, string>): void {
  const bytes = Buffer.from(answer.send ?? '')
  const finish = () => {
    if (answer.then === 'close') socket.end()
    if (answer.then === 'reset') raw.resetAndDestroy()
  }
  if (answer.everyMs === undefined) {
    if (bytes.length > 0) socket.write(bytes)
    finish()
    return
  }
  let at = 0
  const timer = setInterval(() => {
    if (at < bytes.length && !socket.destroyed) return void socket.write(bytes.subarray(at, ++at))
    clearInterval(timer)
    finish()
  }, answer.everyMs)
  socket.once('close', () => clearInterval(timer))
}

function ehloReply(manner: Manner, secure: boolean): string {
  const keywords = [...(manner.keywords ?? usual), ...(manner.tls && !secure ? ['STARTTLS'] : [])]
  const lines = [manner.hostname ?? 'partner.example', ...keywords]
  return lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n')
}

// Node puts the name of the SNI extension on the server's socket, or false.
const serverName = (socket: TLSSocket) => String((socket as { servername?: string | false }).servername || '')

/** Index of the final dot's line in `input`; undefined: not there yet. RFC 5321 §4.1.1.4. */
function endOfContent(input: Buffer, first: boolean): number | undefined {
  if (first && input.subarray(0, 3).equals(Buffer.from('.\r\n'))) return 0
  const end = input.indexOf('\r\n.\r\n')
  return end < 0 ? undefined : end + 2
}

// RFC 5321 §4.5.2: in one buffer, however many dots there are.
function unstuff(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafe(bytes.length)
  let to = 0
  for (let at = 0; at < bytes.length; at++) {
    const octet = bytes[at] ?? 0
    if (octet !== 0x2e || (at > 0 && bytes[at - 1] !== 0x0a)) out[to++] = octet
    else if (at + 1 < bytes.length) out[to++] = bytes[++at] ?? 0
  }
  return out.subarray(0, to)
}
