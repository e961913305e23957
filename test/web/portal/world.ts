/** A whole gateway on loopback with one partner that takes every notice and code, and a browser of fetch and a cookie jar. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { startGateway } from '../../../src/gateway.ts'
import { createLog } from '../../../src/ops/log.ts'
import { defaultSettings, type Settings } from '../../../src/ops/settings.ts'
import type { Db } from '../../../src/store/db.ts'
import { openDatabase } from '../../../src/store/open.ts'
import { eventually as waitFor } from '../../world/eventually.ts'
import { type PartnerMail, startPartner } from '../../world/index.ts'

export type Letter = { readonly secret: string; readonly address: string; readonly notice: string }

export type World = {
  /** `http://localhost:port` of the portal. */
  readonly base: string
  readonly db: Db
  readonly settings: Settings
  /** Hand in a mail as its sender would; resolves when its notice arrived at the recipient's server. */
  readonly send: (content: Buffer, address?: string) => Promise<Letter>
  /** The latest code mailed to this address; waits for one that came after `before` mails. */
  readonly code: (address: string, before?: number) => Promise<string>
  /** Mails that this address has been sent so far. */
  readonly mailsTo: (address: string) => PartnerMail[]
  readonly now: () => number
  /** Let time pass for the gateway, in milliseconds. */
  readonly advance: (by: number) => void
  readonly close: () => Promise<void>
}

export async function startWorld(overrides: Partial<Settings> = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-portal-'))
  const partner = await startPartner()
  const at = { host: '127.0.0.1', port: 0 }
  await writeFile(join(folder, 'policy.yaml'), 'version: 1\ndefault:\n  deliver: [escrow]\n')
  const settings = defaultSettings({
    'organisation.name': 'Rheinland Klinik',
    'organisation.domains': ['rheinland-klinik.example'],
    ...{
      data: folder,
      database: `sqlite:${join(folder, 'letterlock.db')}`,
      blobs: `file:${join(folder, 'blobs')}`,
      keys: `file:${join(folder, 'keys')}`,
    },
    ...{ 'smtp.listen': [at], 'portal.listen': at, 'admin.listen': at, 'metrics.listen': at, 'portal.url': 'http://localhost:8080' },
    'policy.file': join(folder, 'policy.yaml'),
    'notice.from': 'letters@rheinland-klinik.example',
    'delivery.allowPrivateAddresses': true,
    'delivery.routes': { '*': { host: '127.0.0.1', port: partner.port, tls: 'none' } },
    ...overrides,
  })
  let offset = 0
  const now = () => Date.now() + offset
  const gateway = await startGateway(settings, { log: createLog({ 'log.level': 'error' }), clock: now })
  const db = await openDatabase(settings)
  const smtp = gateway.smtp[0]
  if (!smtp) throw new Error('no SMTP listener')
  const client = createTransport({ host: smtp.host, port: smtp.port, tls: { rejectUnauthorized: false } })

  const mailsTo = (address: string) => partner.mails.filter(({ recipients }) => recipients.some((one) => one.address === address))
  let letters = 0
  const send = async (content: Buffer, address = `reader${++letters}@praxis.example`): Promise<Letter> => {
    const before = mailsTo(address).length
    await client.sendMail({ envelope: { from: 'a.weber@rheinland-klinik.example', to: [address] }, raw: content })
    const notice = await eventually(() => textOf(mailsTo(address)[before]))
    return { secret: /\/m\/([0-9a-z]{32})/.exec(notice)?.[1] ?? '', address, notice }
  }
  const code = (address: string, before = 0) =>
    eventually(() => /^Subject: (\d{4} \d{4}|(?:[0-9A-Z]{4} ?){3})/im.exec(textOf(mailsTo(address).slice(before).at(-1)) ?? '')?.[1])

  const close = async () => {
    client.close()
    await gateway.stop(500)
    await db.close()
    await partner.close()
    await rm(folder, { recursive: true, force: true })
  }
  const { port } = gateway.portal
  return { base: `http://localhost:${port}`, db, settings, send, code, mailsTo, now, advance: (by) => (offset += by), close }
}

const textOf = (mail: PartnerMail | undefined) => mail?.content.toString('latin1').replace(/=\r\n/g, '')

/** Ask until there is an answer. */
export const eventually = <T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> => waitFor('what should happen here', ask)

export type Page = { readonly status: number; readonly headers: Headers; readonly text: string; readonly path: string }

export type Browser = {
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Page>
  /** Fills in and submits the form with this action on a page, as a browser without JavaScript does, and follows the redirect. */
  readonly submit: (page: Page, action: string | RegExp, fields?: Record<string, string>) => Promise<Page>
  readonly post: (path: string, fields: Record<string, string>, headers?: Record<string, string>) => Promise<Page>
  readonly cookies: Map<string, string>
  /** Every path that was asked for, and every Set-Cookie that came back. */
  readonly visited: string[]
  readonly setCookies: string[]
}

export function createBrowser(base: string): Browser {
  const cookies = new Map<string, string>()
  const visited: string[] = []
  const setCookies: string[] = []
  const ask = async (method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Page> => {
    visited.push(path)
    const response = await fetch(base + path, {
      ...{ method, redirect: 'manual', body: body ?? null },
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin', origin: 'null' }),
        ...headers,
      },
    })
    for (const line of response.headers.getSetCookie()) {
      setCookies.push(line)
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (/max-age=0/i.test(line)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return { status: response.status, headers: response.headers, text: await response.text(), path }
  }
  const get = (path: string, headers = {}) => ask('GET', path, undefined, headers)
  const follow = async (page: Page): Promise<Page> => {
    const location = page.headers.get('location')
    return page.status === 303 && location ? follow(await get(location)) : page
  }
  const post = (path: string, fields: Record<string, string>, headers = {}) =>
    ask('POST', path, new URLSearchParams(fields).toString(), headers)
  const submit = async (page: Page, action: string | RegExp, fields = {}) => {
    const forms = [...page.text.matchAll(/<form method="post" action="([^"]+)"[^>]*>(.*?)<\/form>/gs)]
    const [, path = '', inside = ''] =
      forms.find(([, target = '']) => (typeof action === 'string' ? target === action : action.test(target))) ?? []
    if (path === '') throw new Error(`no form to ${action} on ${page.path} (${page.status})`)
    const token = /name="token" value="([^"]+)"/.exec(inside)?.[1] ?? ''
    return follow(await post(path, { token, ...fields }))
  }
  return { get, submit, post, cookies, visited, setCookies }
}

/** From the link to the open letter, the way a person goes. */
export async function openLetter(world: World, browser: Browser, letter: Letter): Promise<Page> {
  const before = world.mailsTo(letter.address).length
  const landing = await browser.get(`/m/${letter.secret}`)
  const codePage = await browser.submit(landing, `/m/${letter.secret}`)
  return browser.submit(codePage, codePage.path, { code: await world.code(letter.address, before) })
}
