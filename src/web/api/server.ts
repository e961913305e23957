/** The listener of admins: the API, and /livez and /readyz for whoever watches. */
import { createServer } from 'node:http'
import { answerHealth, type Ready } from '../../ops/health.ts'
import { type Listening, listenHttp } from '../../ops/http-listen.ts'
import { type ApiParts, createApi } from './api.ts'

/** Listens at `admin.listen`; rejects when it is taken. */
export async function startAdmin(parts: ApiParts, ready: Ready): Promise<Listening> {
  const api = createApi(parts)
  const server = createServer({ connectionsCheckingInterval: 2000 }, (request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/'
    void (path === '/api' || path.startsWith('/api/') ? api(request, response) : answerHealth(request, response, ready))
  })
  // A megabyte of policy over a slow line is there within half a minute; whoever takes longer is answered 408.
  server.headersTimeout = 5000
  server.requestTimeout = 30_000
  server.keepAliveTimeout = 5000
  server.maxConnections = 100
  return listenHttp(server, parts.settings['admin.listen'])
}
