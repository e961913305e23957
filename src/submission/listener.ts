/** One listening address: smtp-server's listener, TLS and connection guard, with our own kind of connection. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPServer, type SMTPServerAuthentication, type SMTPServerAuthenticationResponse, type SMTPServerSession } from 'smtp-server'
import type { SMTPConnection, SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import type { SubmissionParts } from './commands.ts'
import { SubmissionConnection } from './connection.ts'
import { type Certificate, tlsOptions } from './tls-options.ts'

type AuthDone = (error: Error | null | undefined, response?: SMTPServerAuthenticationResponse) => void

export class Listener extends SMTPServer {
  readonly #parts: SubmissionParts

  /** `connections` is shared by all listeners, so that limits.connections counts all clients. */
  constructor(
    parts: SubmissionParts,
    certificate: Certificate,
    { implicit, connections }: { implicit: boolean; connections: Set<SMTPConnection> },
  ) {
    const { settings } = parts
    super({
      ...tlsOptions(settings, certificate),
      secure: implicit,
      name: settings.hostname,
      logger: false,
      disableReverseLookup: true,
      authMethods: ['PLAIN', 'LOGIN'],
      authOptional: true,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      size: settings['smtp.maxMessageSize'],
      maxClients: settings['limits.connections'],
      socketTimeout: settings['limits.commandTimeout'],
    })
    this.#parts = parts
    this.connections = connections
    // A client that vanishes or garbles its handshake is its own affair.
    this.on('error', (error: Error) => parts.log.debug({ err: error }, 'an SMTP connection ended with an error'))
  }

  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null): void {
    const connection = new SubmissionConnection(this, this.#parts, socket, options)
    this.connections.add(connection)
    connection.on('error', (error) => this._onError(error))
    connection.init()
  }

  /** The originals wait a turn of the event loop; the greeting should not. */
  override onConnect(_session: SMTPServerSession, done: () => void): void {
    done()
  }

  override onSecure(_socket: Socket | TLSSocket, _session: SMTPServerSession, done: () => void): void {
    done()
  }

  override onAuth(auth: SMTPServerAuthentication, session: SMTPServerSession, done: AuthDone): void {
    void signIn(this.#parts, auth, session.remoteAddress).then((response) => done(null, response))
  }
}

async function signIn(
  { users, log }: SubmissionParts,
  auth: SMTPServerAuthentication,
  address: string,
): Promise<SMTPServerAuthenticationResponse> {
  const { username = '', password, authzid = '' } = auth
  // RFC 4616 §2: to act for somebody else is not on offer.
  if (typeof password !== 'string' || (authzid !== '' && authzid !== username)) return wrong
  try {
    const checked = await users.check(username, password, address)
    switch (checked.kind) {
      case 'user':
        return { user: checked.name }
      case 'wrong':
        log.info({ client: address, user: username.slice(0, 128) }, 'a sign-in failed')
        return wrong
      case 'limited':
        log.warn({ client: address, user: username.slice(0, 128) }, 'a sign-in was refused after too many failures')
        return { responseCode: 454, message: `Too many failed sign-ins; try again in ${Math.ceil(checked.wait / 60_000)} minutes` }
      case 'busy':
        return { responseCode: 454, message: 'Too many sign-ins at once; try again in a moment' }
    }
  } catch (error) {
    log.error({ err: error }, 'a sign-in could not be checked')
    return { responseCode: 454, message: 'Sign-in is out of order at the moment; try again later' }
  }
}

const wrong: SMTPServerAuthenticationResponse = {
  responseCode: 535,
  message: 'User name or password is wrong; ask your mail administrator',
}
