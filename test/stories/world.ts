/** A small world for the stories: a real gateway with its own data folder, a DNS zone and next hops on loopback, and a real SMTP client. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport, type SendMailOptions } from 'nodemailer'
import { pino } from 'pino'
import { findMessages, type MessageTrace } from '../../src/delivery/trace.ts'
import { type Authority, createAuthority, type Leaf, selfSigned } from '../../src/demo/authority.ts'
import { type FakeDns, startFakeDns } from '../../src/demo/fake-dns.ts'
import { freePort } from '../../src/demo/internet.ts'
import { type Manner, type Partner, type PartnerMail, startPartner } from '../../src/demo/partner.ts'
import { type Gateway, startGateway } from '../../src/gateway.ts'
import { methods } from '../../src/methods/index.ts'
import { type Clock, systemClock } from '../../src/ops/clock.ts'
import { defaultSettings, pathOf, type Settings } from '../../src/ops/settings.ts'
import { policyStore } from '../../src/routing/store.ts'
import { openSigner } from '../../src/seal/signer.ts'
import type { Db } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { eventually } from '../world/eventually.ts'
import { type Postgres, startPostgres } from '../world/postgres.ts'

export { eventually }

/** With STORY_DATABASE=postgres every story keeps its rows in a database of its own on a real PostgreSQL, one server a test process. */
const onPostgres = process.env.STORY_DATABASE === 'postgres'
let server: Promise<Postgres> | undefined
const storyDatabase = async (folder: string): Promise<string> => {
  if (!onPostgres) return `sqlite:${join(folder, 'data', 'letterlock.db')}`
  server ??= startPostgres()
  return (await server).makeDatabase()
}

/** How a domain of the world receives mail. `manner` is asked when the certificate of `mx.<domain>` is known. */
export type Domain = {
  readonly certificate?: 'verified' | 'self-signed' | 'expired' | 'wrong-name' | 'none'
  readonly manner?: Manner
}

export type World = {
  readonly settings: Settings
  readonly db: Db
  readonly gateway: () => Gateway
  readonly dns: FakeDns
  readonly partners: { readonly [domain: string]: Partner }
  readonly certificates: Peers['certificates']
  /** The organisation's own server, org.example. */
  readonly own: Partner
  /** Submit by a real client; the id of "queued as". */
  readonly send: (mail: SendMailOptions) => Promise<string>
  /** Wait until every recipient of the message is past waiting (or `until` says so). */
  readonly settled: (id: string, until?: (message: MessageTrace) => boolean) => Promise<MessageTrace>
  /** Wait for a mail at a partner or the organisation's server. */
  readonly arrival: (at: Partner, which?: (mail: PartnerMail) => boolean) => Promise<PartnerMail>
  readonly applyPolicy: (text: string) => Promise<void>
  readonly restart: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Start a world with these domains (`lab.example` …); its organisation is org.example. */
export async function startWorld(
  domains: { readonly [domain: string]: Domain },
  overrides: Partial<Settings> = {},
  clock: Clock = systemClock,
): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-story-'))
  const peers = await startPeers(folder, domains, overrides)
  const { settings, dns, partners, own, certificates } = peers
  const closePeers = async () => {
    await peers.close()
    await rm(folder, { recursive: true, force: true })
  }
  const log = pino({ level: process.env.STORY_LOG ?? 'silent' })
  const db = await openDatabase(settings)
  let gateway = await startGateway(settings, { log, clock }).catch(async (error) => {
    await db.close()
    await closePeers()
    throw error
  })
  return {
    settings,
    db,
    gateway: () => gateway,
    dns,
    partners,
    certificates,
    own,
    send: (mail) => submit(gateway, mail),
    settled: (id, until = (message) => message.recipients.every(({ state }) => state !== 'waiting' && state !== 'letter-waiting')) =>
      eventually(
        `message ${id} to settle`,
        async () => (await findMessages(db, id)).find(until),
        async () => JSON.stringify(await findMessages(db, id)),
      ),
    arrival: (at, which = () => true) =>
      eventually(
        'a mail to arrive',
        async () => at.mails.find(which),
        async () => `${at.mails.length} mails`,
      ),
    applyPolicy: async (text) => {
      const applied = await policyStore({
        db,
        clock: systemClock,
        methods,
        signer: await openSigner(pathOf(settings.keys)),
        settings,
      }).apply(text, {
        by: 'test',
        comment: '',
      })
      if (applied.kind === 'errors') throw new Error(JSON.stringify(applied.problems))
    },
    restart: async () => {
      await gateway.stop(1000)
      gateway = await startGateway(settings, { log, clock })
    },
    close: async () => {
      await gateway.stop(1000)
      await db.close()
      await closePeers()
    },
  }
}

export type Peers = Pick<World, 'settings' | 'dns' | 'partners' | 'own'> & {
  /** What each domain's host shows, also for a manner that replaces its first one. */
  readonly certificates: { readonly [domain: string]: Leaf | undefined }
  readonly close: () => Promise<void>
}

/** The peers alone, and settings that reach them: for stories that run the gateway as a process of its own. */
export async function startPeers(
  folder: string,
  domains: { readonly [domain: string]: Domain },
  overrides: Partial<Settings> = {},
): Promise<Peers> {
  const authority = await createAuthority('Story Root')
  const port = await freePort('127.0.0.1')
  const dns = await startFakeDns()
  const partners: { [domain: string]: Partner } = {}
  const certificates: { [domain: string]: Leaf | undefined } = {}
  for (const [index, [domain, { certificate = 'verified', manner = {} }]] of Object.entries(domains).entries()) {
    const [hostname, host] = [`mx.${domain}`, `127.0.0.${21 + index}`]
    const tls = await certificateFor(certificate, hostname, authority)
    certificates[domain] = tls
    partners[domain] = await startPartner({ hostname, ...(tls && { tls }), ...manner }, { host, port })
    dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: hostname } }] })
    dns.set(hostname, { records: [{ type: 'A', data: host }] })
  }
  const own = await startPartner({ hostname: 'mail.org.example' })
  await writeFile(join(folder, 'root.pem'), authority.cert)
  const at = async () => ({ host: '127.0.0.1', port: await freePort('127.0.0.1') })
  const portal = await at()
  const settings = defaultSettings({
    // Mail of some size lies in blob files, so that these are tried as well.
    'limits.inlineContent': 64 * 1024,
    hostname: 'gate.org.example',
    'organisation.name': 'Org',
    'organisation.domains': ['org.example'],
    data: join(folder, 'data'),
    database: await storyDatabase(folder),
    blobs: `file:${join(folder, 'data', 'blobs')}`,
    keys: `file:${join(folder, 'data', 'keys')}`,
    'smtp.listen': [await at()],
    'portal.listen': portal,
    'portal.url': `http://localhost:${portal.port}`,
    'admin.listen': await at(),
    'metrics.listen': await at(),
    'notice.from': 'letters@org.example',
    'dns.servers': [dns.address],
    'delivery.port': port,
    'delivery.allowPrivateAddresses': true,
    'delivery.routes': { 'org.example': { host: '127.0.0.1', port: own.port, tls: 'none' } },
    'tls.ca': join(folder, 'root.pem'),
    'retry.schedule': [200, 400],
    'retry.tls.soft': 1500,
    ...overrides,
  })
  const close = async () =>
    void (await Promise.all([dns.close(), own.close(), ...Object.values(partners).map((partner) => partner.close())]))
  return { settings, dns, partners, own, certificates, close }
}

async function certificateFor(kind: NonNullable<Domain['certificate']>, hostname: string, authority: Authority) {
  const day = 86_400_000
  switch (kind) {
    case 'none':
      return undefined
    case 'verified':
      return authority.issue([hostname])
    case 'self-signed':
      return selfSigned([hostname])
    case 'wrong-name':
      return authority.issue([`elsewhere.${hostname}`])
    case 'expired':
      return authority.issue([hostname], { notBefore: new Date(Date.now() - 100 * day), notAfter: new Date(Date.now() - 9 * day) })
  }
}

async function submit(gateway: Gateway, mail: SendMailOptions): Promise<string> {
  const at = gateway.smtp[0]
  const client = createTransport({ host: at?.host, port: at?.port, tls: { rejectUnauthorized: false } })
  try {
    const { response } = await client.sendMail(mail)
    const id = /^250 2\.0\.0 queued as (\S+)$/.exec(response)?.[1]
    if (id === undefined) throw new Error(`the reply names no id: ${response}`)
    return id
  } finally {
    client.close()
  }
}
