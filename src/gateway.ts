/** Puts a gateway together from its settings, starts it and stops it again in reverse order. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { startSequencer } from './audit/audit.ts'
import { watchChain } from './audit/watch.ts'
import { deliverGroup, foresee } from './delivery/deliver.ts'
import { openForesight } from './delivery/foresight.ts'
import { createPlanner } from './delivery/planner.ts'
import { startWorker } from './delivery/worker.ts'
import { createDetect } from './detect/detect.ts'
import { createVault } from './methods/escrow/vault.ts'
import { buildMethods, type MethodName, methods } from './methods/index.ts'
import { readFigures } from './monitor/figures.ts'
import { startProbes } from './monitor/probes.ts'
import { type Certificate, firstCertificate } from './ops/certificate.ts'
import { type Clock, systemClock } from './ops/clock.ts'
import { watchClock } from './ops/clock-watch.ts'
import { type Closers, createClosers } from './ops/closers.ts'
import { CommandError } from './ops/errors.ts'
import { startHealth } from './ops/health.ts'
import { createMetrics } from './ops/metrics.ts'
import { pathOf, type Settings } from './ops/settings.ts'
import { policyTags } from './routing/asked.ts'
import { createExaminer } from './routing/examiner.ts'
import { signFormer } from './routing/former.ts'
import { describeProblem } from './routing/problem.ts'
import { PolicyAltered } from './routing/signature.ts'
import { type PolicyStore, policyStore } from './routing/store.ts'
import { openDkimKeys } from './seal/dkim-keys.ts'
import { openKeyring } from './seal/keyring.ts'
import { refuseLostBlobs, refuseLostKeys, refuseStrangers } from './spool/belonging.ts'
import { keepEpochs } from './spool/epochs.ts'
import { lastSeen, noteTime } from './spool/last-seen.ts'
import type { SpoolParts } from './spool/parts.ts'
import { createSpool } from './spool/spool.ts'
import { sweepBlobs } from './spool/sweep.ts'
import { openBlobs } from './store/blobs-fs.ts'
import { openLease } from './store/lease.ts'
import { openDatabase } from './store/open.ts'
import { takeServingLock } from './store/serving-lock.ts'
import { opening, sqliteTrouble } from './store/trouble.ts'
import { roomTrouble } from './submission/room.ts'
import { createSubmission } from './submission/submission.ts'
import { createUsers } from './submission/users.ts'
import { createDestinations } from './transport/destinations.ts'
import { signing } from './transport/signing.ts'
import { createTransport } from './transport/transport.ts'
import { startAdmin } from './web/api/server.ts'
import { createPortal } from './web/portal/portal.ts'

export type Gateway = {
  /** Where things listen, in lines for a person. */
  readonly greeting: readonly string[]
  readonly smtp: readonly { readonly host: string; readonly port: number }[]
  readonly portal: { readonly host: string; readonly port: number }
  /** Read certificate and policy file again (SIGHUP); what is wrong with them is logged or thrown, and the old ones stay. */
  readonly reload: () => Promise<void>
  /** Take nothing more in, finish what is under way for at most `grace` milliseconds, close. */
  readonly stop: (grace: number) => Promise<void>
}

const hour = 3_600_000
/** How long one of several processes keeps to itself what only one should do, milliseconds. */
const leaseLength = 10_000

/** Start a gateway. Throws CommandError (69) with a sentence when something it needs is missing or taken. */
export async function startGateway(
  settings: Settings,
  { log, clock = systemClock }: { readonly log: Logger; readonly clock?: Clock },
): Promise<Gateway> {
  const closers = createClosers(log)
  try {
    return await compose(settings, log, clock, closers)
  } catch (error) {
    await closers.close()
    throw sqliteTrouble(pathOf(settings.database), error)
  }
}

async function compose(settings: Settings, log: Logger, clock: Clock, { add: atEnd, close: closeAll }: Closers): Promise<Gateway> {
  atEnd('serving lock', await lockData(settings))

  const db = await openDatabase(settings, { serving: true })
  atEnd('database', () => db.close())
  const lease = (name: string) => {
    const held = openLease(db, name, { clock, length: leaseLength })
    atEnd(`lease ${name}`, held.release)
    return held
  }
  await refuseLostKeys(db, settings)
  await refuseLostBlobs(db, settings)
  const inKeys = <T>(work: () => Promise<T>) => opening(`the folder of keys ${pathOf(settings.keys)}`, work)
  const keyring = await inKeys(() => openKeyring(pathOf(settings.keys), clock))
  atEnd('keyring', () => keyring.close())
  const blobs = await opening(`the folder of blobs ${pathOf(settings.blobs)}`, () => openBlobs(pathOf(settings.blobs)))
  const spoolParts: SpoolParts = { db, blobs, keyring, clock, settings }
  await inKeys(() => refuseStrangers(spoolParts)) // before anything is swept or destroyed
  const epochs = await inKeys(() => keepEpochs(spoolParts, { alone: settings.database.startsWith('sqlite:'), log }))
  atEnd('epoch keys', () => epochs.stop())
  await sweepBlobs(spoolParts)
  const spool = createSpool(spoolParts)

  await signFormer(db, keyring, pathOf(settings.keys), clock)
  const { examine, read, close: endExaminer } = createExaminer({ methods, settings, clock })
  atEnd('policy examiner', endExaminer)
  const policies = policyStore({ db, clock, methods, signer: keyring, settings, examine, read })
  await applyPolicyFile(policies, settings, log)
  await policies.ensureDefault().catch((error: unknown) => {
    // The mail that is to be planned by it is held, all other mail flows: better than a gateway that does not start.
    if (!(error instanceof PolicyAltered)) throw error
    log.error(error.message)
  })

  const { held: chains } = lease('audit')
  const sequencer = startSequencer(db, {
    failed: (error) => log.error({ err: error }, 'the audit chain could not be continued'),
    mine: chains,
  })
  atEnd('audit sequencer', () => sequencer.stop())
  const chain = watchChain(db, {
    mine: chains,
    broken: (text) => log.error(`the audit chain is broken: ${text}`),
    failed: (error) => log.error({ err: error }, 'the audit chain could not be checked'),
  })
  atEnd('audit check', () => chain.stop())
  const dkimKeys = openDkimKeys(pathOf(settings.keys), (text) => log.error(text))
  const tags = async () => policyTags((await policies.current()).policy)
  const destinations = createDestinations(settings, clock)
  const transport = signing(createTransport({ settings, db, clock, log, destinations }), { keys: dkimKeys, tags, settings, clock, log })
  atEnd('transport', () => transport.close())
  const parts = { settings, transport, spool, db, keyring, clock, log }
  const built = buildMethods(parts)
  const detect = createDetect()
  atEnd('detectors', () => detect.close())
  const time = watchClock({ clock, log, lastKnown: await lastSeen(db) })
  const metrics = createMetrics({
    engine: db.engine.name,
    figures: () => readFigures(db, clock()),
    standing: async () => ({ ready: (await ready()) === undefined, chainSound: chain.sound() }),
  })
  const delivery = {
    clockBelieved: time.believed,
    timed: metrics.delivered,
    ...{ spoolParts, spool, settings, clock, log },
    planFor: createPlanner({ policyOf: async (revision) => (await policyOf(policies, revision)).policy, detect, log }),
    attemptStep: (step: { method: string; options: unknown }, attempt: object) => {
      const name = step.method as MethodName
      return built[name].attempt({ ...attempt, options: methods[name].options.parse(step.options) } as Parameters<
        (typeof built)[MethodName]['attempt']
      >[0])
    },
  }
  const foresight = await opening(`the data folder ${settings.data}`, async () =>
    openForesight(join(settings.data, 'planning-ahead'), () =>
      log.warn('the run before ended over mail that was just coming in; until the next start mail is planned only once it is accepted'),
    ),
  )
  atEnd('planning ahead', foresight.close)
  const { plan } = foresight
  const worker = await startWorker({
    spoolParts,
    settings,
    clock,
    log,
    room: destinations.room,
    foresee: plan && ((group) => foresee(delivery, group, plan)),
    deliver: (group, signal, turn) => deliverGroup(delivery, group, signal, turn),
  })
  atEnd('delivery worker', () => worker.stop(0))
  spool.serve(worker)

  const vault = createVault({ ...parts, timed: metrics.read })
  const every = (interval: number, what: string, work: () => Promise<unknown>) => {
    const once = () => void work().catch((error) => log.error({ err: error }, `${what} failed`))
    const timer = setInterval(once, interval)
    atEnd(what, () => clearInterval(timer))
    return once
  }
  const tickEpochs = every(60_000, 'keeping the epoch keys', epochs.tick)
  tickEpochs()
  every(5000, 'beginning an epoch that was asked for', epochs.answer)
  every(600_000, 'noting the time', async () => time.believed() && noteTime(db, clock()))()
  const expiry = lease('expiry')
  every(60_000, 'ending expired letters', async () => time.believed() && (await expiry.held()) && vault.expire())
  if (db.engine.shared) every(hour, 'sweeping blobs', () => sweepBlobs(spoolParts))
  if (settings['monitor.probes']) {
    const probes = startProbes({ settings, db, clock, log, policy: async () => (await policies.current()).policy })
    atEnd('probes', () => probes.stop())
  }
  every(6 * hour, 'renewing MTA-STS policies', () => transport.refreshSts())

  let notReady: string | undefined = 'starting'
  const ready = async () => notReady ?? (await roomTrouble(spool))
  const portal = createPortal({ settings, vault, clock, log })
  const portalAt = await listening('portal.listen', () => portal.listen())
  atEnd('portal', () => portal.close())
  const admin = await listening('admin.listen', () =>
    startAdmin({ settings, db, clock, log, policies, examine, read, detect, signer: keyring }, ready),
  )
  atEnd('admin.listen', () => admin.close())
  const health = await listening('metrics.listen', () => startHealth(settings['metrics.listen'], ready, metrics.expose))
  atEnd('metrics.listen', () => health.close())

  let certificate = await smtpCertificate(settings)
  const submission = createSubmission({
    settings,
    spool,
    users: createUsers({ db, clock, settings }),
    clock,
    log,
    certificate: () => certificate,
  })
  atEnd('submission', () => submission.close(0))
  const at = await listening('smtp.listen', () => submission.listen())
  notReady = undefined
  return {
    greeting: greeting(settings, at, portalAt),
    smtp: at.plain,
    portal: portalAt,
    reload: async () => {
      // What is wrong with the one must not keep the other from being read.
      const policy = applyPolicyFile(policies, settings, log).catch((error: unknown) =>
        log.error({ err: error }, 'policy.file cannot be read again'),
      )
      certificate = await smtpCertificate(settings).finally(() => policy)
      submission.reloadCertificate()
    },
    stop: async (grace) => {
      notReady = 'stopping'
      // At once: a client that dawdles in DATA must not use up the time of what is being delivered. What comes in last waits for the next start.
      await Promise.all([
        submission.close(grace).catch((error: unknown) => log.error({ err: error }, 'closing submission failed')),
        worker.stop(grace).catch((error: unknown) => log.error({ err: error }, 'the worker cannot be stopped')),
      ])
      await closeAll()
    },
  }
}

/**
 * Only one process serves an embedded database and its data folder; any number share a PostgreSQL. Returns what gives the lock back. Throws
 * CommandError where the folder is taken, or cannot be made or written to.
 */
async function lockData({ data: folder, database }: Settings): Promise<() => void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const unlock = database.startsWith('sqlite:') ? takeServingLock(join(folder, 'serving.lock')) : () => {}
    if (unlock !== undefined) return unlock
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CommandError(
      'unavailable',
      `the data folder ${folder} cannot be written to: ${why}; set another \`data\` folder, or give it to the user who runs this`,
    )
  }
  throw new CommandError('unavailable', `another letterlock serves ${folder}; stop it first, or set another \`data\` folder`)
}

/** The revision stamped at acceptance; without it nothing is decided, and the mail waits. */
async function policyOf(policies: PolicyStore, revision: number) {
  const found = await policies.at(revision)
  if (found === undefined) throw new Error(`policy revision ${revision} is missing from the database`)
  return found
}

/** An address that is taken is the admin's matter: say which setting, and go. */
async function listening<T>(key: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    throw new CommandError('unavailable', `${key}: cannot listen there: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/**
 * A policy file with errors: the policy in force stays, and the log says what is wrong. Where none was ever in force the gateway does not
 * start (65): by the default policy mail could go ways that the file was written to forbid.
 */
async function applyPolicyFile(policies: PolicyStore, settings: Settings, log: Logger): Promise<void> {
  const file = settings['policy.file']
  if (file === undefined) return
  const applied = await policies.applyFile(file)
  if (applied.kind === 'applied') log.info({ file, revision: applied.revision }, 'policy applied')
  if (applied.kind !== 'errors') return
  const problems = applied.problems.map((problem) => describeProblem(file, problem))
  if (!(await policies.any())) throw new CommandError('badData', problems.join('\n'))
  for (const problem of problems) log.error(`policy.file is not applied, the policy in force stays: ${problem}`)
}

async function smtpCertificate(settings: Settings): Promise<Certificate> {
  const [cert, key] = [settings['smtp.tls.cert'], settings['smtp.tls.key']]
  if (cert === undefined || key === undefined) return firstCertificate(join(settings.data, 'tls'), settings.hostname)
  try {
    return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') }
  } catch (error) {
    throw new CommandError(
      'settings',
      `smtp.tls.cert and smtp.tls.key cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

type Address = { readonly host: string; readonly port: number }
const shown = ({ host, port }: Address): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

function greeting(
  settings: Settings,
  smtp: { readonly plain: readonly Address[]; readonly implicit: readonly Address[] },
  portal: Address,
): string[] {
  const open = settings['organisation.domains'].length === 0
  return [
    `Letterlock is serving ${settings['organisation.name'] || settings.hostname}.`,
    `  mail in     ${smtp.plain.map(shown).join(', ')} (STARTTLS)${smtp.implicit.length > 0 ? `, ${smtp.implicit.map(shown).join(', ')} (TLS)` : ''}`,
    `  portal      ${settings['portal.url']} (listening on ${shown(portal)})`,
    `  readiness   http://${shown(settings['metrics.listen'])}/readyz (metrics for Prometheus: /metrics, docs/metrics.md)`,
    `  data        ${settings.data}`,
    `  API         http://${shown(settings['admin.listen'])}/api/v1/ (\`letterlock token create\`, docs/api.md)`,
    '  console     the admin console is not available in this version; use the `letterlock` commands',
    ...(open
      ? [
          '  Relaying for this machine only: no organisation.domains yet. Try `npm run demo`, or `letterlock setup` (not available in this version).',
        ]
      : []),
  ]
}
