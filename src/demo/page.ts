/** The inbox page: what was decided, and every mail that arrived, filling in live. */
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Eta } from 'eta'
import express, { type Response } from 'express'
import { listMessages, type RecipientTrace } from '../delivery/trace.ts'
import { packageRoot } from '../ops/package-root.ts'
import type { Settings } from '../ops/settings.ts'
import type { Db } from '../store/db.ts'
import type { Inbox } from './inbox.ts'
import { organisation, people } from './people.ts'

export type PageParts = {
  readonly db: Db
  readonly inbox: Inbox
  readonly settings: Settings
  readonly sendToAll: () => Promise<void>
  readonly port: number
}

/** Serve the page on loopback. */
export async function startInboxPage(parts: PageParts): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const eta = new Eta({ views: join(packageRoot, 'views', 'demo') })
  const app = express().disable('x-powered-by')
  const show = async (response: Response, view: string, more: object = {}) => {
    response.set({ 'content-security-policy': "default-src 'self'; frame-ancestors 'none'", 'cache-control': 'no-store' })
    response.type('html').send(await eta.renderAsync(view, { ...(await state(parts)), ...more }))
  }
  app.get('/', (_request, response) => show(response, 'inbox'))
  app.get('/mail/:id', async (request, response) => {
    const mail = parts.inbox.find(Number(request.params.id))
    if (mail === undefined) return void response.status(404).type('text').send('no such mail')
    await show(response, 'mail', { mail, lines: linked(mail.text) })
  })
  app.post('/send', async (request, response) => {
    // Another page in the same browser must not press this button.
    if (request.get('sec-fetch-site') !== 'same-origin')
      return void response.status(403).type('text').send('press the button on the page itself')
    await parts.sendToAll()
    response.redirect(303, '/')
  })
  app.use('/assets', express.static(join(packageRoot, 'public', 'demo')))
  const server = createServer(app)
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(parts.port, '127.0.0.1', listening))
  return {
    url: `http://localhost:${(server.address() as { port: number }).port}/`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

async function state({ db, inbox, settings }: PageParts) {
  const messages = await listMessages(db, { limit: 100 })
  const outcomes = messages.flatMap(({ recipients }) => recipients)
  return {
    organisation: organisation.name,
    domain: organisation.domain,
    people: people.map((person) => ({ ...person, outcomes: outcomes.filter(({ to }) => to === person.address).map(outcome) })),
    mails: inbox.all().map((mail) => ({ ...mail, time: new Date(mail.at).toISOString().slice(11, 19) })),
    patience: settings['retry.tls.soft'] / 1000,
    smtp: settings['smtp.listen'].map(({ host, port }) => `${host}:${port}`).join(', '),
  }
}

function outcome({ state, method, lastReply }: RecipientTrace) {
  const [tone, text] = words[state] ?? ['wait', state]
  const by = state === 'delivered' && method !== null ? (methodWords[method] ?? '') : ''
  return { tone, words: `${text}${by}`, why: lastReply ?? 'not tried yet' }
}

const words: { readonly [state: string]: readonly [tone: string, words: string] } = {
  waiting: ['wait', 'Waits'],
  held: ['stop', 'Held'],
  delivered: ['go', 'Delivered'],
  bounced: ['stop', 'Returned to the sender'],
  'letter-waiting': ['key', 'Letter sealed, its notice is on the way'],
  'letter-notified': ['key', 'Letter ready: open its link'],
  'letter-read': ['go', 'Letter read'],
  'letter-expired': ['stop', 'Letter expired'],
}

const methodWords: { readonly [method: string]: string } = { tls: ' over verified TLS', pgp: ', encrypted with PGP', opportunistic: '' }

/** Text lines cut into plain pieces and links, so that the view needs no markup in data. */
function linked(text: string): { readonly text: string; readonly link: boolean }[][] {
  return text.split(/\r?\n/).map((line) => line.split(/(https?:\/\/\S+)/).map((piece, index) => ({ text: piece, link: index % 2 === 1 })))
}
