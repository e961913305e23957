import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { pino } from 'pino'
import { startGateway } from '../../src/gateway.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import type { Settings } from '../../src/ops/settings.ts'
import { moved } from '../world/settings-file.ts'
import { type Child, type Partners, settingsFor, startChild, startPartners } from './child.ts'
import { cannotInject, createFaults, type Faults } from './faults.ts'
import { type Audited, audit } from './power-audit.ts'
import { cannotCutPower, createPowerDisk, type PowerDisk } from './power-disk.ts'
import { type Load, type Mix, type Promised, startLoad, usualMix } from './power-load.ts'
import { acceptedAs, message, openSession } from './session.ts'

const long = process.env.LONG_TESTS === '1'
/** The long form ends after so many minutes at the latest, and reports what it has done by then. */
const minutes = Number(process.env.POWER_MINUTES ?? 240)
const aim = long ? { cuts: 200, messages: 20_000, mebibytes: 4096 } : { cuts: 4, messages: 200, mebibytes: 256 }

const obstacle = cannotCutPower()
if (obstacle?.installable && process.env.CI === 'true') assert.fail(`with CI=true everything must be tested: ${obstacle.why}`)

describe('when the power is cut', { skip: obstacle?.why ?? false }, () => {
  let scratch: string
  let disk: PowerDisk | undefined
  let partners: Partners
  let refused: string | undefined
  /** Also those of a test that broke off: they would keep the disk busy. */
  const children: Child[] = []
  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'letterlock-power-'))
    partners = await startPartners()
    disk = await createPowerDisk(scratch, aim.mebibytes).catch((error: Error) => {
      refused = `this machine does not let us mount: ${error.message.split('\n')[0]}`
      return undefined
    })
  })
  after(async () => {
    for (const child of children) await end(child)
    await partners?.close()
    await disk?.close()
    await rm(scratch, { recursive: true, force: true })
  })

  const test_ = (name: string, work: (disk: PowerDisk) => Promise<void>, skip: string | false = false) =>
    test(name, { skip }, async (t) => (disk === undefined ? t.skip(refused) : work(disk)))

  test_('this disk loses commits that SQLite did not sync, and keeps those it did', async (disk) => {
    const kept = { NORMAL: 0, FULL: 0 }
    const rounds = long ? 20 : 3
    for (const mode of ['NORMAL', 'FULL'] as const)
      for (let round = 0; round < rounds; round++) kept[mode] += await survivors(disk, mode, `${mode}-${round}.db`)
    assert.deepEqual(kept, { NORMAL: 0, FULL: 3 * rounds })
  })

  for (const [what, match, mix] of [
    ['the log of the database', '.db-wal', { sessions: 4, domains: ['shut.example'], sizes: [2_000] }],
    ['the blob files', '/blobs/', { sessions: 4, domains: ['shut.example'], sizes: [100_000] }],
  ] as const)
    test_(
      `a gateway that does not sync ${what} is found out: acknowledged mail is lost`,
      async (disk) => {
        const folder = join(disk.folder, `control-${match.replace(/\W/g, '')}`)
        const faults = createFaults(scratch, folder)
        const audited = await cutOnce(disk, folder, mix, faults)
        faults.close()
        assert.ok(audited.lost.length > 0, 'nothing was lost: this suite could not fail')
      },
      cannotInject() ?? false,
    )

  test_('no acknowledged message is lost, at whatever moment', async (disk) => {
    const settings = await settingsFor(join(disk.folder, 'data'), partners, { 'retry.schedule': [3_600_000] })
    const child = await startChild(scratch, settings)
    children.push(child)
    const load = startLoad(settings['smtp.listen'][0]?.port ?? 0, usualMix, 1)
    const cuts: Cut[] = []
    const arrived = new Set<string>()
    const began = Date.now()
    const ended = () => Date.now() - began > minutes * 60_000
    for (let number = 0; (number < aim.cuts || load.promised.length < aim.messages) && !ended(); number++) {
      const goal = (aim.messages / aim.cuts) * number
      load.upTo(goal + 2 * (aim.messages / aim.cuts)) // ahead of the cut, so that it falls into the midst of things
      await promises(load, goal + 1, child)
      await pause(Math.random() * 100)
      cuts.push(await cutNow(disk, settings, load, arrived, cuts.at(-1)?.promised ?? 0))
      if (number % (long ? 20 : 4) === 1) cuts.push(await cutAndStart(disk, settings, load))
    }
    await load.stop()
    await end(child)
    if (long) await report(cuts, load, Date.now() - began)
    assert.deepEqual(
      cuts.flatMap(({ audited }) => audited.lost),
      [],
    )
    assert.equal(load.refused(), 0)
  })

  /** How many of three commits are there after a cut. */
  async function survivors(disk: PowerDisk, mode: string, name: string): Promise<number> {
    const database = new Database(join(disk.folder, name))
    database.pragma('journal_mode = WAL')
    database.exec('CREATE TABLE entry (number INTEGER)')
    database.pragma('wal_checkpoint(TRUNCATE)')
    database.pragma(`synchronous = ${mode}`)
    for (const number of [1, 2, 3]) database.prepare('INSERT INTO entry VALUES (?)').run(number)
    const copy = await disk.cut()
    const { folder, unmount } = await copy.mount()
    database.close()
    const after = new Database(join(folder, name))
    const { count } = after.prepare('SELECT COUNT(*) AS count FROM entry').get() as { count: number }
    after.close()
    await unmount()
    await copy.drop()
    return count
  }

  async function cutOnce(disk: PowerDisk, folder: string, mix: Mix, faults: Faults): Promise<Audited> {
    const settings = await settingsFor(folder, partners, { 'retry.schedule': [3_600_000] })
    const child = await startChild(scratch, settings, { env: faults.env })
    children.push(child)
    const match = folder.endsWith('wal') ? '.db-wal' : '/blobs/'
    faults.arm({ operation: 'fsync', nth: 1, error: 'EIO', manner: 'skip', match })
    const load = startLoad(settings['smtp.listen'][0]?.port ?? 0, mix, 60)
    await promises(load, 30, child)
    const { audited } = await cutNow(disk, settings, load, new Set(), 0)
    await load.stop()
    await end(child)
    assert.ok(faults.seen().hits > 0, 'no sync was left out')
    return audited
  }

  type Cut = { readonly promised: number; readonly took: number; readonly audited: Audited; readonly startedIn?: number }

  async function cutNow(disk: PowerDisk, settings: Settings, load: Load, arrived: Set<string>, before: number): Promise<Cut> {
    const promised = load.promised.slice()
    const copy = await disk.cut()
    const { folder, unmount } = await copy.mount()
    remember(arrived)
    const audited = await audit(inCopy(settings, disk, folder), promised, arrived, chosen(promised, before)).catch(broken)
    await unmount()
    await copy.drop()
    return { promised: promised.length, took: copy.took, audited }
  }

  /** A whole gateway on the copy: it starts, delivers what waited there, and takes mail. */
  async function cutAndStart(disk: PowerDisk, settings: Settings, load: Load): Promise<Cut> {
    const promised = load.promised.slice()
    const copy = await disk.cut()
    const { folder, unmount } = await copy.mount()
    const others = await startPartners()
    const ports = await settingsFor(folder, others)
    const there = moved(ports, inCopy(settings, disk, folder).data)
    const began = Date.now()
    const gateway = await startGateway(there, { log: pino({ level: 'silent' }) })
    const startedIn = Date.now() - began
    const session = await openSession(gateway.smtp[0]?.port ?? 0)
    const told = await session.submit('a@org.example', 'next@shut.example', message('next', 'next@shut.example', 100_000))
    session.close()
    await gateway.stop(5_000)
    await Promise.all([others.close(), unmount()])
    await copy.drop()
    const lost = acceptedAs(told) === undefined ? [`the gateway on the copy does not accept: ${JSON.stringify(told)}`] : []
    return { promised: promised.length, took: copy.took, startedIn, audited: { lost, states: {}, opened: 0 } }
  }

  const inCopy = (settings: Settings, disk: PowerDisk, folder: string) => moved(settings, settings.data.replace(disk.folder, folder))

  /** What the partner has, by its mark; its copies are forgotten. */
  function remember(arrived: Set<string>): void {
    for (const { content } of partners.open.mails.splice(0))
      arrived.add(/^Subject: (\S+)/m.exec(content.toString('latin1', 0, 4096))?.[1] ?? '')
  }
})

/** Those promised since the last cut, and some of the older ones. */
function chosen(promised: readonly Promised[], before: number): Set<Promised> {
  const older = Array.from({ length: 30 }, () => promised[Math.floor(Math.random() * before)])
  return new Set([...promised.slice(before), ...older.filter((one) => one !== undefined)])
}

const broken = (error: Error): Audited => ({ lost: [`the copy cannot be opened: ${error.message}`], states: {}, opened: 0 })

/** So many messages are acknowledged, or the gateway has ended and never will. */
async function promises(load: Load, wanted: number, child: Child): Promise<void> {
  for (; load.promised.length < wanted; await pause(2))
    if (child.ended() !== undefined) assert.fail(`the gateway ended: ${child.said().slice(-2000)}`)
}

async function end(child: Child): Promise<void> {
  child.kill('SIGKILL')
  await child.exit()
}

/** docs/power-cut-report.md */
async function report(cuts: readonly { promised: number; took: number; startedIn?: number; audited: Audited }[], load: Load, ms: number) {
  const lost = cuts.flatMap(({ audited }) => audited.lost)
  const took = cuts.map((cut) => cut.took).sort((a, b) => a - b)
  const started = cuts.flatMap(({ startedIn }) => startedIn ?? [])
  const opened = cuts.reduce((sum, { audited }) => sum + audited.opened, 0)
  const states = cuts.findLast(({ audited }) => Object.keys(audited.states).length > 0)?.audited.states ?? {}
  const text = `# Power cuts: report of the long form

Written by the long form of \`test/crash/power.test.ts\`; how to run it, what it does and does not show stands in [reliability.md](reliability.md).

| | |
|---|---|
| date | ${new Date().toISOString().slice(0, 10)} |
| aim | ${aim.cuts} cuts, ${aim.messages} messages${ms > minutes * 60_000 ? `; ended before by POWER_MINUTES=${minutes}` : ''} |
| messages acknowledged with 250 | ${load.promised.length} |
| refused or broken off meanwhile | ${load.refused()} |
| power cuts under load | ${cuts.length} |
| acknowledged messages looked for, all cuts together | ${cuts.reduce((sum, cut) => sum + (cut.startedIn === undefined ? cut.promised : 0), 0)} |
| contents opened and compared | ${opened} |
| **lost** | **${lost.length}** |
| copies on which a whole gateway was started | ${started.length}, listening after ${started.length > 0 ? Math.max(...started) : '–'} ms at the most |
| how long the moment of a cut lasted | ${took[Math.floor(took.length / 2)]?.toFixed(0)} ms in the middle, ${took.at(-1)?.toFixed(0)} ms at the most |
| states in the last copy | ${Object.entries(states)
    .map(([state, count]) => `${state} ${count}`)
    .join(', ')} |
| it all took | ${Math.round(ms / 60_000)} minutes |

Controls of the same run: with \`synchronous=NORMAL\` 0 of 60 commits survived, with FULL 60 of 60; a gateway whose fsync of the database log,
or of the blob files, silently does nothing was found to lose acknowledged mail.
${lost
  .slice(0, 20)
  .map((one) => `- ${one}\n`)
  .join('')}`
  await writeFile(join(packageRoot, 'docs/power-cut-report.md'), text)
}
