/** One SMTP client's conversation: smtp-server's socket, TLS and line reading, our commands, deadlines and words. */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { failpointAfterWriting } from '../ops/failpoint.ts'
import { createReception, lateRefusal, type Reception, type Sender, type Transaction } from './accept.ts'
import { type Command, commands, type Session, type SubmissionParts } from './commands.ts'
import type { Listener } from './listener.ts'
import type { Client } from './relay.ts'
import { farewell, type Reply, reply } from './reply.ts'
import { SubmissionStream } from './stream.ts'

/** 5xx replies after which a client has to begin anew, and commands that do nothing; both counted since its last message. */
const mostErrors = 20
const mostIdleCommands = 100
/** RFC 5321 §4.5.3.1.4 gives 512 octets; SIZE, DSN and SMTPUTF8 add some 1,100. AUTH lines may have 12,288 (RFC 4954 §4). */
const longestLine = 2048
const longestAuthLine = 12_288

export class SubmissionConnection extends SMTPConnection implements Session {
  readonly parts: SubmissionParts
  readonly client: Client
  transaction: Transaction | undefined
  #reception: Reception | undefined
  #deadline: NodeJS.Timeout | undefined
  #errors = 0
  #idleCommands = 0

  constructor(listener: Listener, parts: SubmissionParts, socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null) {
    super(listener, socket, options)
    this.parts = parts
    this.client = parts.rules.client(this.remoteAddress)
  }

  get user(): string | undefined {
    return typeof this.session.user === 'string' ? this.session.user : undefined
  }

  get greeted(): boolean {
    return this.hostNameAppearsAs !== false
  }

  /** As the original, but without its wait of 100 ms for clients that talk too soon: connect to 250 is what people feel. */
  override init(): void {
    this._setListeners(() => {
      if (this.#tooMany())
        return this.say(farewell(421, '', `${this.name} Too many connections (limits.connections), try again in a moment`))
      this.connectionReady()
      this.#await()
    })
  }

  /** A stranger may hold a quarter of the places, so that no single one can shut everybody else out. */
  #tooMany(): boolean {
    const most = this.parts.settings['limits.connections']
    const all = this._server.connections
    if (all.size > most) return true
    if (this.client.trusted) return false
    const same = [...all].filter((connection) => connection.remoteAddress === this.remoteAddress)
    return same.length > Math.ceil(most / 4)
  }

  override _sendGreeting(): void {
    this.say(reply(220, '', `${this.name} ESMTP Letterlock`))
  }

  /** Send one reply, ours in full: the sentences of smtp-server's own handlers go through `send`. */
  say({ code, status, text, close }: Reply): void {
    this.send(code, status === '' ? text : `${status} ${text}`, false)
    if (code >= 400) this.parts.log.info({ client: this.client.address, user: this.user, reply: `${code} ${status} ${text}` }, 'refused')
    if (close) this.close()
  }

  /** Replies to commands that came in one packet leave in one packet (RFC 2920 §3.2). */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const socket = this._socket
    if (!this._upgrading && socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    super.send(code, data, context)
    if (code >= 500 && !this._closing) this.#countError()
  }

  /** The server stops: say so at once unless a message is under way; then after it. */
  leave(): void {
    if (this.#reception === undefined && !this._handlerPending) this.say(stopping)
  }

  #countError(): void {
    this.#errors += 1
    if (this.#errors >= mostErrors) this.say(farewell(421, '4.7.0', 'Too many errors; correct the client and connect again'))
  }

  override close(): void {
    clearTimeout(this.#deadline)
    this.#reception?.abandon()
    super.close()
  }

  override _onClose(): void {
    clearTimeout(this.#deadline)
    this.#reception?.abandon()
    super._onClose()
  }

  override _createParser(): SubmissionStream {
    const stream = new SubmissionStream({ maxCommandLength: longestAuthLine + 16 })
    stream.oncommand = (line, next) => this._onCommand(line, next)
    stream.on('error', () => this.say(farewell(500, '5.5.2', 'The command line is too long')))
    return stream
  }

  /** smtp-server calls it at EHLO, HELO, RSET, after a message and after STARTTLS (RFC 3207 §4.2: nothing from before is kept). */
  override _resetSession(): void {
    super._resetSession()
    this.transaction = undefined
  }

  override _onTimeout(): void {
    if (this._closing) return void this._socket.destroy()
    // The client waits for us, not we for it.
    if (this._handlerPending || this.#reception?.committing()) return this._armTimeout()
    this.say(idleTooLong)
  }

  /** Wait for the client's next command. Unlike the socket's own time-out this one is not put off by one octet a minute. */
  #await(): void {
    clearTimeout(this.#deadline)
    if (this._closing || this._closed) return
    if (this._server._closeTimeout) return this.say(stopping)
    this.#deadline = setTimeout(() => this.say(idleTooLong), this.parts.settings['limits.commandTimeout']).unref()
  }

  override _onCommand(raw: Buffer, callback: () => void = () => undefined): void {
    const next = () => this._whenWritable(callback)
    // Plain text that was sent along with STARTTLS is discarded unheard.
    if (this._upgrading || this._closing) return next()
    clearTimeout(this.#deadline)
    this._handlerPending = true
    void this.#obey(raw)
      .catch((error: unknown) => {
        this.parts.log.error({ err: error, client: this.client.address }, 'an SMTP command failed')
        this.say(reply(451, '4.3.0', 'Something is out of order here; try again later'))
      })
      .then(() => {
        this._handlerPending = false
        if (this.#reception === undefined) this.#await()
        next()
      })
  }

  async #obey(raw: Buffer): Promise<void> {
    if (this._server._closeTimeout) return this.say(stopping)
    const continued = this._nextHandler
    if (continued !== false) {
      this._nextHandler = false
      return this.#continueAuth(() => new Promise<void>((done) => continued.call(this, raw, done)))
    }
    const line = raw.toString('utf8').replace(/ +$/, '')
    const [verb = ''] = line.split(/[ :]/, 1)
    const name = verb.toUpperCase()
    if (/^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH|TRACE) .* HTTP\/\d/i.test(line))
      return this.say(farewell(421, '4.7.0', 'This is a mail server, not a web server'))
    const refusal = refuseLine(raw, line, name)
    if (refusal !== undefined) return this.say(refusal)
    const command = commands[name]
    if (command === undefined) return this.say(reply(500, '5.5.2', 'Command not recognised; this server speaks ESMTP (RFC 5321)'))
    if (command.idle && ++this.#idleCommands > mostIdleCommands)
      return this.say(farewell(421, '4.7.0', 'Too many commands without a message; connect again'))
    await this.#run(command, line.slice(verb.length + 1).trim(), raw)
  }

  async #run(command: Command, argument: string, raw: Buffer): Promise<void> {
    if (command.afterHello && !this.greeted) return this.say(reply(503, '5.5.1', 'Send EHLO first'))
    const answer = await command.obey(this, argument)
    switch (answer.kind) {
      case 'reply':
        return this.say(answer.reply)
      case 'features':
        return this.send(250, answer.lines, false)
      case 'start-tls':
        return this.#startTls()
      case 'auth':
        return this.#continueAuth(() => new Promise<void>((done) => super.handler_AUTH(raw, done)))
      case 'data':
        return this.#receive(answer.transaction)
    }
  }

  /** One line of an AUTH exchange, by smtp-server; it ends signed in, refused, or waiting for the next line. */
  async #continueAuth(step: () => Promise<void>): Promise<void> {
    await step()
    if (this.user !== undefined) this.#errors = 0
  }

  /** The 220 must be on the wire before the socket belongs to TLS. */
  #startTls(): void {
    this.say(reply(220, '2.0.0', 'Ready to start TLS'))
    this._socket.uncork()
    this.upgrade(() => undefined)
  }

  #receive(transaction: Transaction): void {
    const parser = this._parser
    if (!(parser instanceof SubmissionStream)) return
    const reception = createReception(this.parts, transaction, this.#sender())
    this.#reception = reception
    this.#deadline = setTimeout(() => {
      if (!reception.committing()) this.say(lateRefusal)
    }, this.parts.settings['limits.dataTimeout']).unref()
    this.say(reply(354, '', 'End data with <CR><LF>.<CR><LF>'))
    parser.receive(async (chunk) => {
      const taken = await reception.take(chunk)
      if (this._closing || this._closed || taken.kind === 'more') return undefined
      clearTimeout(this.#deadline)
      this.#reception = undefined
      if (taken.reply.code === 250) this.#startAfresh()
      this._resetSession()
      this.say(taken.reply)
      if (taken.reply.code === 250) failpointAfterWriting('accept.after-250')
      if (taken.kind === 'stop' || taken.reply.close) return undefined
      this.#await()
      return taken.rest
    })
  }

  #startAfresh(): void {
    this.#errors = 0
    this.#idleCommands = 0
  }

  #sender(): Sender {
    const cipher = this.tlsOptions
    return {
      client: {
        address: this.client.address,
        name: this.hostNameAppearsAs || '',
        authenticatedAs: this.user ?? null,
        tls: cipher === false ? null : `${cipher.version} ${cipher.name}`,
      },
      protocol: this._transmissionType(),
      refuseFrom: (address) => this.parts.rules.refuseSender(this.client, address),
    }
  }
}

const stopping = farewell(421, '4.3.2', 'This server is stopping; connect again in a moment')
const idleTooLong = farewell(421, '4.4.2', 'No command for too long (limits.commandTimeout); connect again')

function refuseLine(raw: Buffer, line: string, name: string): Reply | undefined {
  if (raw.length > (name === 'AUTH' ? longestAuthLine : longestLine)) return reply(500, '5.5.2', 'The command line is too long')
  if (/[\x00-\x1f\x7f]/.test(line)) return reply(500, '5.5.2', 'The command holds a control character')
  // RFC 6531 §3.3: UTF-8 or nothing.
  if (line.includes('\ufffd')) return reply(501, '5.5.2', 'The command is not UTF-8')
  return undefined
}
