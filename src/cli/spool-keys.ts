/** The commands about the keys of the hours: keys spool list, rotate. They never begin an epoch beside a serving gateway. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { exists } from '../backup/sources.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import { epochBegan, listEpochs, openKeyring } from '../seal/keyring.ts'
import { refuseLostKeys } from '../spool/belonging.ts'
import { askForEpoch, renewEpochs } from '../spool/epochs.ts'
import { openBlobs } from '../store/blobs-fs.ts'
import { type Db, sql } from '../store/db.ts'
import { takeServingLock } from '../store/serving-lock.ts'
import { actor, type Common, command } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { print, printJson, table, time } from './print.ts'

type RotateOptions = Common & { readonly dryRun?: boolean }

/** Add the commands below `keys`. */
export function addSpoolKeyCommands(keys: Command): void {
  const spool = keys.command('spool').description('the keys of the hours, which open waiting mail')
  command(spool, 'list', 'each key, when it began, and how much waits under it').action((options: Common) => {
    const settings = settingsOf(options)
    return withDatabase(settings, (db) => list(settings, db, options))
  })
  command(spool, 'rotate', 'begin a new key now; what waits is wrapped by it, and the old ones are destroyed')
    .option('--dry-run', 'only say what would happen')
    .action((options: RotateOptions) => {
      const settings = settingsOf(options)
      return withDatabase(settings, (db) => rotate(settings, db, options))
    })
}

type Epoch = { readonly epoch: string; readonly began: number; readonly messages: number; readonly key: 'current' | 'there' | 'missing' }

/** Read from the folder's names and the database: no key is opened. */
async function epochsOf(settings: Settings, db: Db): Promise<Epoch[]> {
  const folder = pathOf(settings.keys)
  const there = (await exists(folder)) ? listEpochs(folder) : []
  const rows = await db.read<{ epoch: string; messages: number }>(
    sql`SELECT epoch, COUNT(*) AS messages FROM message WHERE epoch IS NOT NULL GROUP BY epoch`,
  )
  const waiting = new Map(rows.map(({ epoch, messages }) => [epoch, messages]))
  const all = [...new Set([...there, ...waiting.keys()])].sort()
  return all.map((epoch) => ({
    epoch,
    began: epochBegan(epoch),
    messages: waiting.get(epoch) ?? 0,
    key: !there.includes(epoch) ? 'missing' : epoch === there.at(-1) ? 'current' : 'there',
  }))
}

async function list(settings: Settings, db: Db, { json }: Common): Promise<void> {
  const epochs = await epochsOf(settings, db)
  if (json) return printJson({ epochs })
  const rows = epochs.map(({ epoch, began, messages, key }) => [epoch, time(began), key, String(messages)])
  print(table(['EPOCH', 'BEGAN', 'KEY', 'MESSAGES'], rows, 'There are no keys yet; the first start makes one.'))
}

/** A serving gateway looks every five seconds whether somebody asked. */
const patience = 30_000

async function rotate(settings: Settings, db: Db, { json, dryRun = false }: RotateOptions): Promise<void> {
  const before = await epochsOf(settings, db)
  const messages = before.reduce((sum, one) => sum + one.messages, 0)
  if (dryRun) {
    if (json) return printJson({ rotated: false, epochs: before })
    return print(
      `would begin a new key, wrap ${messages} messages by it, and destroy ${before.filter(({ key }) => key !== 'missing').length} old ones`,
    )
  }
  const unlock = settings.database.startsWith('sqlite:') ? takeServingLock(join(settings.data, 'serving.lock')) : undefined
  const now = systemClock()
  await db.write(...askForEpoch(now, actor()))
  if (unlock === undefined) await waitForServer(settings, now, json)
  else await renewAlone(settings, db).finally(unlock)
  const epochs = await epochsOf(settings, db)
  if (json) return printJson({ rotated: true, epochs })
  const left = epochs.filter(({ key }) => key === 'there').length
  print(`key ${epochs.find(({ key }) => key === 'current')?.epoch ?? '-'} is in use for ${messages} waiting messages and all that come`)
  if (left > 0)
    print(`${left} old ${left === 1 ? 'key is' : 'keys are'} destroyed within ten minutes: mail may be on its way to the disk with it`)
}

/** Nobody serves, and nobody can begin to while we hold the lock. */
async function renewAlone(settings: Settings, db: Db): Promise<void> {
  await refuseLostKeys(db, settings)
  const keyring = await openKeyring(pathOf(settings.keys), systemClock)
  try {
    const parts = { db, keyring, blobs: openBlobs(pathOf(settings.blobs)), clock: systemClock, settings }
    await renewEpochs(parts, { error: (about: unknown) => void process.stderr.write(`${JSON.stringify(about)}\n`) })
  } finally {
    keyring.close()
  }
}

async function waitForServer(settings: Settings, asked: number, json: boolean | undefined): Promise<void> {
  if (!json || process.stderr.isTTY) process.stderr.write('Asked the server; it begins the new key within seconds …\n')
  const folder = pathOf(settings.keys)
  for (const end = performance.now() + patience; performance.now() < end; await pause(200))
    if ((await exists(folder)) && listEpochs(folder).some((epoch) => epochBegan(epoch) >= asked)) return
  throw new CommandError(
    'tryLater',
    'no server has begun a new key within 30 s; one that starts does it then (a server with another clock, or one that hangs?)',
  )
}
