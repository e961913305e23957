/** The page that asks for the code, or for the four words: a plain, reloadable URL, so that switching to the mail and back loses nothing. */
import { type Request, type Response, Router } from 'express'
import type { CodeStage, PhraseStage } from '../../methods/escrow/vault.ts'
import { clientOf, field, formToken, tokenMatches } from './gate.ts'
import { lostAnswer, tooMany } from './gone.ts'
import type { Messages } from './messages/en.ts'
import { type Parts, senderOf } from './parts.ts'

/** Problems travel in the URL by name: after a wrong code the page can be reloaded without sending it again. */
type ProblemName = 'empty' | 'wrong' | 'no-tries' | 'spent' | 'again' | 'busy'

/** `/c/:session`: GET shows, POST tries a code, POST …/resend asks for another. */
export function codePages(parts: Parts): Router {
  const { vault, answers, cookies, clock } = parts
  const router = Router()
  const lost = lostAnswer(parts)

  const show = (request: Request, response: Response, stage: CodeStage | PhraseStage, cookie: string) => {
    const { outside } = stage
    const words = answers.words(request, outside.language)
    const named = String(request.query.problem ?? '')
    const problem = problemText(named, stage, words.t)
    const { sender } = senderOf(outside)
    const common = { action: `/c/${String(request.params.session)}`, token: formToken('code', cookie), problem, triesLeft: stage.triesLeft }
    if (stage.stage === 'passphrase') {
      const frame = { title: words.t.phrase.document, words, reference: outside.reference }
      return answers.page({ request, response, status: 200 }, 'passphrase', frame, { ...common, sender })
    }
    const limited = named === 'limited'
    const frame = { title: words.t.code.document, words, reference: outside.reference }
    return answers.page({ request, response, status: 200 }, 'code', frame, {
      ...{ ...common, now: clock() },
      ...{ address: outside.maskedAddress, codeWords: stage.words, inputMode: stage.long ? 'text' : 'numeric', limited },
      ...{ sentAt: stage.sentAt, validUntil: stage.validUntil, mayResendAt: stage.mayResendAt },
    })
  }

  router.get('/c/:session', async (request, response) => {
    const cookie = cookies.read(request, request.params.session)
    const stage = cookie === undefined ? undefined : await vault.session(cookie)
    if (cookie === undefined || stage === undefined) return lost(request, response)
    if (stage.stage === 'open') return response.redirect(303, `/letter/${request.params.session}`)
    return show(request, response, stage, cookie)
  })

  router.post('/c/:session', (request, response) => enter(parts, request, response))

  router.post('/c/:session/resend', async (request, response) => {
    const { session } = request.params
    const cookie = cookies.read(request, session)
    if (cookie === undefined) return lost(request, response)
    if (!tokenMatches(request, 'code', cookie)) return response.redirect(303, `/c/${session}?problem=again`)
    const stage = await vault.sendCode(cookie)
    if (stage === undefined) return lost(request, response)
    return response.redirect(303, stage.limited ? `/c/${session}?problem=limited` : `/c/${session}`)
  })

  return router
}

async function enter(parts: Parts, request: Request, response: Response): Promise<void> {
  const { vault, answers, cookies, failures } = parts
  const lost = lostAnswer(parts)
  const session = String(request.params.session)
  const cookie = cookies.read(request, session)
  if (cookie === undefined) return lost(request, response)
  const until = failures.exceeded(request)
  if (until !== undefined) return tooMany(answers, request, response, until)
  const back = (problem: ProblemName) => response.redirect(303, `/c/${session}?problem=${problem}`)
  if (!tokenMatches(request, 'code', cookie)) return back('again')
  const entered = await vault.enterCode(cookie, field(request, 'code'), clientOf(request))
  if (entered.kind === 'lost') return lost(request, response)
  if (entered.kind === 'wrong') failures.count(request)
  if (entered.kind !== 'open') return back(entered.kind)
  if (entered.session !== session) cookies.clear(request, response, session)
  cookies.set(request, response, entered.session, entered.cookie)
  // The reading is recorded here, by a POST, so that the GET of the letter changes nothing.
  await vault.read(entered.cookie)
  response.redirect(303, `/letter/${entered.session}`)
}

function problemText(name: string, { stage, triesLeft }: CodeStage | PhraseStage, t: Messages): string {
  const said = stage === 'passphrase' ? t.phrase : t.code
  switch (name as ProblemName) {
    case 'empty':
      return said.empty
    case 'wrong':
      return triesLeft > 0 ? said.wrong(triesLeft) : said.noTries
    case 'no-tries':
      return said.noTries
    case 'spent':
      return t.code.spent
    case 'again':
      return t.code.again
    case 'busy':
      return t.phrase.busy
  }
  return triesLeft > 0 ? '' : said.noTries
}
