/** The sender's pages: how a letter stands, and what can be done about a notice that waits. Reached by the link in the mail that tells of it. */
import { type Request, type Response, Router } from 'express'
import type { SenderFound, SenderView } from '../../methods/escrow/sender.ts'
import { formToken, tokenMatches } from '../portal/gate.ts'
import { tooMany } from '../portal/gone.ts'
import { secretOf } from '../portal/landing.ts'
import type { Parts } from '../portal/parts.ts'
import { choicePages } from './choices.ts'
import { createShow, type Show } from './show.ts'
import { problemText, told } from './words.ts'

/** `/s/:secret`: GET shows, POST starts a session; from then on the secret is in no URL (choices.ts). */
export function statusPages(parts: Parts): Router {
  const { statusCookies: cookies } = parts
  const { sender } = parts.vault
  const router = Router()
  const show = createShow(parts)

  router.get('/s/:secret', async (request, response) => {
    const found = await sender.find(secretOf(request))
    return found.kind === 'letter' ? landing(show, request, response, found.view) : gone(parts, show, request, response, found)
  })

  router.post('/s/:secret', async (request, response) => {
    const secret = secretOf(request)
    if (!tokenMatches(request, 'status', secret)) {
      const found = await sender.find(secret)
      return found.kind === 'letter' ? landing(show, request, response, found.view, true) : gone(parts, show, request, response, found)
    }
    const begun = await sender.begin(secret)
    if (begun.kind !== 'session') return gone(parts, show, request, response, begun)
    cookies.set(request, response, begun.session, begun.cookie)
    response.redirect(303, `/status/${begun.session}`)
  })

  return router.use(choicePages(parts, show))
}

function landing(show: Show, request: Request, response: Response, view: SenderView, again = false): Promise<void> {
  const secret = secretOf(request)
  return show.status({ request, response, status: again ? 422 : 200 }, (words) => ({
    ...told(view, words),
    problem: again ? problemText('again', words.t) : '',
    form: { action: `/s/${secret}`, token: formToken('status', secret), button: words.t.status.button },
  }))
}

/** 410 for a letter that was, 404 for a link that never was or is stale; those count as failures of their client. */
function gone(
  { failures, answers }: Parts,
  show: Show,
  request: Request,
  response: Response,
  found: Exclude<SenderFound, { kind: 'letter' }>,
): Promise<void> {
  if (found.kind !== 'unknown') return show.status({ request, response, status: 410 }, (words) => told(found, words))
  const until = failures.count(request)
  if (until !== undefined) return tooMany(answers, request, response, until)
  return show.plain({ request, response, status: 404 }, ({ status }) => status.unknown)
}
