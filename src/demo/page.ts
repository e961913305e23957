/** The inbox page: what was decided and why, and every mail that arrived, filling in live. */
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Eta } from 'eta'
import express, { type NextFunction, type Request, type Response } from 'express'
import { listenHttp } from '../ops/http-listen.ts'
import { isLoopbackHost } from '../ops/loopback.ts'
import { packageRoot } from '../ops/package-root.ts'
import type { Settings } from '../ops/settings.ts'
import { linkify } from '../web/portal/reading/linkify.ts'
import type { ArrivedMail, Inbox } from './inbox.ts'
import { clockTime } from './narrate.ts'
import type { Outcome, Tone } from './outcomes.ts'
import { organisation, people } from './people.ts'
import { isTaken } from './ports.ts'
import { timings } from './timings.ts'

export type PageParts = {
  readonly outcomes: () => Promise<readonly Outcome[]>
  readonly inbox: Inbox
  readonly settings: Settings
  readonly sendToAll: () => Promise<void>
  readonly port: number
}

const policy = "default-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/** Serve the page on loopback, on another port when this one was taken meanwhile. */
export async function startInboxPage(parts: PageParts): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const eta = new Eta({ views: join(packageRoot, 'views', 'demo') })
  const show = async (response: Response, view: string, values: object) => {
    response.set({ 'content-security-policy': policy, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    response.type('html').send(await eta.renderAsync(view, values))
  }
  const app = express().disable('x-powered-by')
  // A page elsewhere whose name was made to point to this machine is not to read the mail.
  app.use((request, response, next) =>
    isLoopbackHost(request.hostname ?? '') ? next() : void response.status(421).type('text').send('this is not that host'),
  )
  app.use('/assets', express.static(join(packageRoot, 'public', 'demo')))
  app.get('/', async (_request, response) => show(response, 'inbox', await state(parts)))
  app.get('/mail/:id', async (request, response) => {
    const mail = parts.inbox.find(Number(request.params.id))
    if (mail === undefined) return void response.status(404).type('text').send('There is no such mail: the demo was started anew. Go to /')
    await show(response, 'mail', { mail: arrived(mail), text: linkify(mail.text), inside: mail.inside && linkify(mail.inside.text) })
  })
  app.post('/send', async (request, response) => {
    // Another page in the same browser must not press this button.
    if (request.get('sec-fetch-site') !== 'same-origin')
      return void response.status(403).type('text').send('press the button on the page itself')
    await parts.sendToAll()
    response.redirect(303, '/')
  })
  app.use((error: Error, _request: Request, response: Response, _next: NextFunction) => {
    response.status(500).type('text').send(`The demo could not do that: ${error.message}`)
  })
  const server = createServer(app)
  const at = (port: number) => listenHttp(server, { host: '127.0.0.1', port })
  const { port, close } = await at(parts.port).catch((error) => (isTaken(error) ? at(0) : Promise.reject(error)))
  return { url: `http://localhost:${port}/`, close }
}

async function state({ outcomes, inbox, settings }: PageParts) {
  const all = await outcomes()
  const mails = inbox.all()
  return {
    organisation: organisation.name,
    domain: organisation.domain,
    recipients: recipients(all).map((person) => ({
      ...person,
      outcomes: all.filter(({ to }) => to === person.address).map((one) => ({ ...one, ...noticeOf(one, mails), ...times(one) })),
    })),
    tally: tally(all),
    mails: mails.map(arrived),
    timings: timings(),
    smtp: settings['smtp.listen'].map(({ host, port }) => `${host}:${port}`).join(', '),
    portal: settings['portal.url'],
    command: `LETTERLOCK_DATA=${settings.data} node dist/main.js`,
  }
}

/** The people of the demo, then whoever else a visitor wrote to. */
function recipients(outcomes: readonly Outcome[]) {
  const known = people.map(({ name, address, about }) => ({ name, address, about }))
  const addresses = new Set(outcomes.map(({ to }) => to).filter((to) => !known.some(({ address }) => address === to)))
  return [...known, ...[...addresses].map((address) => ({ name: address, address, about: 'you wrote to this address' }))].map((person) => ({
    ...person,
    id: `person-${person.address.replace(/[^a-z0-9]+/gi, '-')}`,
  }))
}

/** The notice of a letter, once it arrived: both name the letter's reference. */
function noticeOf({ reference }: Outcome, mails: readonly ArrivedMail[]): { readonly notice: number | undefined } {
  const found = mails.find(({ link, text }) => link !== undefined && reference !== undefined && text.includes(reference))
  return { notice: found?.id }
}

const times = ({ at, nextAt }: Outcome) => ({ time: clockTime(at), next: nextAt === null ? undefined : clockTime(nextAt) })

const arrived = (mail: ArrivedMail) => ({ ...mail, time: clockTime(mail.at), clear: mail.channel === 'in clear' })

/** `8 outcomes: 3 delivered, 3 letters, 1 waits, 1 returned`. */
function tally(outcomes: readonly Outcome[]): string {
  if (outcomes.length === 0) return 'Nothing is sent yet.'
  const count = (tone: Tone) => outcomes.filter((one) => one.tone === tone).length
  const named: readonly (readonly [number, string])[] = [
    [count('go'), 'delivered or read'],
    [count('key'), count('key') === 1 ? 'letter to open' : 'letters to open'],
    [count('wait'), 'waiting'],
    [count('stop'), 'stopped'],
  ]
  const parts = named.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`)
  return `${outcomes.length} ${outcomes.length === 1 ? 'outcome' : 'outcomes'}: ${parts.join(', ')}.`
}
