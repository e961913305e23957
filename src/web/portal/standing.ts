/** The pages that need no letter: home, help, privacy, thanks, closed. */
import { type Request, type Response, Router } from 'express'
import type { Words } from './messages/language.ts'
import { organisationOf, type Parts } from './parts.ts'

/** All GET, all the same for everybody. */
export function standingPages({ settings, answers }: Parts): Router {
  const router = Router()

  const plain = (path: string, of: (words: Words) => { title: string; paragraphs: readonly string[] }) =>
    router.get(path, (request, response) => {
      const words = answers.words(request)
      return answers.plain({ request, response, status: 200 }, words, of(words))
    })

  const questions = (path: string, name: 'help' | 'privacy') =>
    router.get(path, (request: Request, response: Response) => {
      const words = answers.words(request)
      const { title, items } = words.t[name]
      return answers.page({ request, response, status: 200 }, 'questions', { title, words }, { items })
    })

  plain('/', ({ t: { home } }) => ({
    title: home.title,
    paragraphs: [home.lead(organisationOf(settings)), home.open, home.real, home.lost],
  }))
  plain('/not-me', ({ t: { notMe } }) => ({ title: notMe.doneTitle, paragraphs: [notMe.doneText] }))
  plain('/closed', ({ t: { gone } }) => ({ title: gone.closed.title, paragraphs: [gone.closed.text, gone.closed.next] }))
  questions('/help', 'help')
  questions('/privacy', 'privacy')
  router.get('/robots.txt', (_request, response) => void response.type('txt').send('User-agent: *\nDisallow: /\n'))
  return router
}
