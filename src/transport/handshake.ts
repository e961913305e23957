/** The TCP connection and the TLS handshake: each ends in a stream or in trouble, and in time. */
import { connect as connectTcp, isIP, isIPv6, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'
import type { Candidate } from './next-hop.ts'
import { describeError } from './wire.ts'

export type Connected = { readonly kind: 'connected'; readonly socket: Socket } | { readonly kind: 'unreachable'; readonly text: string }

export type ConnectOptions = { readonly sources: readonly string[]; readonly deadline: number; readonly signal: AbortSignal }

/** Open a TCP connection from one of our source addresses of the same family, if any are set. */
export function openSocket({ host, address, port }: Candidate, { sources, deadline, signal }: ConnectOptions): Promise<Connected> {
  const fitting = sources.filter((source) => isIPv6(source) === isIPv6(address))
  const localAddress = fitting[Math.floor(Math.random() * fitting.length)]
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ kind: 'unreachable', text: 'the attempt was stopped' })
    const socket = connectTcp({ host: address, port, ...(localAddress && { localAddress }) })
    const give = (text: string) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      socket.removeAllListeners().on('error', () => undefined)
      socket.destroy()
      resolve({ kind: 'unreachable', text: `${host} (${address}:${port}): ${text}` })
    }
    const stop = () => give('the attempt was stopped')
    const timer = setTimeout(() => give('the connection timed out'), deadline)
    signal.addEventListener('abort', stop, { once: true })
    socket.on('error', (error) => give(describeError(error)))
    socket.on('connect', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      socket.removeAllListeners('error').removeAllListeners('connect')
      // Commands are small and answered at once: waiting to fill a packet (Nagle) only costs time.
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      resolve({ kind: 'connected', socket })
    })
  })
}

export type Handshaken =
  | { readonly kind: 'secure'; readonly socket: TLSSocket }
  | { readonly kind: 'failed'; readonly row: 'tls-broken' | 'no-shared-tls'; readonly text: string }

/** TLS over a socket that has just said 220. Any certificate passes here: it is judged by certificate.ts, before anything is sent. */
export function shakeHands(socket: Socket, host: string, secureContext: SecureContext, deadline: number): Promise<Handshaken> {
  return new Promise((resolve) => {
    const secure = connectTls({
      socket,
      secureContext,
      // RFC 6066 §3: no SNI for addresses.
      ...(isIP(host) ? {} : { servername: host }),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    })
    const fail = (row: 'tls-broken' | 'no-shared-tls', text: string) => {
      clearTimeout(timer)
      secure.removeAllListeners().on('error', () => undefined)
      secure.destroy()
      resolve({ kind: 'failed', row, text: `${host}: the TLS handshake failed: ${text}` })
    }
    const timer = setTimeout(() => fail('tls-broken', 'the server fell silent'), deadline)
    secure.on('error', (error: NodeJS.ErrnoException) => fail(nothingShared(error) ? 'no-shared-tls' : 'tls-broken', plain(error)))
    secure.on('close', () => fail('tls-broken', 'the server closed the connection'))
    secure.on('secureConnect', () => {
      clearTimeout(timer)
      secure.removeAllListeners('error').removeAllListeners('close').removeAllListeners('secureConnect')
      secure.on('error', () => undefined)
      resolve({ kind: 'secure', socket: secure })
    })
  })
}

const nothing =
  /ALERT_HANDSHAKE_FAILURE|ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|INSUFFICIENT_SECURITY|NO_PROTOCOLS|VERSION_TOO_LOW|DH_KEY_TOO_SMALL|NO_CIPHERS/
const nothingShared = ({ code }: NodeJS.ErrnoException) => nothing.test(code ?? '')

function plain(error: NodeJS.ErrnoException): string {
  if (nothingShared(error)) return 'no TLS version or cipher in common'
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|UNEXPECTED_MESSAGE/.test(error.code ?? '')) return 'the server did not answer in TLS'
  const reason = (error as { reason?: string }).reason
  return reason ?? describeError(error)
}
