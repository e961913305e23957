/** Answers /livez, /readyz and /metrics, for load balancers, for monitoring and for people who wonder. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Listening, listenHttp } from './http-listen.ts'
import type { Exposition } from './metrics.ts'
import type { Listen } from './settings.ts'

/** What keeps us from taking mail, in a sentence; undefined when nothing does. Must not reject. */
export type Ready = () => string | undefined | Promise<string | undefined>

/** The figures of the moment. Must not reject. */
export type Expose = () => Promise<Exposition>

/**
 * Listens and answers for any Host: /livez 200 while the process runs, /readyz 200 when `ready` returns undefined,
 * else 503 with the sentence it returns; with `expose` /metrics answers what that says. Rejects when the address cannot be listened on.
 */
export async function startHealth(at: Listen, ready: Ready, expose?: Expose): Promise<Listening> {
  const server = createServer((request, response) => void answerHealth(request, response, ready, expose))
  // A probe is one short request; whoever sends it slowly or leaves it open is cut off.
  server.headersTimeout = 5000
  server.requestTimeout = 5000
  server.keepAliveTimeout = 1000
  server.maxConnections = 100
  return listenHttp(server, at)
}

/** Answer one request: /livez, /readyz, /metrics where `expose` is given, or 404. */
export async function answerHealth(request: IncomingMessage, response: ServerResponse, ready: Ready, expose?: Expose): Promise<void> {
  const path = (request.url ?? '/').split('?')[0]
  const isMetrics = expose !== undefined && path === '/metrics'
  const known = path === '/livez' || path === '/readyz' || isMetrics
  const allowed = request.method === 'GET' || request.method === 'HEAD'
  if (known && !allowed) return send(request, response, 405, 'only GET and HEAD')
  if (path === '/livez') return send(request, response, 200, 'ok')
  if (isMetrics) return sendMetrics(request, response, await expose())
  if (path !== '/readyz') return send(request, response, 404, elsewhere)
  const why = await ready()
  send(request, response, why === undefined ? 200 : 503, why ?? 'ok')
}

const elsewhere = 'here are /livez and /readyz; /metrics is on metrics.listen, and /api/openapi.json on admin.listen lists more'

function sendMetrics(request: IncomingMessage, response: ServerResponse, exposition: Exposition): void {
  if (exposition.kind === 'trouble') return send(request, response, 503, exposition.text)
  send(request, response, 200, exposition.text.trimEnd(), exposition.type)
}

function send(request: IncomingMessage, response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : `${text}\n`)
}
