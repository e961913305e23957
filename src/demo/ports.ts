/** Finds ports on loopback that nobody listens on, so that the demo starts beside whatever else runs here. */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * The wanted port, or a free one when it is taken; 0: any free one. `localhost` is tried as ::1 first by most browsers, so whoever listens
 * only there counts as well.
 */
export async function freePort(host: string, wanted = 0): Promise<number> {
  const port = await tryPort(host, wanted === 0 ? randomInt(...ownRange) : wanted)
  if (port === undefined) return freePort(host)
  if (host !== '127.0.0.1') return port
  return (await tryPort('::1', port)) === undefined ? freePort(host) : port
}

/** Below those that kernels give to outgoing connections: between our look and our listening, one of these would take the port now and then. */
const ownRange = [10_240, 32_768] as const

/** The port after a moment of listening on it; undefined: taken. Where the address itself is missing (no IPv6) nobody can listen. */
async function tryPort(host: string, wanted: number): Promise<number | undefined> {
  const server = createServer()
  const port = await new Promise<number | undefined>((resolve) => {
    server.once('error', (error) => resolve('code' in error && error.code === 'EADDRINUSE' ? undefined : wanted))
    server.listen(wanted, host, () => resolve((server.address() as { port: number }).port))
  })
  await new Promise((closed) => server.close(closed))
  return port
}

/** Whether an error of listen() says that somebody else is there. */
export const isTaken = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'

/** Whether an error of listen() says that this machine has no such address. */
export const isMissingAddress = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EADDRNOTAVAIL'
