import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { defaultSettings } from '../../src/ops/settings.ts'
import { epochBegan, type Keyring, openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups, openClaimed } from '../../src/spool/claim.ts'
import { askForEpoch, keepEpochs, renewEpochs } from '../../src/spool/epochs.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { settleGroup } from '../../src/spool/settle.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { acceptMail } from '../world/accept.ts'
import { startPostgres, withoutPostgres } from '../world/postgres.ts'

const [minute, hour] = [60_000, 3_600_000]

let folder: string
let data: string
let time: { now: number }
let parts: SpoolParts
let complaints: object[]
const log = { error: (about: object) => void complaints.push(about) }
const opened: SpoolParts[] = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'epochs-'))
})
after(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  data = await mkdtemp(join(folder, 'data-'))
  time = { now: Date.UTC(2026, 2, 1) }
  complaints = []
  parts = await connect()
})
afterEach(async () => {
  for (const { keyring, db } of opened.splice(0)) {
    keyring.close()
    await db.close()
  }
})

/** Another process on the same database and the same keys. */
async function connect(clock = () => time.now, database = `sqlite:${join(data, 'db')}`): Promise<SpoolParts> {
  const settings = defaultSettings({ data, database })
  const [db, keyring] = [await openDatabase(settings), await openKeyring(join(data, 'keys'), clock)]
  const made = { settings, clock, db, keyring, blobs: openBlobs(join(data, 'blobs')) }
  opened.push(made)
  return made
}

const accept = (by = parts): Promise<string> => acceptMail(by, 'Subject: x\r\n\r\nstill here\r\n', ['a@lab.example'])

const kindOf = async (id: string, by = parts) => (await openClaimed(by, id)).kind

/** Deliver everything but these messages. */
async function deliverAllBut(kept: readonly string[]): Promise<void> {
  for (const group of await claimGroups(parts, 100)) {
    if (kept.includes(group.message.id)) continue
    const settled = group.recipients.map((recipient) => ({
      ...{ recipient, state: 'delivered' as const, frozen: undefined, step: 0, stepSince: time.now, stepAttempts: 1, nextAttemptAt: 0 },
      ...{ method: 'tls', reason: null, assurance: null, proof: null, lastReply: '', delayNoticed: false, record: '{}', audit: {} },
    }))
    await settleGroup(parts, group, settled, [])
  }
}

/** How long each key has lain in the folder at most, by the time that `look` is called. */
function watch(keyring: Keyring) {
  const lives = new Map<string, number>()
  const look = () => {
    for (const epoch of keyring.epochs()) lives.set(epoch, time.now - epochBegan(epoch))
  }
  return { lives, look }
}

describe('the keys of the hours', () => {
  test('each is destroyed within two hours while mail flows and while other mail waits, and all of it opens', async () => {
    const keeper = await keepEpochs(parts, { alone: false, log })
    const { lives, look } = watch(parts.keyring)
    const waiting = await accept()
    for (let passed = 0; passed < 6 * hour; passed += minute) {
      time.now += minute
      const id = await accept()
      await keeper.tick()
      assert.equal(await kindOf(id), 'content')
      await deliverAllBut([waiting])
      look()
    }
    assert.equal(await kindOf(waiting), 'content')
    assert.ok(lives.size >= 6, `${lives.size} epochs in six hours`)
    assert.ok(Math.max(...lives.values()) < 2 * hour, `a key lived for ${Math.max(...lives.values()) / minute} minutes`)
    assert.deepEqual(complaints, [])
    await keeper.stop()
  })

  test('a clock set back by a day keeps no key longer than that', async () => {
    const keeper = await keepEpochs(parts, { alone: false, log })
    const id = await accept()
    const first = parts.keyring.currentEpoch()
    time.now -= 24 * hour
    for (let round = 0; round < 7; round++) await keeper.tick()
    assert.ok(!parts.keyring.epochs().includes(first))
    assert.equal(await kindOf(id), 'content')
    assert.equal(await kindOf(await accept()), 'content')
    await keeper.stop()
  })

  async function sideBySide(one: SpoolParts, other: SpoolParts): Promise<void> {
    const keepers = [await keepEpochs(one, { alone: false, log }), await keepEpochs(other, { alone: false, log })]
    const ids: string[] = []
    for (let passed = 0; passed < 3 * hour; passed += 5 * minute) {
      time.now += 5 * minute
      ids.push(await accept(one), await accept(other))
      for (const keeper of keepers) await keeper.tick()
    }
    const { lives, look } = watch(one.keyring)
    look()
    assert.ok([...lives.values()].every((life) => life < 2 * hour))
    for (const id of ids) assert.deepEqual([await kindOf(id, one), await kindOf(id, other)], ['content', 'content'])
    for (const keeper of keepers) await keeper.stop()
  }

  test('of two processes neither takes a key from the other, and all mail opens in both', async () => sideBySide(parts, await connect()))

  test('nor do two nodes on PostgreSQL, and there too a slept-through key writes nothing', { skip: withoutPostgres }, async () => {
    const postgres = await startPostgres()
    try {
      const database = await postgres.makeDatabase()
      const [one, other] = [await connect(undefined, database), await connect(undefined, database)]
      await sideBySide(one, other)
      const awake = await keepEpochs(one, { alone: false, log })
      time.now += 3 * hour
      for (let round = 0; round < 7; round++) await awake.tick()
      await assert.rejects(accept(other), Unexpected)
      await awake.stop()
    } finally {
      for (const { db } of opened) if (db.engine.shared) await db.close()
      await postgres.close()
    }
  })

  test('a process that slept past the end of its key writes nothing by it, and goes on with a new one', async () => {
    const sleeper = await connect()
    const sleeping = await keepEpochs(sleeper, { alone: false, log })
    const draft = createSpool(sleeper).draft({
      ...{ kind: 'dsn', about: 'x', content: Buffer.from('x\r\n'), messageId: '<2@org.example>', headerFrom: 's@org.example' },
      envelope: { reversePath: '', recipients: [{ address: 'a@lab.example', notify: [], bcc: false }], body: '7bit', smtpUtf8: false },
      steps: [],
    })
    const awake = await keepEpochs(parts, { alone: false, log })
    time.now += hour + minute
    for (let round = 0; round < 7; round++) await awake.tick()
    await assert.rejects(sleeper.db.write(...draft.statements), Unexpected)
    await assert.rejects(accept(sleeper), Unexpected)
    await sleeping.tick()
    assert.equal(await kindOf(await accept(sleeper), sleeper), 'content')
    await Promise.all([awake.stop(), sleeping.stop()])
  })

  test('a process that slept through its own end wraps nothing that waits by a destroyed key', async () => {
    const id = await accept()
    const keeper = await keepEpochs(parts, { alone: false, log })
    const own = parts.keyring.currentEpoch()
    time.now += hour
    // The other process found the key of this one over while it slept, between its first look and its writes.
    const rotated = new Promise<void>((resolve) => {
      const { rotate } = parts.keyring
      Object.assign(parts.keyring, {
        rotate: async () => {
          const next = await rotate()
          await parts.db.write(sql`INSERT INTO epoch_destroyed (epoch, at) VALUES (${next}, ${time.now})`)
          resolve()
          return next
        },
      })
    })
    await assert.rejects(keeper.tick(), Unexpected)
    await rotated
    const [row] = await parts.db.read<{ epoch: string }>(sql`SELECT epoch FROM message WHERE id = ${id}`)
    assert.equal(row?.epoch, own)
    assert.equal(await kindOf(id), 'content')
    await keeper.stop()
  })

  test('a row whose wrap was altered keeps no key alive: it is told, and the rest is wrapped anew', async () => {
    const [altered, sound] = [await accept(), await accept()]
    await parts.db.write(sql`UPDATE message SET wrap = ${Buffer.alloc(64, 1)} WHERE id = ${altered}`)
    const first = parts.keyring.currentEpoch()
    await renewEpochs(parts, log)
    assert.ok(!parts.keyring.epochs().includes(first))
    assert.deepEqual(complaints, [{ epoch: first, messages: 1 }])
    assert.deepEqual([await kindOf(altered), await kindOf(sound)], ['damaged', 'content'])
  })

  test('when an operator asks, the next tick begins a new one, and the old one is gone after a few', async () => {
    const keeper = await keepEpochs(parts, { alone: false, log })
    const id = await accept()
    const first = parts.keyring.currentEpoch()
    time.now += minute
    await parts.db.write(...askForEpoch(time.now, 'cli:ann'))
    await keeper.tick()
    const second = parts.keyring.currentEpoch()
    assert.notEqual(second, first)
    assert.ok(parts.keyring.epochs().includes(first), 'mail may be on its way to the disk with it')
    for (let round = 0; round < 6; round++) await keeper.tick()
    assert.deepEqual(parts.keyring.epochs(), [second])
    assert.equal(await kindOf(id), 'content')
    await keeper.stop()
  })

  test('at a start where nobody else writes only one is left, and what waits is wrapped by it', async () => {
    const ids = await Promise.all(Array.from({ length: 120 }, () => accept()))
    await renewEpochs(parts, log)
    assert.equal(parts.keyring.epochs().length, 1)
    for (const id of ids) assert.equal(await kindOf(id), 'content')
  })

  for (const failpoint of ['begun', 'rewrapped', 'before-destroy', 'destroyed'])
    test(`a crash at ${failpoint} loses nothing, and the next start ends what was begun`, async () => {
      const ids = [await accept(), await accept()]
      const child = spawnSync(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'epochs-child.ts'), data], {
        env: { ...process.env, LETTERLOCK_FAILPOINT: `start.rotate.${failpoint}:1` },
      })
      assert.equal(child.signal, 'SIGKILL', String(child.stderr))
      const next = await connect(Date.now)
      await renewEpochs(next, log)
      for (const id of ids) assert.equal(await kindOf(id, next), 'content')
      assert.equal(next.keyring.epochs().length, 1)
    })
})
