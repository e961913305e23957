/** The page behind the link in the notice: who wrote, and one button. */
import { type Request, type Response, Router } from 'express'
import type { Found } from '../../methods/escrow/vault.ts'
import { clientOf, formToken, tokenMatches } from './gate.ts'
import { goneAnswer } from './gone.ts'
import type { Messages } from './messages/en.ts'
import { hostOf, type Parts, senderOf } from './parts.ts'

type Letter = Extract<Found, { kind: 'letter' }>

/** `/m/:secret`: GET shows, POST starts a session and sends a code; from then on the secret is in no URL. */
export function landingPages(parts: Parts): Router {
  const { vault, answers, cookies } = parts
  const router = Router()
  const gone = goneAnswer(parts)

  const show = (request: Request, response: Response, { outside }: Letter, again: boolean) => {
    const secret = secretOf(request)
    const words = answers.words(request, outside.language)
    const { sender, senderAddress } = senderOf(outside)
    const frame = { title: words.t.landing.document(sender), words, reference: outside.reference }
    return answers.page({ request, response, status: again ? 422 : 200 }, 'landing', frame, {
      ...{ sender, senderAddress, address: outside.maskedAddress, createdAt: outside.createdAt, expiresAt: outside.expiresAt },
      ...{ action: `/m/${secret}`, token: formToken('continue', secret), host: hostOf(parts.settings), again },
      next: nextText(outside.asks, words.t),
    })
  }

  router.get('/m/:secret', async (request, response) => {
    const found = await vault.find(secretOf(request))
    if (found.kind !== 'letter') return gone(request, response, found)
    return show(request, response, found, false)
  })

  router.post('/m/:secret', async (request, response) => {
    const secret = secretOf(request)
    if (!tokenMatches(request, 'continue', secret)) {
      const found = await vault.find(secret)
      return found.kind === 'letter' ? show(request, response, found, true) : gone(request, response, found)
    }
    const begun = await vault.begin(secret, clientOf(request))
    if (begun.kind !== 'session') return gone(request, response, begun)
    cookies.set(request, response, begun.session, begun.cookie)
    // Where the link alone is enough, this press is the reading: recorded by a POST, so that the GET of the letter changes nothing.
    await vault.read(begun.cookie)
    response.redirect(303, `/c/${begun.session}`)
  })

  router.get('/m/:secret/not-me', async (request, response) => {
    const secret = secretOf(request)
    const found = await vault.find(secret)
    if (found.kind !== 'letter') return gone(request, response, found)
    const words = answers.words(request, found.outside.language)
    const { sender } = senderOf(found.outside)
    const frame = { title: words.t.notMe.title, words, reference: found.outside.reference }
    return answers.page({ request, response, status: 200 }, 'not-me', frame, {
      ...{ action: `/m/${secret}`, token: formToken('not me', secret), sender },
    })
  })

  router.post('/m/:secret/not-me', async (request, response) => {
    const secret = secretOf(request)
    if (!tokenMatches(request, 'not me', secret)) return answers.error({ request, response, status: 403 }, 'refused')
    await vault.notMe(secret)
    response.redirect(303, '/not-me')
  })

  return router
}

function nextText(asks: Letter['outside']['asks'], { landing }: Messages): string {
  return asks === 'passphrase' ? landing.nextPhrase : landing.next
}

/** Mail programs like to take the full stop or bracket after a link with it. */
export const secretOf = (request: Request): string =>
  String(request.params.secret)
    .slice(0, 100)
    .replace(/[^0-9a-z]/gi, '')
