/** The pages of a sender's session: the letter with its choices, and for each deed a page that asks once more. */
import { type Request, type Response, Router } from 'express'
import { field, formToken, tokenMatches } from '../portal/gate.ts'
import type { Parts } from '../portal/parts.ts'
import type { Show } from './show.ts'
import { asked, buttonOf, choicesOf, type Deed, deeds, type Problem, problemText, type Standing, told } from './words.ts'

type At = { readonly standing: Standing; readonly cookie: string; readonly path: string }
type Page = (request: Request, response: Response, at: At) => unknown

/** `/status/:session` and below. */
export function choicePages(parts: Parts, show: Show): Router {
  const { statusCookies: cookies } = parts
  const { sender } = parts.vault
  const router = Router()

  const inSession = (work: Page) => async (request: Request, response: Response) => {
    const session = String(request.params.session)
    const cookie = cookies.read(request, session)
    const standing = cookie === undefined ? undefined : await sender.standing(cookie)
    if (cookie !== undefined && standing !== undefined) return work(request, response, { standing, cookie, path: `/status/${session}` })
    cookies.clear(request, response, session)
    return show.plain({ request, response, status: 403 }, ({ status }) => status.lost)
  }

  router.get('/status', (request, response) =>
    show.plain({ request, response, status: 200 }, ({ status }) => ({
      ...{ title: status.waitDone, text: status.waitDoneText, next: status.waitText },
    })),
  )
  router.get('/status/:session', inSession(overview(show)))
  router.post(
    '/status/:session/wait',
    inSession(async (request, response, { cookie, path }) => {
      if (!tokenMatches(request, 'wait', cookie)) return response.redirect(303, `${path}?problem=again`)
      await sender.leave(cookie)
      cookies.clear(request, response, String(request.params.session))
      return response.redirect(303, '/status')
    }),
  )
  for (const deed of deeds) {
    router.get(`/status/:session/${deed}`, inSession(question(show, deed)))
    router.post(`/status/:session/${deed}`, inSession(press(parts, show, deed)))
  }
  return router
}

const overview =
  (show: Show): Page =>
  (request, response, { standing, cookie, path }) =>
    show.status({ request, response, status: 200 }, (words) => ({
      ...told(standing.kind === 'letter' ? standing.view : standing, words),
      problem: problemText(String(request.query.problem ?? ''), words.t),
      ...(standing.kind === 'letter' && { choices: choicesOf(standing.view, words, { path, token: formToken('wait', cookie) }) }),
    }))

const question =
  (show: Show, deed: Deed, problem?: Problem): Page =>
  (request, response, { standing, cookie, path }) => {
    if (standing.kind !== 'letter') return response.redirect(303, path)
    return show.status({ request, response, status: statusOf(problem) }, (words) => ({
      ...asked(deed, standing.view, words),
      problem: problemText(problem, words.t),
      form: { action: `${path}/${deed}`, token: formToken(deed, cookie), ...buttonOf(deed, words.t) },
      choices: [{ title: words.t.status.wait, text: words.t.status.waitText, link: { href: path, text: words.t.status.back } }],
    }))
  }

const statusOf = (problem: Problem | undefined): number => (problem === undefined ? 200 : problem === 'limited' ? 429 : 422)

const press =
  ({ vault: { sender } }: Parts, show: Show, deed: Deed): Page =>
  async (request, response, at) => {
    const { standing, cookie, path } = at
    if (standing.kind !== 'letter') return response.redirect(303, `${path}?problem=stale`)
    if (!tokenMatches(request, deed, cookie)) return question(show, deed, 'again')(request, response, at)
    if (field(request, 'sure') !== 'yes') return question(show, deed, 'unsure')(request, response, at)
    const pressed = await (deed === 'cancel' ? sender.cancel(cookie) : sender.handOver(cookie))
    if (pressed === 'limited') return question(show, deed, 'limited')(request, response.set('Retry-After', '3600'), at)
    // Lost: the page says so itself.
    return response.redirect(303, pressed === 'done' || pressed === 'lost' ? path : `${path}?problem=${pressed}`)
  }
