import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { chainEntries, verifyChain } from '../../src/audit/audit.ts'
import { inTheWay, restoreBackup } from '../../src/backup/restore.ts'
import { type BackupPlan, makeBackup } from '../../src/backup/save.ts'
import { openBackup } from '../../src/backup/seal.ts'
import { blobPath, keepBlobs } from '../../src/backup/sources.ts'
import { defaultSettings, type Settings } from '../../src/ops/settings.ts'
import { x25519Identity } from '../../src/seal/age.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { openClaimed } from '../../src/spool/claim.ts'
import { operate } from '../../src/spool/queue.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { startPostgres, withoutPostgres } from '../world/postgres.ts'

const now = Date.UTC(2026, 5, 1)
const clock = () => now
const identity = x25519Identity(Buffer.alloc(32, 9))

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'backup-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const settingsAt = (data: string, database = `sqlite:${join(data, 'db')}`): Settings =>
  defaultSettings({ data, database, keys: `file:${join(data, 'keys')}`, blobs: `file:${join(data, 'blobs')}` })

async function open(settings: Settings) {
  const [db, keyring] = [await openDatabase(settings), await openKeyring(join(settings.data, 'keys'), clock)]
  return { db, keyring, clock, settings, blobs: openBlobs(join(settings.data, 'blobs')) }
}
type Parts = Awaited<ReturnType<typeof open>>

async function accept(parts: Parts, size: number): Promise<string> {
  const intake = createSpool(parts).intake()
  await intake.write(Buffer.alloc(size, 'x'))
  const recipients = [{ address: 'a@lab.example', notify: [], bcc: false }]
  await intake.commit({
    envelope: { reversePath: 's@org.example', recipients, body: '7bit', smtpUtf8: false },
    ...{ messageId: '<1@org.example>', headerFrom: 's@org.example' },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
  return intake.id
}

const plan = (settings: Settings, path: string, recipient?: Buffer): BackupPlan => ({
  ...{ settings, path, recipient, settingsFile: undefined, environment: [], version: '1', now, progress: () => {} },
})

async function restore(path: string, settings: Settings) {
  const opened = await openBackup(path, [identity.secret])
  assert.ok(opened.kind === 'clear')
  return restoreBackup({ settings, archive: opened.open(), openDatabase, actor: 'cli:ann', now })
}

const recipients = (db: Db) =>
  db.read<{ message: string; state: string; reason: string | null }>(sql`SELECT message, state, reason FROM recipient ORDER BY id`)

async function inFolder(work: (data: string) => Promise<void>): Promise<void> {
  await work(await mkdtemp(join(folder, 'data-')))
}

describe('a backup', () => {
  test('keeps blobs that are delivered while it is made, and notes those that were gone already', () =>
    inFolder(async (data) => {
      const settings = settingsAt(data)
      const parts = await open(settings)
      const ids = [await accept(parts, 400_000), await accept(parts, 400_000)]
      const blobs = await parts.db.read<{ message: string; blob: string }>(sql`SELECT message, blob FROM content ORDER BY message`)
      await rm(blobPath(settings, blobs[0]?.blob ?? ''))
      assert.deepEqual(await keepBlobs(settings, blobs, join(data, 'kept')), [ids[0]])
      await rm(blobPath(settings, blobs[1]?.blob ?? ''))
      assert.ok((await stat(join(data, 'kept', blobs[1]?.blob ?? ''))).size > 400_000)
      await parts.db.close()
    }))

  test('that cannot be made leaves nothing behind, and what a killed one left is cleared a day later', () =>
    inFolder(async (data) => {
      const settings = settingsAt(data)
      const parts = await open(settings)
      const to = join(data, 'out')
      await mkdir(to)
      await writeFile(join(to, 'taken'), '')
      await assert.rejects(makeBackup(plan(settings, join(to, 'taken'))), /EEXIST/)
      await writeFile(join(to, '.x.tar.0123abcd.unfinished'), '')
      await mkdir(join(data, '.backup-killed'))
      assert.deepEqual((await readdir(to)).sort(), ['.x.tar.0123abcd.unfinished', 'taken'])
      await makeBackup({ ...plan(settings, join(to, 'good')), now: Date.now() + 2 * 86_400_000 })
      assert.deepEqual((await readdir(to)).sort(), ['good', 'taken'])
      assert.ok(!(await readdir(data)).some((name) => name.startsWith('.backup')))
      await parts.db.close()
    }))

  test('restored: everything that waited is held until released, sessions, codes and API tokens are ended, and the audit chain goes on', () =>
    inFolder(async (data) => {
      const parts = await open(settingsAt(data))
      const [small, large] = [await accept(parts, 10), await accept(parts, 400_000)]
      await parts.db.write(
        sql`INSERT INTO portal_session (id, sealed, letter, created_at, seen_at, ends_at) VALUES ('s', ${Buffer.alloc(1)}, 'l', 1, 1, 1)`,
        sql`INSERT INTO code (id, letter, address, code_mac, words, asked_at, long, spent) VALUES ('c', 'l', 'a', 'm', 'w', 1, 0, 0)`,
        sql`INSERT INTO api_token (id, name, role, hash, created_at, created_by, expires_at, signature)
          VALUES ('t', 'n', 'owner', 'h', 1, 'ann', ${now + 1e9}, ${Buffer.alloc(64)})`,
        sql`INSERT INTO api_answer (token, key, request, at) VALUES ('t', 'k', 'r', ${now})`,
      )
      await chainEntries(parts.db)
      const path = join(data, 'out.tar.age')
      await makeBackup(plan(parts.settings, path, identity.publicKey))
      await parts.db.close()
      const settings = settingsAt(join(data, 'again'))
      const done = await restore(path, settings)
      assert.deepEqual([done.held, done.unreadable, done.done], [2, 0, 0])
      const again = await open(settings)
      assert.deepEqual(await recipients(again.db), [
        { message: small, state: 'held', reason: 'restored' },
        { message: large, state: 'held', reason: 'restored' },
      ])
      assert.deepEqual(await again.db.read(sql`SELECT id FROM portal_session`), [])
      assert.deepEqual(await again.db.read(sql`SELECT spent FROM code`), [{ spent: 1 }])
      assert.deepEqual(await again.db.read(sql`SELECT revoked_at FROM api_token`), [{ revoked_at: now }])
      assert.deepEqual(await again.db.read(sql`SELECT key FROM api_answer`), [])
      await chainEntries(again.db)
      assert.equal((await verifyChain(again.db)).kind, 'sound')
      assert.equal((await again.db.read(sql`SELECT id FROM audit WHERE action = 'backup.restored' AND seq IS NOT NULL`)).length, 1)
      for (const id of [small, large]) assert.equal((await openClaimed(again, id)).kind, 'content')
      const by = { actor: 'cli:ann', now, dryRun: false }
      const { changed } = await operate(again.db, 'release', { kind: 'reason', reason: 'restored' }, by)
      assert.equal(changed.length, 2)
      assert.ok((await recipients(again.db)).every(({ state }) => state === 'waiting'))
      await again.db.close()
    }))

  test('restored: mail that was in doubt stays so, for it must not be sent another way', () =>
    inFolder(async (data) => {
      const parts = await open(settingsAt(data))
      const id = await accept(parts, 10)
      await parts.db.write(sql`UPDATE recipient SET reason = 'in-doubt'`)
      const path = join(data, 'out.tar.age')
      await makeBackup(plan(parts.settings, path, identity.publicKey))
      await parts.db.close()
      const settings = settingsAt(join(data, 'again'))
      await restore(path, settings)
      const again = await open(settings)
      assert.deepEqual(await recipients(again.db), [{ message: id, state: 'held', reason: 'in-doubt' }])
      await again.db.close()
    }))

  test('is not restored beside what a crashed SQLite left: its log would be played into the restored database', () =>
    inFolder(async (data) => {
      const settings = settingsAt(data)
      assert.deepEqual(await inTheWay(settings), [])
      for (const name of ['db-wal', 'db-shm', 'db-journal']) await writeFile(join(data, name), 'x')
      assert.deepEqual(await inTheWay(settings), [join(data, 'db-wal'), join(data, 'db-shm'), join(data, 'db-journal')])
    }))

  test('that holds its database is not restored where the settings name a server', () =>
    inFolder(async (data) => {
      const parts = await open(settingsAt(data))
      const path = join(data, 'out.tar.age')
      await makeBackup(plan(parts.settings, path, identity.publicKey))
      await parts.db.close()
      const settings = settingsAt(join(data, 'again'), 'postgres://ann:secret@127.0.0.1:1/mail')
      await assert.rejects(restore(path, settings), /holds an SQLite database, and the setting `database` names a server/)
      assert.deepEqual(await readdir(settings.data), [])
    }))

  test('is restored into folders that are there and cannot be replaced, as mounted ones are', () =>
    inFolder(async (data) => {
      const parts = await open(settingsAt(data))
      const id = await accept(parts, 400_000)
      const path = join(data, 'out.tar.age')
      await makeBackup(plan(parts.settings, path, identity.publicKey))
      await parts.db.close()
      const settings = settingsAt(join(data, 'again'))
      const before = new Map<string, number>()
      for (const name of ['keys', 'blobs']) {
        await mkdir(join(settings.data, name, 'lost+found'), { recursive: true })
        before.set(name, (await stat(join(settings.data, name))).ino)
      }
      await restore(path, settings)
      for (const [name, ino] of before) assert.equal((await stat(join(settings.data, name))).ino, ino)
      const again = await open(settings)
      assert.equal((await openClaimed(again, id)).kind, 'content')
      await again.db.close()
    }))

  test('without the keys of the hours has no epoch key in it, and says of each waiting message that nobody can open it', () =>
    inFolder(async (data) => {
      const parts = await open(settingsAt(data))
      await accept(parts, 10)
      const path = join(data, 'out.tar')
      const { manifest } = await makeBackup(plan(parts.settings, path))
      await parts.db.close()
      assert.ok(!manifest.files.some(({ name }) => name.includes('epoch-')))
      assert.ok(manifest.files.some(({ name }) => name === 'keys/mac.key'))
      const clear: Buffer[] = []
      for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) clear.push(chunk)
      assert.ok(!Buffer.concat(clear).includes('AGE-SECRET-KEY-1'))
      const settings = settingsAt(join(data, 'again'))
      const done = await restore(path, settings)
      assert.deepEqual([done.held, done.unreadable], [1, 1])
      const db = await openDatabase(settings)
      assert.deepEqual(
        (await recipients(db)).map(({ state, reason }) => [state, reason]),
        [['held', 'content-damaged']],
      )
      await db.close()
    }))

  test(
    'of a gateway on PostgreSQL holds blobs and keys; restoring it holds what waits in the database put back',
    { skip: withoutPostgres },
    () =>
      inFolder(async (data) => {
        const postgres = await startPostgres()
        try {
          const database = await postgres.makeDatabase()
          const parts = await open(settingsAt(data, database))
          const id = await accept(parts, 400_000)
          await accept(parts, 10)
          const path = join(data, 'out.tar.age')
          const { manifest } = await makeBackup(plan(parts.settings, path, identity.publicKey))
          await parts.db.close()
          assert.deepEqual([manifest.database, manifest.files.some(({ name }) => name === 'database.sqlite')], ['postgres', false])
          const settings = settingsAt(join(data, 'again'), database)
          const done = await restore(path, settings)
          assert.deepEqual([done.held, done.unreadable], [2, 0])
          const again = await open(settings)
          assert.ok((await recipients(again.db)).every(({ state, reason }) => state === 'held' && reason === 'restored'))
          assert.equal((await openClaimed(again, id)).kind, 'content')
          await again.db.close()
        } finally {
          await postgres.close()
        }
      }),
  )
})
