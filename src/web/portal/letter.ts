/** The opened letter: its page, its content in a frame of its own, its files, and the whole as .eml. */
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Request, type Response, Router } from 'express'
import type { OpenedLetter } from '../../methods/escrow/vault.ts'
import { formToken, tokenMatches } from './gate.ts'
import { lostAnswer } from './gone.ts'
import { contentHeaders, downloadHeaders } from './headers.ts'
import { type Parts, senderOf } from './parts.ts'
import type { LetterContent, LetterFile } from './reading/content.ts'
import { attachmentDisposition, safeFileName, visible } from './reading/file-name.ts'
import { linkify } from './reading/linkify.ts'
import { partOf } from './reading/part.ts'
import type { LetterBody } from './views.ts'

type Open = {
  readonly request: Request
  readonly response: Response
  readonly session: string
  readonly cookie: string
  readonly letter: OpenedLetter
}

type Answer = (parts: Parts, open: Open) => Promise<void>

/** `/letter/:session` and what hangs below it. Every request asks the vault anew, so a recall works at once. */
export function letterPages(parts: Parts): Router {
  const { vault, cookies } = parts
  const router = Router()
  const lost = lostAnswer(parts)

  /** Gives the letter to a browser that may read it; leads any other to where it stands. */
  const opened = (path: string, answer: Answer) =>
    router.get(path, async (request, response) => {
      const session = String(request.params.session)
      const cookie = cookies.read(request, session)
      const stage = cookie === undefined ? undefined : await vault.session(cookie)
      if (cookie === undefined || stage === undefined) return lost(request, response)
      if (stage.stage === 'code') return response.redirect(303, `/c/${session}`)
      const letter = await vault.read(cookie)
      if (letter === undefined) return lost(request, response)
      return answer(parts, { request, response, session, cookie, letter })
    })

  opened('/letter/:session', letterPage)
  opened('/letter/:session/content', contentPage)
  opened('/letter/:session/file/:number', file)
  opened('/letter/:session/letter.eml', wholeMail)
  router.post('/letter/:session/close', (request, response) => close(parts, request, response))
  return router
}

const letterPage: Answer = async ({ answers, reader }, { request, response, session, cookie, letter }) => {
  const { outside } = letter
  const content = await reader.letter(keyOf(cookie), letter.content)
  const words = answers.words(request, outside.language)
  const subject = visible(letter.subject)
  const body = bodyOf(content, request.query.view === 'text')
  const frame = { title: subject || words.t.letter.noSubject, words, reference: outside.reference, wide: true }
  const read = content === 'unreadable' ? nothing : content
  return answers.page({ request, response, status: 200 }, 'letter', frame, {
    ...senderOf(outside),
    ...{ action: `/letter/${session}`, token: formToken('close', cookie), subject, body, label: words.t.label[outside.label] },
    ...{ to: read.to, cc: read.cc, files: read.files.map(shownFile), shortened: read.shortened },
    ...{ writtenAt: read.date ?? outside.createdAt, expiresAt: outside.expiresAt },
  })
}

const contentPage: Answer = async ({ answers, reader, views }, { request, response, cookie, letter }) => {
  const content = await reader.letter(keyOf(cookie), letter.content)
  if (content === 'unreadable' || content.html === null) return answers.error({ request, response, status: 404 }, 'notFound')
  const words = answers.words(request, letter.outside.language)
  response.set(contentHeaders(views))
  const title = visible(letter.subject) || words.t.letter.body
  return answers.html({ request, response, status: 200 }, views.content(content.html, title, words))
}

const file: Answer = async (parts, open) => {
  const { request, response, cookie, letter } = open
  const content = await parts.reader.letter(keyOf(cookie), letter.content)
  const wanted = content === 'unreadable' ? undefined : content.files.find(({ number }) => String(number) === request.params.number)
  if (wanted === undefined) return parts.answers.error({ request, response, status: 404 }, 'notFound')
  return download(parts, open, { name: wanted.name, size: wanted.size, content: () => partOf(letter.content(), wanted.number) })
}

const wholeMail: Answer = async (parts, open) => {
  const words = parts.answers.words(open.request, open.letter.outside.language)
  const name = safeFileName(visible(open.letter.subject, 80)) || words.t.letter.noSubject
  return download(parts, open, { name: `${name}.eml`, size: open.letter.size, content: open.letter.content })
}

type Download = { readonly name: string; readonly size: number; readonly content: () => Readable }

async function download({ log }: Parts, { request, response }: Open, { name, size, content }: Download): Promise<void> {
  response.set(downloadHeaders(attachmentDisposition(name), size))
  if (request.method === 'HEAD') return void response.end()
  // A download that breaks off, on either side, ends the connection: the browser must not take half a file for a whole one.
  await pipeline(content(), response).catch((error: unknown) => log.warn({ err: error }, 'a download broke off'))
}

async function close({ vault, answers, cookies, reader }: Parts, request: Request, response: Response): Promise<void> {
  const session = String(request.params.session)
  const cookie = cookies.read(request, session)
  if (cookie !== undefined) {
    if (!tokenMatches(request, 'close', cookie)) return answers.error({ request, response, status: 403 }, 'refused')
    reader.forget(keyOf(cookie))
    await vault.leave(cookie)
  }
  cookies.clear(request, response, session)
  response.redirect(303, '/closed')
}

/** Under which a session's letter is kept in memory: not the cookie itself. */
const keyOf = (cookie: string) => createHash('sha256').update(cookie).digest('base64url')

const nothing: Pick<LetterContent, 'to' | 'cc' | 'files' | 'shortened' | 'date'> = {
  to: [],
  cc: [],
  files: [],
  shortened: false,
  date: null,
}

function bodyOf(content: LetterContent | 'unreadable', asText: boolean): LetterBody {
  if (content === 'unreadable') return { kind: 'unreadable' }
  if (content.html === null || asText) return { kind: 'text', pieces: linkify(content.text), designed: content.html !== null }
  return { kind: 'html', height: heightOf(content.html, content.text), withheld: content.withheld }
}

/** `PDF` says more than `application/pdf`; without an ending the declared type has to do. */
const shownFile = ({ number, name, type, size }: LetterFile) => {
  const ending = /\.([a-z0-9]{1,5})$/i.exec(name)?.[1]
  return { number, name, kind: ending?.toUpperCase() ?? type, size }
}

/** A sandboxed frame cannot size itself: a guess from what is in it. */
function heightOf(html: string, text: string): '' | 'tall' | 'full' {
  const weight = text.length + 60 * (html.split(/<(?:br|p|tr|li|div)\b/).length - 1) + (html.includes('<img') ? 1500 : 0)
  if (weight < 700) return ''
  return weight < 2500 ? 'tall' : 'full'
}
