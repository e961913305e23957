/** `npm run demo`: a gateway, a fake internet on loopback and an inbox page that shows every mail and every decision. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { generateKey } from 'openpgp'
import type { Logger } from 'pino'
import { importKey } from '../methods/pgp/keys.ts'
import { systemClock } from '../ops/clock.ts'
import { createLog } from '../ops/log.ts'
import { defaultSettings, type Settings } from '../ops/settings.ts'
import { openDatabase } from '../store/open.ts'
import { createInbox } from './inbox.ts'
import { freePort, startInternet } from './internet.ts'
import { letterTo } from './letters.ts'
import { startInboxPage } from './page.ts'
import { organisation, people } from './people.ts'

export type DemoOptions = {
  /** Send to all at once, without a press. */
  readonly auto: boolean
  /** The inbox page's port; SMTP, portal and readiness take the next ones. Undefined: 8090, 2525, 8080, or free ones. */
  readonly portBase: number | undefined
}

type StartGateway = (settings: Settings, parts: { readonly log: Logger }) => Promise<{ readonly stop: (grace: number) => Promise<void> }>

export type Demo = {
  readonly url: string
  readonly settings: Settings
  readonly sendToAll: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Run the demo until a signal ends it; its data folder goes with it. */
export async function runDemo(options: DemoOptions, startGateway: StartGateway): Promise<void> {
  const demo = await startDemo(options, startGateway)
  process.stdout.write(
    `\nThe demo is ready: open ${demo.url}\n\nIt plays ${organisation.name} and ${people.length} recipients on this machine; no mail leaves it.\nPress "Send to all", watch what becomes of each message, and open the letters. Ctrl-C ends it.\n`,
  )
  if (options.auto) await demo.sendToAll()
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  await demo.stop()
}

/** Start everything; for tests as well. */
export async function startDemo({ portBase }: DemoOptions, startGateway: StartGateway): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-demo-'))
  const pia = await generateKey({ userIDs: [{ name: 'Pia Peters', email: 'pia@press.example' }] })
  const inbox = createInbox(pia.privateKey)
  const internet = await startInternet(inbox.take)
  const settings = await demoSettings(folder, internet, portBase)

  const db = await openDatabase(settings)
  const imported = { trust: 'direct', source: 'demo', replace: false, dryRun: false, now: systemClock(), actor: 'demo' } as const
  await importKey(db, Buffer.from(pia.publicKey), imported)
  const gateway = await startGateway(settings, { log: createLog({ 'log.level': 'warn' }) })

  const sendToAll = () => sendLetters(settings)
  const page = await startInboxPage({ db, inbox, settings, sendToAll, port: await port(portBase, 0, 8090) })
  return {
    url: page.url,
    settings,
    sendToAll,
    stop: async () => {
      await page.close()
      await gateway.stop(2000)
      await db.close()
      await internet.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function demoSettings(
  folder: string,
  internet: Awaited<ReturnType<typeof startInternet>>,
  base: number | undefined,
): Promise<Settings> {
  const ca = join(folder, 'demo-root.pem')
  await writeFile(ca, internet.ca)
  const portal = await port(base, 2, 8080)
  const at = (port: number) => ({ host: '127.0.0.1', port })
  return defaultSettings({
    hostname: `gate.${organisation.domain}`,
    'organisation.name': organisation.name,
    'organisation.domains': [organisation.domain],
    data: folder,
    database: `sqlite:${join(folder, 'letterlock.db')}`,
    blobs: `file:${join(folder, 'blobs')}`,
    keys: `file:${join(folder, 'keys')}`,
    'smtp.listen': [at(await port(base, 1, 2525))],
    'portal.listen': at(portal),
    'portal.url': `http://localhost:${portal}`,
    'admin.listen': at(await port(base, 3, 8081)),
    'metrics.listen': at(await port(base, 4, 9464)),
    'notice.from': `letters@${organisation.domain}`,
    'dns.servers': [internet.dns],
    'delivery.port': internet.port,
    'delivery.allowPrivateAddresses': true,
    'delivery.routes': { [organisation.domain]: { host: '127.0.0.1', port: internet.own.port, tls: 'none' } },
    'tls.ca': ca,
    // Shortened, and shown so on the page: an expired certificate is given an hour in real life.
    'retry.tls.soft': 15_000,
    'retry.schedule': [2000, 5000, 10_000],
  })
}

const port = (base: number | undefined, offset: number, usual: number): Promise<number> =>
  base === undefined ? freePort('127.0.0.1', usual) : Promise.resolve(base + offset)

/** One message to each person, and one to two of them that go different ways. */
async function sendLetters(settings: Settings): Promise<void> {
  const at = settings['smtp.listen'][0]
  if (at === undefined) return
  const client = createTransport({ host: at.host, port: at.port, tls: { rejectUnauthorized: false } })
  try {
    for (const person of people) await client.sendMail(letterTo([person]))
    await client.sendMail(letterTo(people.slice(0, 2)))
  } finally {
    client.close()
  }
}
