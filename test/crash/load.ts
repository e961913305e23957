/** Real SMTP clients for the crash tests: many connections, kept and one-shot, that go on whatever becomes of the gateway. */
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Ledger, Mail, Sent } from './ledger.ts'

export type Load = {
  /** Stop sending; resolves when every connection is closed. */
  readonly stop: () => Promise<void>
  /** Hold on: what is under way goes on, nothing new begins; false: go on. */
  readonly hold: (held: boolean) => void
}

export type LoadOptions = {
  /** Where to connect, asked for each connection: with several gateways, turn by turn. */
  readonly at: () => { readonly host: string; readonly port: number }
  readonly connections: number
  /** The next mail; undefined: none just now. */
  readonly next: () => Mail | undefined
  readonly ledger: Ledger
  /** Called with each 250 that a client has read. */
  readonly accepted?: (sent: Sent) => void
  /** Called with each refusal, the whole reply. */
  readonly refused?: (reply: string) => void
}

/** Begin to send; a connection carries 1 to 20 mails. A mail is sent once, whatever becomes of it: its fate is in the ledger. */
export function startLoad(options: LoadOptions): Load {
  let stopped = false
  let held = false
  const next = () => (stopped || held ? undefined : options.next())
  const client = async (number: number) => {
    for (let round = number; !stopped; round++) {
      await converse({ ...options, next }, round % 4 === 0 ? 1 : 20).catch(() => undefined) // the gateway is gone: that is the test
      if (!stopped) await pause(20)
    }
  }
  const clients = Array.from({ length: options.connections }, (_, number) => client(number))
  return {
    hold: (wanted) => {
      held = wanted
    },
    stop: async () => {
      stopped = true
      await Promise.all(clients)
    },
  }
}

/** One connection. Rejects when it breaks. */
async function converse({ at, next, ledger, accepted, refused }: LoadOptions, most: number): Promise<void> {
  const wire = await open(at())
  try {
    await wire.reply()
    wire.say('EHLO client.org.example\r\n')
    await wire.reply()
    for (let count = 0; count < most; count++) {
      const mail = await soon(next)
      if (mail === undefined) break
      const reply = await submit(wire, mail, ledger)
      const sent = ledger.sent.get(mail.mark)
      if (sent?.fate === 'accepted') accepted?.(sent)
      else refused?.(reply)
      if (reply.startsWith('421')) return
    }
    wire.say('QUIT\r\n')
    await wire.reply()
  } finally {
    wire.close()
  }
}

/** A client that has nothing to send stays for a moment. */
async function soon(next: () => Mail | undefined): Promise<Mail | undefined> {
  const mail = next()
  if (mail !== undefined) return mail
  await pause(20)
  return next()
}

/** Returns the last reply. The content leaves in two parts, so that some clients die, or see the gateway die, between them. */
async function submit(wire: Wire, { content, ...mail }: Mail, ledger: Ledger): Promise<string> {
  const sent = ledger.begin({ ...mail, content })
  wire.say([`MAIL FROM:<${mail.from}>`, ...mail.recipients.map((address) => `RCPT TO:<${address}>`), 'DATA', ''].join('\r\n'))
  let refusal: string | undefined
  const from = await wire.reply()
  if (!from.startsWith('2')) refusal = from
  const taken: string[] = []
  for (const address of mail.recipients) {
    const reply = await wire.reply()
    if (reply.startsWith('2')) taken.push(address)
    else refusal ??= reply
  }
  const go = await wire.reply()
  if (!go.startsWith('354')) {
    sent.fate = 'refused'
    return refusal ?? go
  }
  sent.recipients = taken
  const stuffed = Buffer.from(content.toString('latin1').replace(/^\./gm, '..'), 'latin1')
  const half = stuffed.length >> 1
  await wire.flush(stuffed.subarray(0, half))
  sent.fate = 'unanswered'
  wire.say(Buffer.concat([stuffed.subarray(half), Buffer.from('.\r\n')]))
  const reply = await wire.reply()
  const id = /^250 2\.0\.0 queued as (\S+)/.exec(reply)?.[1]
  sent.id = id
  sent.fate = id === undefined ? 'refused' : 'accepted'
  return reply
}

type Wire = {
  readonly say: (bytes: string | Buffer) => void
  /** Resolves when the bytes were handed to the system. */
  readonly flush: (bytes: Buffer) => Promise<void>
  /** The next whole reply (its last line when it has several); rejects when the connection ends first, or after a minute. */
  readonly reply: () => Promise<string>
  readonly close: () => void
}

function open(at: { readonly host: string; readonly port: number }): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...at, noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(wireOf(socket))
    })
  })
}

function wireOf(socket: Socket): Wire {
  const replies: string[] = []
  let text = ''
  let ended: Error | undefined
  let waiting: (() => void) | undefined
  const end = (error: Error) => {
    ended ??= error
    waiting?.()
  }
  socket.setTimeout(60_000, () => socket.destroy(new Error('no reply for a minute')))
  socket.on('error', end)
  socket.on('close', () => end(new Error('the connection was closed')))
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    for (let at = text.indexOf('\r\n'); at >= 0; at = text.indexOf('\r\n')) {
      const line = text.slice(0, at)
      text = text.slice(at + 2)
      if (line[3] !== '-') replies.push(line)
    }
    waiting?.()
  })
  return {
    say: (bytes) => void socket.write(bytes),
    flush: (bytes) => new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve()))),
    reply: async () => {
      while (replies.length === 0) {
        if (ended) throw ended
        await new Promise<void>((resolve) => {
          waiting = resolve
        })
      }
      return replies.shift() ?? ''
    },
    close: () => socket.destroy(),
  }
}
