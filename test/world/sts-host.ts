/** An HTTPS host on loopback that shows an MTA-STS policy, or misbehaves as told. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Leaf } from './index.ts'

export type StsHost = {
  readonly host: string
  readonly port: number
  /** What is answered from now on: the text of a policy, or anything. */
  readonly answer: (how: string | ((request: IncomingMessage, response: ServerResponse) => void)) => void
  /** Another certificate for those who ask for this name. */
  readonly show: (name: string, leaf: Leaf) => void
  /** `<Host field> <path>` of each request. */
  readonly asked: string[]
  readonly close: () => Promise<void>
}

/** Listen; who asks for a name of no other gets this certificate. */
export async function startStsHost(leaf: Leaf, { host = '127.0.0.1', port = 0 } = {}): Promise<StsHost> {
  const asked: string[] = []
  let how: Parameters<StsHost['answer']>[0] = ''
  const server = createServer({ cert: leaf.cert, key: leaf.key }, (request, response) => {
    asked.push(`${request.headers.host} ${request.url}`)
    if (typeof how === 'string') response.writeHead(200, { 'Content-Type': 'text/plain' }).end(how)
    else how(request, response)
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((done) => server.listen(port, host, done))
  return {
    host,
    port: (server.address() as AddressInfo).port,
    asked,
    show: (name, { cert, key }) => server.addContext(name, { cert, key }),
    answer: (next) => {
      how = next
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

/** A policy file. */
export const policyText = (mode: string, mx: readonly string[], maxAge = 86_400): string =>
  ['version: STSv1', `mode: ${mode}`, ...mx.map((one) => `mx: ${one}`), `max_age: ${maxAge}`, ''].join('\r\n')
