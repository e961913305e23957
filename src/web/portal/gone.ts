/** The plain pages for letters that cannot be opened: expired, recalled, superseded, unknown, and a session that ended. */
import type { Request, Response } from 'express'
import type { Found } from '../../methods/escrow/vault.ts'
import type { Parts } from './parts.ts'

type Gone = Exclude<Found, { kind: 'letter' }>

/** Answers 410 for a letter that was, 404 for one that never was; unknown links count as failures of their client. */
export function goneAnswer({ answers, failures }: Parts): (request: Request, response: Response, found: Gone) => Promise<void> {
  return (request, response, found) => {
    if (found.kind === 'unknown') {
      const until = failures.count(request)
      if (until !== undefined) return tooMany(answers, request, response, until)
      const words = answers.words(request)
      const { title, text, next } = words.t.gone.unknown
      return answers.plain({ request, response, status: 404 }, words, { title, paragraphs: [text, next] })
    }
    const { outside } = found
    const words = answers.words(request, outside.language)
    const { title, next } = words.t.gone[found.kind]
    const text = found.kind === 'expired' ? words.t.gone.expired.text(words.date(outside.expiresAt)) : words.t.gone[found.kind].text
    return answers.plain({ request, response, status: 410 }, words, { title, paragraphs: [text, next], reference: outside.reference })
  }
}

/** 429 with the time from which trying again makes sense; `until` in milliseconds since 1970. */
export function tooMany(answers: Parts['answers'], request: Request, response: Response, until: number): Promise<void> {
  const words = answers.words(request)
  const { title, text } = words.t.error.tooMany
  response.set('Retry-After', '600')
  return answers.plain({ request, response, status: 429 }, words, { title, paragraphs: [text(words.time(until))] })
}

/** The browser's cookie is missing, or its session over: the way back is the link in the mail. */
export function lostAnswer({
  answers,
  cookies,
}: Pick<Parts, 'answers' | 'cookies'>): (request: Request, response: Response) => Promise<void> {
  return (request, response) => {
    const words = answers.words(request)
    const { title, text, next } = words.t.gone.lost
    cookies.clear(request, response, String(request.params.session))
    return answers.plain({ request, response, status: 403 }, words, { title, paragraphs: [text, next] })
  }
}
