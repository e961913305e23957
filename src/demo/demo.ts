/** `npm run demo`: a gateway, a fake internet on loopback and an inbox page that shows every mail and every decision. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { generateKey } from 'openpgp'
import type { Logger } from 'pino'
import { methods } from '../methods/index.ts'
import { importKey } from '../methods/pgp/keys.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { createLog } from '../ops/log.ts'
import { defaultSettings, pathOf, type Settings } from '../ops/settings.ts'
import { policyStore } from '../routing/store.ts'
import { openSigner } from '../seal/signer.ts'
import { openDatabase } from '../store/open.ts'
import { createInbox } from './inbox.ts'
import { type Internet, startInternet } from './internet.ts'
import { letterTo } from './letters.ts'
import { narrate, opening } from './narrate.ts'
import { type Outcome, readOutcomes } from './outcomes.ts'
import { startInboxPage } from './page.ts'
import { organisation, people } from './people.ts'
import { freePort } from './ports.ts'
import { shortened } from './timings.ts'

export type DemoOptions = {
  /** Send to all at once, without a press. */
  readonly auto: boolean
  /** The inbox page's port; SMTP, portal and readiness take the next ones. Undefined: 8090, 2525, 8080; 0: free ones. A taken one becomes a free one. */
  readonly portBase: number | undefined
}

type StartGateway = (settings: Settings, parts: { readonly log: Logger }) => Promise<{ readonly stop: (grace: number) => Promise<void> }>

export type Demo = {
  readonly url: string
  readonly settings: Settings
  readonly outcomes: () => Promise<readonly Outcome[]>
  readonly sendToAll: () => Promise<void>
  /** Close everything and delete the data folder. */
  readonly stop: () => Promise<void>
}

/** Run the demo until a signal ends it; its data folder goes with it. */
export async function runDemo(options: DemoOptions, startGateway: StartGateway): Promise<void> {
  const say = (text: string) => void process.stdout.write(`${text}\n`)
  // From the first moment on: who stops it while it starts is not left with its folder.
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  const demo = await startDemo(options, startGateway)
  say(opening(demo))
  const silence = narrate(demo.outcomes, say)
  if (options.auto) await demo.sendToAll().catch((error) => say(`Not everything could be sent: ${sentence(error)}`))
  await ended
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))
  await silence()
  await demo.stop()
  say('\nThe demo has ended, and its mail is deleted.')
}

const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Start everything; for tests as well. Throws CommandError with a sentence when something it needs is missing. */
export async function startDemo({ portBase }: DemoOptions, startGateway: StartGateway): Promise<Demo> {
  if (portBase !== undefined && !(Number.isInteger(portBase) && portBase >= 0 && portBase <= 65_000))
    throw new CommandError('usage', '--port must be a number from 0 (any free port) to 65000')
  const closers: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return await compose(portBase, startGateway, (close) => closers.push(close), stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function compose(
  portBase: number | undefined,
  startGateway: StartGateway,
  atEnd: (close: () => Promise<unknown>) => void,
  stop: () => Promise<void>,
): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-demo-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  const pia = await generateKey({ userIDs: [{ name: 'Pia Peters', email: 'pia@press.example' }] })
  const inbox = createInbox(pia.privateKey)
  const internet = await startInternet(inbox.take)
  atEnd(() => internet.close())
  await writeFile(join(folder, 'demo-root.pem'), internet.ca)

  const db = await openDatabase(storage(folder))
  atEnd(() => db.close())
  const imported = { trust: 'direct', source: 'demo', replace: false, dryRun: false, now: systemClock(), actor: 'demo' } as const
  await importKey(db, Buffer.from(pia.publicKey), imported)
  const { settings, gateway } = await startSomewhere(folder, internet, portBase, startGateway)
  atEnd(() => gateway.stop(2000))

  const signer = await openSigner(pathOf(settings.keys))
  const outcomes = () => readOutcomes({ db, policies: policyStore({ db, clock: systemClock, methods, signer, settings }) })
  const sendToAll = () => sendLetters(settings)
  const page = await startInboxPage({ outcomes, inbox, settings, sendToAll, port: await port(portBase, 0, 8090) })
  atEnd(() => page.close())
  return { url: page.url, settings, outcomes, sendToAll, stop }
}

const mostTries = 5

/** Another demo may take a port between our look and our listening: then free ones are drawn. */
async function startSomewhere(folder: string, internet: Internet, portBase: number | undefined, startGateway: StartGateway) {
  for (let tries = 1; ; tries++) {
    const settings = await demoSettings(folder, internet, tries === 1 ? portBase : 0)
    try {
      return { settings, gateway: await startGateway(settings, { log: createLog({ 'log.level': 'error' }) }) }
    } catch (error) {
      if (!(error instanceof CommandError && error.code === 'unavailable') || tries === mostTries) throw error
    }
  }
}

const storage = (folder: string) => ({
  data: folder,
  database: `sqlite:${join(folder, 'letterlock.db')}`,
  blobs: `file:${join(folder, 'blobs')}`,
  keys: `file:${join(folder, 'keys')}`,
})

async function demoSettings(folder: string, internet: Internet, base: number | undefined): Promise<Settings> {
  const portal = await port(base, 2, 8080)
  const at = (port: number) => ({ host: '127.0.0.1', port })
  return defaultSettings({
    ...storage(folder),
    ...shortened,
    hostname: `gate.${organisation.domain}`,
    'organisation.name': organisation.name,
    'organisation.domains': [organisation.domain],
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
    'tls.ca': join(folder, 'demo-root.pem'),
  })
}

const port = (base: number | undefined, offset: number, usual: number): Promise<number> =>
  freePort('127.0.0.1', base === undefined ? usual : base === 0 ? 0 : base + offset)

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
