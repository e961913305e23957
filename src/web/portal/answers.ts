/** Sends pages: rendered, compressed, with the plain ones for everything that goes wrong. */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Request, Response } from 'express'
import type { Settings } from '../../ops/settings.ts'
import { type Words, wordsFor } from './messages/language.ts'
import type { Frame, ViewData, ViewName, Views } from './views.ts'

const compress = promisify(gzip)

export type ErrorName = 'notFound' | 'notHere' | 'refused' | 'malformed' | 'fault'
export type Plain = { readonly title: string; readonly paragraphs: readonly string[]; readonly home?: boolean; readonly reference?: string }

export type Answers = {
  /** The language of this request, else of the letter, else of the organisation. */
  readonly words: (request: Request, letterLanguage?: string) => Words
  readonly page: <Name extends ViewName>(exchange: Exchange, name: Name, frame: Frame, data: ViewData[Name]) => Promise<void>
  readonly plain: (exchange: Exchange, words: Words, plain: Plain) => Promise<void>
  readonly error: (exchange: Exchange, name: ErrorName) => Promise<void>
  readonly html: (exchange: Exchange, html: string) => Promise<void>
}

/** One request being answered. */
export type Exchange = { readonly request: Request; readonly response: Response; readonly status: number }

export function createAnswers(settings: Pick<Settings, 'organisation.language'>, views: Views): Answers {
  const words: Answers['words'] = (request, letterLanguage) =>
    wordsFor(request.headers['accept-language'], letterLanguage, settings['organisation.language'])

  const html: Answers['html'] = async ({ request, response, status }, text) => {
    const small = request.acceptsEncodings('gzip') === 'gzip' && text.length > 1000
    const body = small ? await compress(text) : Buffer.from(text)
    response.status(status).type('html').vary('Accept-Encoding').vary('Accept-Language')
    if (small) response.set('Content-Encoding', 'gzip')
    response.set('Content-Length', String(body.length)).end(request.method === 'HEAD' ? undefined : body)
  }

  const page: Answers['page'] = (exchange, name, frame, data) => html(exchange, views.page(name, frame, data))

  const plain: Answers['plain'] = (exchange, spoken, { title, paragraphs, home = false, reference }) =>
    page(exchange, 'plain', { title, words: spoken, reference }, { paragraphs, home })

  const error: Answers['error'] = (exchange, name) => {
    const spoken = words(exchange.request)
    const { title, text } = spoken.t.error[name]
    return plain(exchange, spoken, { title, paragraphs: [text], home: name === 'notFound' })
  }

  return { words, page, plain, error, html }
}
