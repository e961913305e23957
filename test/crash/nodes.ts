/** Several gateways on one PostgreSQL and one folder of blobs, stopped, killed and left without their database under load. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../../src/demo/internet.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { operate } from '../../src/spool/queue.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { startPeers } from '../stories/world.ts'
import type { Postgres } from '../world/postgres.ts'
import { type GatewayProcess, prepareGateway } from './gateway.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { startLoad } from './load.ts'
import { createMails } from './mails.ts'
import { type Judgement, judge, soundness } from './oracle.ts'

/** What befalls the nodes: one is killed, one is stopped for longer than a claim holds, or the database crashes. */
export type Fault = 'kill' | 'stop' | 'database'

export type NodesOptions = {
  readonly folder: string
  readonly server: Postgres
  /** How many gateways share the database. */
  readonly nodes: number
  readonly faults: readonly Fault[]
  readonly connections: number
  /** How long a claim holds, milliseconds: longer than the others wait for a node that is stopped in the middle of a write. */
  readonly claim: number
  readonly progress?: (text: string) => void
}

export type NodesReport = {
  readonly judgement: Judgement
  readonly faults: readonly string[]
  /** Recipients that each node delivered, bounced or sealed. */
  readonly refusals: ReadonlyMap<string, number>
  readonly took: number
}

const domains = {
  'one.example': {},
  'two.example': {},
  'clear.example': { certificate: 'none' },
  'shut.example': { manner: { script: (verb: string) => (verb === 'RCPT' ? '550 5.1.1 nobody of that name' : undefined) } },
} as const
const weights = { 'one.example': 45, 'two.example': 35, 'clear.example': 10, 'shut.example': 10 }
const sizes = { 500: 30, 4000: 40, 20000: 20, 100000: 9, 300000: 1 }
/** Mail accepted and not yet arrived, at most. */
const mostBehind = 300

/** Run it. Rejects when a node ends by itself or cannot be started. */
export async function runNodes({ folder, server, nodes, faults, connections, claim, progress }: NodesOptions): Promise<NodesReport> {
  const begun = performance.now()
  const peers = await startPeers(folder, domains, { 'retry.schedule': [1000, 1000, 1000], database: await server.makeDatabase() })
  const gateways = await Promise.all(Array.from({ length: nodes }, (_, number) => node(folder, peers.settings, number, claim)))
  const ledger = createLedger()
  const all = [peers.own, ...Object.values(peers.partners)]
  const collect = () => {
    for (const partner of all) {
      for (const mail of partner.mails.splice(0)) ledger.note(mail)
      partner.lines.length = 0
    }
  }
  const collecting = setInterval(collect, 50)
  let [turn, accepted] = [0, 0]
  const refusals = new Map<string, number>()
  const mails = createMails({ run: 'nodes', domains: weights, sizes })
  await start(gateways)
  const db = await openDatabase(peers.settings)
  const load = startLoad({
    at: () => gateways[turn++ % nodes]?.at ?? { host: '127.0.0.1', port: 1 },
    connections,
    ledger,
    next: () => (accepted - ledger.heardOf.size < mostBehind ? mails() : undefined),
    accepted: () => {
      accepted += 1
    },
    refused: (reply) => void refusals.set(reply.slice(0, 9), (refusals.get(reply.slice(0, 9)) ?? 0) + 1),
  })
  try {
    for (const [index, fault] of faults.entries()) {
      const [gateway, before] = [gateways[index % nodes], accepted]
      if (gateway) await befall(fault, gateway, { server, db, ledger, claim })
      // Those left have gone on meanwhile, or go on now.
      await until(() => accepted > before, `mail to be accepted after ${fault}`)
      for (const one of gateways) if (!one.running()) throw new Error(`a node ended by itself after ${fault}: ${one.said().slice(-3000)}`)
      progress?.(`${index + 1} ${fault}: ${accepted} accepted`)
    }
    load.hold(true)
    await drained(db)
    await load.stop()
    const codes = await Promise.all(gateways.map((one) => one.stop()))
    collect()
    const stored = { db, blobs: openBlobs(pathOf(peers.settings.blobs)) }
    const wrong = await soundness(stored, { engine: 'postgres' })
    for (const code of codes) if (code !== 0) wrong.push(`SIGTERM ended a node with ${code}`)
    return { judgement: await judge(ledger, stored), faults: wrong, refusals, took: performance.now() - begun }
  } finally {
    clearInterval(collecting)
    for (const one of gateways) one.kill()
    await load.stop()
    await db.close()
    await peers.close()
  }
}

/** A gateway of its own with its own data folder and addresses; database, blobs and keys are those of all. */
async function node(folder: string, settings: Settings, number: number, claim: number): Promise<GatewayProcess> {
  const place = join(folder, `node-${number}`)
  await mkdir(place)
  // An address of its own: nobody else's connection takes a port there before the node listens.
  const host = `127.0.1.${10 + number}`
  const at = async () => ({ host, port: await freePort(host) })
  const own = { 'smtp.listen': [await at()], 'portal.listen': await at(), 'admin.listen': await at(), 'metrics.listen': await at() }
  return prepareGateway(
    place,
    { ...settings, ...own, data: join(place, 'data') },
    { limits: { claim: `${claim}ms`, databasePatience: `${claim / 2}ms` } },
  )
}

async function start(gateways: readonly GatewayProcess[]): Promise<void> {
  for (const gateway of gateways) if ((await gateway.start()) === undefined) throw new Error(`a node does not start: ${gateway.said()}`)
}

type Place = { readonly server: Postgres; readonly db: Db; readonly ledger: Ledger; readonly claim: number }

/** A commit that the node has sent is still carried out by the server: it may claim something. */
const lastCommit = 1000

/** Whatever is claimed at that moment may come twice. */
async function befall(fault: Fault, gateway: GatewayProcess, { server, db, ledger, claim }: Place): Promise<void> {
  await pause(500 + Math.random() * 1000)
  switch (fault) {
    case 'kill':
      gateway.kill()
      await gateway.ended()
      await pause(lastCommit)
      await ledger.noteInFlight(db)
      await start([gateway])
      return
    case 'stop':
      gateway.signal('SIGSTOP')
      await pause(lastCommit)
      await ledger.noteInFlight(db)
      await pause(claim + 1000)
      gateway.signal('SIGCONT')
      return
    case 'database':
      await ledger.noteInFlight(db)
      await server.stop('immediate')
      await pause(300)
      await server.start()
      // What was claimed between the look and the crash.
      await ledger.noteInFlight(db)
  }
}

/** Nothing waits any more; what was held because its claim was lost too often is released, as an operator would. */
async function drained(db: Db): Promise<void> {
  const waiting = async () => {
    const [row] = await db.read<{ number: number }>(sql`SELECT COUNT(*) AS number FROM recipient WHERE state = 'waiting'`)
    return row?.number ?? 0
  }
  await until(async () => (await waiting()) === 0, 'the queue to empty itself')
  const held = await db.read<{ id: string }>(sql`SELECT id FROM recipient WHERE state = 'held'`)
  const by = { actor: 'cli:test', now: Date.now(), dryRun: false }
  for (const { id } of held) await operate(db, 'release', { kind: 'id', id }, by)
  await until(async () => (await waiting()) === 0, 'what was held to go')
}

async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 180_000; !(await done()); await pause(100)) {
    if (performance.now() > end) throw new Error(`waited three minutes for ${what}`)
  }
}
