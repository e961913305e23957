/** Answers the requests of the API: who asks, may they, what is it, was it seen before; and what goes wrong becomes a problem document. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { entry } from '../../audit/audit.ts'
import { PolicyAltered } from '../../routing/signature.ts'
import type { Signer } from '../../seal/signer.ts'
import { OutcomeUnknown } from '../../store/db.ts'
import { createTries } from '../../submission/tries.ts'
import { Gone, readBody } from './body.ts'
import { clientOf, mayComeInClear, networkOf } from './client.ts'
import { once } from './once.ts'
import { openapi } from './openapi.ts'
import { type Answer, problem, problems } from './problem.ts'
import { may } from './roles.ts'
import type { Route, RouteParts } from './route.ts'
import { matchRoute } from './routes.ts'
import { type Bearer, createTokens } from './tokens.ts'

export type ApiParts = RouteParts & { readonly log: Logger; readonly signer: Signer }

const failuresAllowed = 10
const window = 600_000

/** Answers one request whose path begins with /api. Never rejects. */
export type Api = (request: IncomingMessage, response: ServerResponse) => Promise<void>

export function createApi(parts: ApiParts): Api {
  const asker = createAsker(parts)
  return async (request, response) => {
    try {
      send(request, response, await answer(parts, asker, request))
    } catch (error) {
      if (error instanceof Gone) return
      send(request, response, fault(parts, error))
    }
  }
}

/** The one place where exceptions end: the log has them, without the address asked for. */
function fault({ log }: ApiParts, error: unknown): Answer {
  if (error instanceof PolicyAltered) return problem('policy-altered', error.message)
  log.error({ err: error }, 'a request of the API failed')
  if (error instanceof OutcomeUnknown) return problem('outcome-unknown', 'see what is in force before you try again')
  return problem('fault', 'the log of the gateway says more')
}

async function answer(parts: ApiParts, asker: Asker, request: IncomingMessage): Promise<Answer> {
  const target = targetOf(request.url ?? '/')
  if (target === undefined) return problem('request-malformed', 'the address asked for is not properly encoded, or names a parameter twice')
  const method = request.method ?? 'GET'
  const open = openAnswers[target.path]
  if (open !== undefined) return method === 'GET' || method === 'HEAD' ? open() : notThisWay(['GET', 'HEAD'])
  const match = matchRoute(method, target.segments)
  if (match.kind === 'none') return problem('not-found', 'there is nothing at this address; /api/openapi.json lists what there is')
  if (match.kind === 'method') return notThisWay(match.allowed)
  const asked = await asker(request)
  if (asked.kind === 'refused') return asked.answer
  const { route, path } = match
  if (!may(asked.bearer.role, route.right))
    return problem('not-allowed', `a token of role ${asked.bearer.role} may not do this: it needs the right ${route.right}`)
  return serve(parts, { route, path, target, bearer: asked.bearer, request })
}

type Served = {
  readonly route: Route
  readonly path: { readonly [name: string]: string }
  readonly target: Target
  readonly bearer: Bearer
  readonly request: IncomingMessage
}

async function serve(parts: ApiParts, { route, path, target, bearer, request }: Served): Promise<Answer> {
  const read = await readBody(request, route)
  if (read.kind === 'refused') return read.answer
  const actor = `api:${bearer.id}`
  // Before the answer goes out: a look that cannot be noted is not given.
  if (route.looks === true)
    await parts.db.write(entry(parts.clock(), { actor, action: 'trail.looked', object: target.shown, detail: { role: bearer.role } }))
  const run = async () => {
    const { signal, end } = watch(request)
    try {
      return await route.answer({
        parts,
        actor,
        role: bearer.role,
        path,
        query: target.query,
        headers: request.headers,
        body: read.value,
        signal,
      })
    } finally {
      end()
    }
  }
  const key = request.headers['idempotency-key']
  if (route.changes !== true || key === undefined) return run()
  return once(parts, { token: bearer.id, key: String(key), target: `${route.method} ${request.url}`, bytes: read.bytes }, run)
}

/** Aborts with Gone when the client goes away before its answer; until `end`, for a connection carries many requests. */
function watch({ socket }: IncomingMessage): { readonly signal: AbortSignal; readonly end: () => void } {
  const gone = new AbortController()
  const abort = () => gone.abort(new Gone())
  socket.once('close', abort)
  return { signal: gone.signal, end: () => void socket.off('close', abort) }
}

/** Answers that need no token: they say nothing about this installation. */
const openAnswers: { readonly [path: string]: (() => Answer) | undefined } = {
  '/api/openapi.json': () => ({ status: 200, body: openapi() }),
  '/api/problems': () => ({ status: 200, body: { problems } }),
}

const notThisWay = (allowed: readonly string[]): Answer =>
  problem('method-not-allowed', `here are ${allowed.join(', ')}`, { headers: { allow: allowed.join(', ') } })

type Asker = (
  request: IncomingMessage,
) => Promise<{ readonly kind: 'bearer'; readonly bearer: Bearer } | { readonly kind: 'refused'; readonly answer: Answer }>

/** RFC 6750 §2.1: the token comes in Authorization and nowhere else; never in an address, which proxies log. */
function createAsker({ db, clock, signer, settings, log }: ApiParts): Asker {
  const tokens = createTokens({ db, clock, signer })
  const tries = createTries({ clock, most: failuresAllowed, window })
  const trusted = settings['http.trustedProxies']
  return async (request) => {
    if (!mayComeInClear(request.socket.remoteAddress, trusted))
      return refused(
        problem(
          'https-needed',
          'ask over a TLS proxy on the same machine, or one named in http.trustedProxies: a token must not travel in clear',
        ),
      )
    const token = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(request.headers.authorization ?? '')?.[1]
    const bearer = token === undefined ? undefined : await tokens.bearerOf(token)
    // A good token is served whatever else its address tried: guesses at 256 bits are hopeless, locking out a neighbour is not.
    if (bearer !== undefined) return { kind: 'bearer', bearer }
    const client = clientOf(request, trusted)
    const failed = tries.begin(networkOf(client))
    if (failed === undefined) {
      const seconds = String(Math.max(1, Math.ceil(tries.wait(networkOf(client)) / 1000)))
      return refused(
        problem('too-many-failures', `try again in ${seconds} s, with a good token at once`, { headers: { 'retry-after': seconds } }),
      )
    }
    failed(true)
    log.warn({ client }, 'a request of the API without a good token was refused')
    return refused(
      problem('token-refused', 'send Authorization: Bearer TOKEN; `letterlock token create` makes one', {
        headers: { 'www-authenticate': 'Bearer realm="letterlock"' },
      }),
    )
  }
}

const refused = (answer: Answer) => ({ kind: 'refused', answer }) as const

type Target = {
  readonly path: string
  readonly segments: readonly string[]
  readonly query: { readonly [name: string]: string }
  /** For the audit: decoded, without the cursor, at most 400 characters. */
  readonly shown: string
}

/** Undefined when it is no origin-form, badly encoded, or has a parameter twice: what one program reads first and another last is a trap. */
function targetOf(url: string): Target | undefined {
  if (!url.startsWith('/')) return undefined
  const [path = '', search = ''] = url.split(/\?(.*)/s)
  const segments = path.slice(1).split('/').map(decoded)
  const pairs = [...new URLSearchParams(search)]
  const names = new Set(pairs.map(([name]) => name))
  if (segments.some((segment) => segment === undefined) || names.size !== pairs.length) return undefined
  const asked = pairs.filter(([name]) => name !== 'cursor' && name !== 'limit').map(([name, value]) => `${name}=${value}`)
  const place = segments.slice(2).join('/')
  const shown = `${place}${asked.length > 0 ? `?${asked.join('&')}` : ''}`.replace(/\p{Cc}/gu, ' ').slice(0, 400)
  return { path, segments: segments.map((segment) => segment ?? ''), query: Object.fromEntries(pairs), shown }
}

function decoded(segment: string): string | undefined {
  try {
    const text = decodeURIComponent(segment)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

/** Nothing here is for browsers' pages: no CORS, no cookies, nothing kept, nothing rendered. */
const always = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
}

function send(request: IncomingMessage, response: ServerResponse, { status, body, headers = {} }: Answer): void {
  if (response.headersSent || response.destroyed) return
  const text = body === undefined ? '' : typeof body === 'string' ? body : `${JSON.stringify(body)}\n`
  const type = headers['content-type'] ?? 'application/json'
  response.writeHead(status, {
    ...always,
    ...headers,
    'content-type': type,
    ...(status === 304 ? {} : { 'content-length': Buffer.byteLength(text) }),
  })
  response.end(request.method === 'HEAD' || status === 304 ? undefined : text)
}
