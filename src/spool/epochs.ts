/** The hourly keys of the queue: begun, left behind and destroyed, so that what passed through cannot be opened later, whoever holds the disk. */
import type { Logger } from 'pino'
import { entry } from '../audit/audit.ts'
import { failpoint } from '../ops/failpoint.ts'
import { epochBegan } from '../seal/keyring.ts'
import { expecting, type Statement, sql, Unexpected } from '../store/db.ts'
import type { SpoolParts } from './parts.ts'

export type EpochKeeper = {
  /**
   * Call every minute. Begins a new epoch when the hour is over or an operator asked; wraps anew what still waits under epochs that are over;
   * destroys those that nobody can be about to use. So a key lives for some 66 minutes while the program runs.
   */
  readonly tick: () => Promise<void>
  /** The same at once when an operator asked for a new epoch; costs one look at the database. */
  readonly answer: () => Promise<void>
  /** Ends the tick that is under way, soon; call it before the database closes. Never rejects. */
  readonly stop: () => Promise<void>
}

const hour = 3_600_000

/** Ticks that an epoch stays after it was found over: mail wrapped by it may be on its way to the disk, here or in another process. */
const grace = 5

/** What is over when: `asked` is when an operator last wanted a new epoch. An epoch from the future: the clock was set back. */
const isOver = (epoch: string, now: number, asked: number): boolean => {
  const began = epochBegan(epoch)
  return began < asked || now - began >= hour || began - now >= hour
}

/**
 * Keep the epochs from now on. `alone`: no other process writes to this queue; then all that was begun before is over at once, and the first
 * tick destroys it.
 */
export async function keepEpochs(
  parts: SpoolParts,
  { alone, log }: { readonly alone: boolean; readonly log: Pick<Logger, 'error'> },
): Promise<EpochKeeper> {
  const { db, keyring, clock } = parts
  const rounds = new Map<string, number>()
  if (alone) {
    for (const epoch of keyring.epochs()) rounds.set(epoch, grace)
    await keyring.rotate()
    failpoint('start.rotate.begun')
  }
  let stopped = false
  const round = async () => {
    const [now, asked] = [clock(), await askedAt(parts)]
    let changed = false
    // Another process may have ended ours: it thought that we were gone.
    if (isOver(keyring.currentEpoch(), now, asked) || !keyring.epochs().includes(keyring.currentEpoch())) {
      await keyring.rotate()
      changed = true
    }
    const there = keyring.epochs()
    for (const epoch of rounds.keys()) if (!there.includes(epoch)) rounds.delete(epoch)
    for (const epoch of there) {
      if (epoch === keyring.currentEpoch() || !(rounds.has(epoch) || isOver(epoch, now, asked))) continue
      const left = await rewrap(parts, epoch, () => stopped)
      if (left === undefined) return
      const passed = rounds.get(epoch) ?? 0
      rounds.set(epoch, passed + 1)
      if (passed >= grace) changed = (await destroy(parts, epoch, left, log)) || changed
    }
    if (changed) await db.scrub()
  }
  let running: Promise<void> = Promise.resolve()
  const tick = (): Promise<void> => {
    if (stopped) return Promise.resolve()
    const turn = running.then(round)
    running = turn.catch(() => undefined)
    return turn
  }
  return {
    tick,
    answer: async () => {
      if (epochBegan(keyring.currentEpoch()) < (await askedAt(parts))) await tick()
    },
    stop: () => {
      stopped = true
      return running
    },
  }
}

/** A new epoch, everything that waits under it and all other keys destroyed: only where no other process writes to this queue. */
export async function renewEpochs(parts: SpoolParts, log: Pick<Logger, 'error'>): Promise<void> {
  const keeper = await keepEpochs(parts, { alone: true, log })
  await keeper.tick()
}

const askedFact = 'epoch.asked'

/** An operator wants a new epoch: the serving processes begin it with their next tick. */
export const askForEpoch = (now: number, actor: string): Statement[] => [
  sql`INSERT INTO fact (name, value) VALUES (${askedFact}, ${String(now)}) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
  entry(now, { actor, action: 'epoch.asked', object: 'spool', detail: {} }),
]

/** Milliseconds since 1970, 0 when nobody ever asked; a wish from the future (the clock was set back) is none. */
async function askedAt({ db, clock }: SpoolParts): Promise<number> {
  const [row] = await db.read<{ value: string }>(sql`SELECT value FROM fact WHERE name = ${askedFact}`)
  const asked = Number(row?.value ?? 0)
  return asked > clock() ? 0 : asked
}

/** For the write that queues a message or wraps one anew: nothing is written when the key that wraps it was destroyed meanwhile. */
export const unlessDestroyed = (epoch: string): Statement => expecting(0, sql`SELECT epoch FROM epoch_destroyed WHERE epoch = ${epoch}`)

type WrappedRow = { id: string; wrap: Buffer }

/** Messages at once: each costs a key agreement, and other work goes on in between. */
const page = 50

/** Wrap anew what waits under `epoch`. Returns how many could not be opened; undefined when stopped half-way. */
async function rewrap({ db, keyring }: SpoolParts, epoch: string, stopped: () => boolean): Promise<number | undefined> {
  let left = 0
  for (let after = ''; ; ) {
    if (stopped()) return undefined
    const rows = await db.read<WrappedRow>(
      sql`SELECT id, wrap FROM message WHERE epoch = ${epoch} AND id > ${after} ORDER BY id LIMIT ${page}`,
    )
    const last = rows.at(-1)
    if (last === undefined) return left
    after = last.id
    const into = new Set<string>()
    const statements = rows.flatMap(({ id, wrap }) => {
      const fileKey = keyring.unwrap(epoch, wrap)
      if (fileKey === undefined) return []
      const fresh = keyring.wrap(fileKey)
      fileKey.fill(0)
      into.add(fresh.epoch)
      return [sql`UPDATE message SET epoch = ${fresh.epoch}, wrap = ${fresh.wrap} WHERE id = ${id} AND epoch = ${epoch}`]
    })
    left += rows.length - statements.length
    // Another process may have destroyed our key while we slept: then the next tick begins a new one.
    if (statements.length > 0) await db.write(...[...into].map(unlessDestroyed), ...statements)
    failpoint('start.rotate.rewrapped')
  }
}

const month = 30 * 24 * hour

/**
 * Destroy a key that opens nothing: `left` messages stand under it that it does not open either, for their wrap was altered. The database
 * knows of it first, and only if no other message came under it. False: one did; next time.
 */
async function destroy({ db, keyring, clock }: SpoolParts, epoch: string, left: number, log: Pick<Logger, 'error'>): Promise<boolean> {
  const now = clock()
  try {
    await db.write(
      expecting(
        1,
        sql`INSERT INTO epoch_destroyed (epoch, at) SELECT CAST(${epoch} AS TEXT), CAST(${now} AS BIGINT)
          WHERE (SELECT COUNT(*) FROM message WHERE epoch = ${epoch}) = ${left} ON CONFLICT (epoch) DO UPDATE SET at = excluded.at`,
      ),
      sql`DELETE FROM epoch_destroyed WHERE at < ${now - month}`,
    )
  } catch (error) {
    if (error instanceof Unexpected) return false
    throw error
  }
  failpoint('start.rotate.before-destroy')
  await keyring.destroy(epoch)
  failpoint('start.rotate.destroyed')
  if (left > 0)
    log.error({ epoch, messages: left }, 'the key of an epoch was destroyed; messages under it were altered, and no key opens them')
  return true
}
