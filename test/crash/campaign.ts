/** One campaign of kills: a gateway under load dies at failpoints and at random moments, again and again, and is judged at the end. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Failpoint } from '../../src/ops/failpoint.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { operate } from '../../src/spool/queue.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { type Domain, startPeers } from '../stories/world.ts'
import { type GatewayProcess, lookOnly, prepareGateway } from './gateway.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { startLoad } from './load.ts'
import { createMails } from './mails.ts'
import { type Judgement, judge, soundness } from './oracle.ts'

/** Where a process is to die; `n`: the n-th time it passes; `after`: so many messages were accepted. */
export type Kill =
  | { readonly at: Failpoint; readonly n: number }
  | { readonly at: 'random'; readonly after: number }
  | { readonly at: 'random while starting' }

export type SoFar = { readonly kills: number; readonly accepted: number }

export type CampaignReport = {
  readonly judgement: Judgement
  /** Recipients that were held because three processes in a row had died while they were attempted; they were released in the end. */
  readonly quarantined: number
  /** Of the stored form, after the last start. */
  readonly faults: readonly string[]
  /** By the point; a point that was not passed in time is counted under `random`. */
  readonly kills: ReadonlyMap<string, number>
  /** Milliseconds from the start of the process to its answer to EHLO, one for each start that came so far. */
  readonly starts: readonly number[]
  readonly sent: { readonly [fate: string]: number }
  /** Milliseconds. */
  readonly took: number
}

export type CampaignOptions = {
  readonly folder: string
  /** The kills in order; asked until it says undefined. */
  readonly next: (sofar: SoFar) => Kill | undefined
  readonly connections: number
  /** How long a process may live, milliseconds: a point not passed until then is given up. Generous: a busy machine takes its time. */
  readonly longest: number
  readonly progress?: (sofar: SoFar) => void
}

/** Every fourth recipient, and every tenth message, is told to come again. */
function moody(): NonNullable<Domain['manner']> {
  let [recipients, messages] = [0, 0]
  return {
    script: (verb) => {
      if (verb === 'RCPT' && ++recipients % 4 === 0) return '451 4.2.1 come again'
      if (verb === 'DOT' && ++messages % 10 === 0) return '451 4.3.0 not just now'
      return undefined
    },
  }
}

/** Domains of every manner: good TLS, none (letters), refusing (bounces), moody (waiting). */
const domains = (): { readonly [domain: string]: Domain } => ({
  'one.example': {},
  'two.example': {},
  'clear.example': { certificate: 'none' },
  'shut.example': { manner: { script: (verb) => (verb === 'RCPT' ? '550 5.1.1 nobody of that name' : undefined) } },
  'moody.example': { manner: moody() },
})
const weights = { 'one.example': 40, 'two.example': 30, 'clear.example': 10, 'shut.example': 8, 'moody.example': 12 }
const sizes = { 500: 30, 4000: 40, 20000: 20, 50000: 5, 100000: 4, 300000: 1 }

/** Mail accepted and not yet arrived, at most; else a queue would grow from kill to kill. */
const mostBehind = 300

/** Run it. Rejects when the gateway ends by itself, cannot be started, or does not drain. */
export async function runCampaign({ folder, next, connections, longest, progress }: CampaignOptions): Promise<CampaignReport> {
  const begun = performance.now()
  const peers = await startPeers(folder, domains(), { 'retry.schedule': [1000, 1000, 1000] })
  // So that a good part of the mail becomes blobs.
  const gateway = await prepareGateway(folder, peers.settings, { limits: { inlineContent: '64KiB' } })
  const ledger = createLedger()
  const all = [peers.own, ...Object.values(peers.partners)]
  const collect = () => {
    for (const partner of all) {
      for (const mail of partner.mails.splice(0)) ledger.note(mail)
      partner.lines.length = 0
    }
    peers.dns.queries.length = 0
  }
  const collecting = setInterval(collect, 50)
  let accepted = 0
  const mails = createMails({ run: 'kill', domains: weights, sizes })
  const load = startLoad({
    at: () => gateway.at,
    connections,
    ledger,
    next: () => (accepted - ledger.heardOf.size < mostBehind ? mails() : undefined),
    accepted: () => {
      accepted += 1
    },
  })
  const kills = new Map<string, number>()
  const starts: number[] = []
  let [count, quarantined, visit] = [0, 0, 25]
  /** Seldom, for a second connection to the database may spare the next start a part of what the kill leaves. */
  const operator = async () => {
    if (count < visit) return
    visit = count + 25
    quarantined += await releaseAll(peers.settings)
  }
  try {
    for (let kill = next({ kills: 0, accepted }); kill !== undefined; kill = next({ kills: count, accepted })) {
      const { ended, point, start } = await live(gateway, kill, { longest, accepted: () => accepted, operator })
      if (start !== undefined) starts.push(start)
      if (ended !== 'SIGKILL') throw new Error(`the gateway ended by itself (${ended}), before ${kill.at}: ${gateway.said().slice(-4000)}`)
      kills.set(point, (kills.get(point) ?? 0) + 1)
      count += 1
      await lookOnly(peers.settings, (db) => ledger.noteInFlight(db))
      progress?.({ kills: count, accepted })
    }
    load.hold(true)
    const start = await gateway.start()
    if (start === undefined) throw new Error(`the gateway does not start any more: ${gateway.said()}`)
    starts.push(start)
    await load.stop()
    quarantined += await settle(peers.settings)
    const judged = await restartAndJudge(gateway, ledger, peers.settings, collect)
    return { ...judged, quarantined, kills, starts, sent: fates(ledger), took: performance.now() - begun }
  } finally {
    clearInterval(collecting)
    gateway.kill()
    await load.stop()
    await peers.close()
  }
}

/** One life of the process: started, under load, ended at the point or, when that is not passed in time, at any moment. */
async function live(
  gateway: GatewayProcess,
  kill: Kill,
  { longest, accepted, operator }: { readonly longest: number; readonly accepted: () => number; readonly operator: () => Promise<void> },
) {
  const failpoint = 'n' in kill ? `${kill.at}:${kill.n}` : undefined
  if (kill.at === 'random while starting') setTimeout(gateway.kill, Math.random() * 700)
  const start = await gateway.start(failpoint)
  if (failpoint === undefined && start !== undefined) await operator()
  const from = accepted()
  // What a start passes was passed by now, or there was nothing to do. On a busy machine messages take their time.
  const patience = kill.at.startsWith('start.') ? 0 : kill.at === 'random' ? 5 * longest : longest
  const until = performance.now() + patience
  const isOver = () => performance.now() > until || (kill.at === 'random' && accepted() - from >= kill.after)
  while (gateway.running() && !isOver()) await pause(5)
  const missed = gateway.running()
  gateway.kill()
  return { ended: await gateway.ended(), point: missed && kill.at !== 'random' ? `${kill.at}, not passed in time` : kill.at, start }
}

/** Let the queue empty itself, what is held as well. Returns how many were held. */
async function settle(settings: Settings): Promise<number> {
  const db = await openDatabase(settings)
  try {
    await drained(db)
    const held = await release(db)
    await drained(db)
    return held
  } finally {
    await db.close()
  }
}

/** Start once more, so that what a kill left is swept, and look. */
async function restartAndJudge(gateway: GatewayProcess, ledger: Ledger, settings: Settings, collect: () => void) {
  const stopped = await gateway.stop()
  if ((await gateway.start()) === undefined) throw new Error(`the gateway does not start any more: ${gateway.said()}`)
  await gateway.stop()
  collect()
  const db = await openDatabase(settings)
  try {
    const stored = { db, blobs: openBlobs(pathOf(settings.blobs)) }
    const faults = await soundness(stored, { swept: true })
    if (stopped !== 0) faults.push(`SIGTERM ended it with ${stopped}`)
    return { judgement: await judge(ledger, stored), faults }
  } finally {
    await db.close()
  }
}

async function releaseAll(settings: Settings): Promise<number> {
  const db = await openDatabase(settings)
  try {
    return await release(db)
  } finally {
    await db.close()
  }
}

/** What an operator does once the cause of the crashes is mended. Returns how many recipients were held. */
async function release(db: Db): Promise<number> {
  const held = await db.read<{ id: string }>(sql`SELECT id FROM recipient WHERE state = 'held' AND reason = 'attempt-crashed'`)
  const by = { actor: 'cli:test', now: Date.now(), dryRun: false }
  for (const { id } of held) await operate(db, 'release', { kind: 'id', id }, by)
  return held.length
}

/** Nothing waits any more. */
async function drained(db: Db): Promise<void> {
  const end = performance.now() + 600_000
  for (;;) {
    const [row] = await db.read<{ number: number }>(sql`SELECT COUNT(*) AS number FROM recipient WHERE state = 'waiting'`)
    if (row?.number === 0) return
    if (performance.now() > end) throw new Error(`${row?.number} recipients still wait after ten minutes without a kill`)
    await pause(250)
  }
}

function fates(ledger: Ledger): { [fate: string]: number } {
  const counts: { [fate: string]: number } = {}
  for (const { fate } of ledger.sent.values()) counts[fate] = (counts[fate] ?? 0) + 1
  return counts
}
