/** Several processes on one queue: a claim is one process's alone, lapses when that is stopped, and the content goes with the last recipient. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { chainEntries, verifyChain } from '../../src/audit/audit.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups, type Group } from '../../src/spool/claim.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { type Settlement, settleGroup } from '../../src/spool/settle.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { sweepBlobs } from '../../src/spool/sweep.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { acceptMail } from '../world/accept.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

describe('several processes on one queue', { skip: withoutPostgres }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'letterlock-nodes-'))
  let now = 1_000_000
  let server: Postgres
  let nodes: SpoolParts[] = []
  before(async () => {
    server = await startPostgres()
    const database = await server.makeDatabase()
    const clock = () => now
    nodes = await Promise.all(
      [1, 2, 3].map(async () => {
        const settings = defaultSettings({ data: folder, database })
        const [db, keyring] = await Promise.all([openDatabase(settings), openKeyring(join(folder, 'keys'), clock)])
        return { settings, clock, db, keyring, blobs: openBlobs(join(folder, 'blobs')) }
      }),
    )
  })
  after(async () => {
    for (const { db, keyring } of nodes) {
      keyring?.close()
      await db?.close()
    }
    await server?.close()
    rmSync(folder, { recursive: true })
  })
  const node = (number: number): SpoolParts => nodes[number] ?? assert.fail('no such node')

  it('claims each message once, though all look at the same time', async () => {
    for (let i = 0; i < 30; i++) await accept(node(i % 3), [`a${i}@lab.example`])
    const claimed = (await Promise.all(nodes.flatMap((parts) => [claimGroups(parts, 30), claimGroups(parts, 30)]))).flat()
    assert.equal(claimed.length, 30)
    assert.equal(new Set(claimed.map(({ message }) => message.id)).size, 30)
    for (const [i, group] of claimed.entries()) await settleGroup(node(i % 3), group, settlements(group), [])
  })

  it('gives a stopped process’s claim to another when it has lapsed, and the first one can record nothing more', async () => {
    await accept(node(0), ['a@lab.example'])
    const stopped = (await claimGroups(node(0), 1))[0] ?? assert.fail('nothing to claim')
    assert.deepEqual(await claimGroups(node(1), 1), [])
    now += node(0).settings['limits.claim']
    const taken = (await claimGroups(node(1), 1))[0] ?? assert.fail('the claim did not lapse')
    await assert.rejects(settleGroup(node(0), stopped, settlements(stopped), []), Unexpected)
    await settleGroup(node(1), taken, settlements(taken), [])
    assert.equal(
      (await node(2).db.read(sql`SELECT id FROM recipient WHERE message = ${taken.message.id} AND state = 'delivered'`)).length,
      1,
    )
  })

  it('destroys the content when two processes settle the last two recipients at once', async () => {
    for (let round = 0; round < 10; round++) {
      const id = await accept(node(2), ['a@lab.example', 'b@town.example'])
      const groups = await claimGroups(node(0), 2)
      await Promise.all(groups.map((group, i) => settleGroup(node(i), group, settlements(group), [])))
      assert.deepEqual(await node(2).db.read(sql`SELECT message FROM content WHERE message = ${id}`), [])
    }
  })

  it('chains the audit once, whoever does it', async () => {
    await Promise.allSettled(nodes.map(({ db }) => chainEntries(db)))
    while ((await chainEntries(node(1).db)) > 0);
    const verified = await verifyChain(node(2).db)
    assert.equal(verified.kind, 'sound')
    assert.deepEqual(await node(0).db.read(sql`SELECT id FROM audit WHERE seq IS NULL`), [])
  })

  it('does not sweep what another process is receiving', async () => {
    const intake = createSpool(node(0)).intake()
    await intake.write(Buffer.alloc(300_000, 'x'))
    const writer = node(0).blobs.write()
    await writer.write(Buffer.from('finished, and its row is yet to come'))
    const { name } = await writer.finish()
    assert.equal(await sweepBlobs(node(1)), 0)
    const names: string[] = []
    for await (const one of node(1).blobs.list()) names.push(one)
    assert.ok(names.includes(name))
    await intake.abort()
  })

  const accept = (parts: SpoolParts, addresses: readonly string[]): Promise<string> =>
    acceptMail(parts, 'Subject: x\r\n\r\nx\r\n', addresses)

  const settlements = (group: Group): Settlement[] =>
    group.recipients.map((recipient) => ({
      recipient,
      state: 'delivered',
      frozen: { plan: { revision: 1, fingerprint: 'f', rule: { name: 'default', line: 1 }, steps: [], trace: [] }, earlier: [] },
      step: 0,
      stepSince: now,
      stepAttempts: 1,
      nextAttemptAt: now + 5000,
      method: 'tls',
      reason: null,
      assurance: 'verified',
      proof: null,
      lastReply: '250 ok',
      delayNoticed: false,
      record: '{}',
      audit: {},
    }))
})
