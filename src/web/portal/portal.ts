/** The recipients' web pages: from the link in a notice to the letter, without JavaScript; the senders' few pages beside them. */
import { createServer } from 'node:http'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { type Listening, listenHttp } from '../../ops/http-listen.ts'
import { statusPages } from '../status/status.ts'
import { createAnswers } from './answers.ts'
import { codePages } from './code.ts'
import { createCookies } from './cookies.ts'
import { createFailures, fromOurPage, hostGate } from './gate.ts'
import { pageHeaders } from './headers.ts'
import { landingPages } from './landing.ts'
import { letterPages } from './letter.ts'
import { type Given, organisationOf, type Parts } from './parts.ts'
import { createReader } from './reading/reader.ts'
import { standingPages } from './standing.ts'
import { createViews } from './views.ts'

export type Portal = {
  /** Resolves with the address it listens on (`portal.listen`; port 0 picks one); rejects when it is taken. */
  readonly listen: () => Promise<{ host: string; port: number }>
  /** Resolves when no connection is left. */
  readonly close: () => Promise<void>
}

/** Builds the portal. It holds no key: what opens a letter is in the reader's cookie and in the vault. */
export function createPortal(given: Given): Portal {
  const parts = assemble(given)
  const server = createServer({ headersTimeout: 15_000, requestTimeout: 60_000, keepAliveTimeout: 10_000 }, application(parts))
  let listening: Listening | undefined
  const listen = async () => {
    listening = await listenHttp(server, given.settings['portal.listen'])
    return listening
  }
  const close = async () => {
    await listening?.close()
    await parts.reader.close()
  }
  return { listen, close }
}

function assemble(given: Given): Parts {
  const { settings, clock, log } = given
  const views = createViews(organisationOf(settings))
  return {
    ...given,
    views,
    answers: createAnswers(settings, views),
    cookies: createCookies(isHttps(given)),
    statusCookies: createCookies(isHttps(given), 'status'),
    failures: createFailures(settings['limits.portalFailures'], clock),
    reader: createReader({
      clock,
      report: (because) => log.warn({ because }, 'a letter could not be shown; its reader was offered the .eml'),
    }),
  }
}

const isHttps = ({ settings }: Given) => settings['portal.url'].startsWith('https:')

function application(parts: Parts): Express {
  const { settings, views } = parts
  const app = express()
  app.disable('x-powered-by').disable('etag')
  app.set('query parser', 'simple').set('trust proxy', settings['http.trustedProxies'])
  app.use(...pageHeaders(isHttps(parts), views))
  app.use(knownHost(parts))
  app.get(views.icon.path, (_request, response) => {
    response.set('Cache-Control', 'public, max-age=31536000, immutable').type('svg').send(views.icon.bytes)
  })
  app.use(ownForms(parts), express.urlencoded({ extended: false, limit: '8kb', parameterLimit: 10 }))
  app.use(landingPages(parts), codePages(parts), letterPages(parts), statusPages(parts), standingPages(parts))
  app.use((request, response) => parts.answers.error({ request, response, status: 404 }, 'notFound'))
  app.use(lastResort(parts))
  return app
}

/** RFC 9110 §15.5.20: a Host that is not ours is misdirected, whoever sent it here. */
function knownHost({ settings, answers }: Parts): RequestHandler {
  const isOurs = hostGate(settings)
  return (request, response, next) => (isOurs(request) ? next() : answers.error({ request, response, status: 421 }, 'notHere'))
}

/** Whatever is not GET or HEAD must come from one of our own pages. */
function ownForms({ answers }: Parts): RequestHandler {
  return (request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD' || fromOurPage(request)) return next()
    return answers.error({ request, response, status: 403 }, 'refused')
  }
}

/** The one place where exceptions end: a plain page, never a stack; the log has it, without the URL. */
function lastResort({ answers, log }: Parts): ErrorRequestHandler {
  return async (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error)
    const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500
    if (status >= 500) log.error({ err: error }, 'a portal page failed')
    await answers.error({ request, response, status: status >= 400 && status < 500 ? status : 500 }, status < 500 ? 'malformed' : 'fault')
  }
}
