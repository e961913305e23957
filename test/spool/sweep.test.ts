/** What the start of the program asks about blob files costs the same with however much mail waiting. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CommandError } from '../../src/ops/errors.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { refuseLostBlobs } from '../../src/spool/belonging.ts'
import { sweepBlobs } from '../../src/spool/sweep.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

test('the start finds the rows of blob files by an index, without reading contents', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-sweep-'))
  const settings = defaultSettings({ data: folder, database: `sqlite:${join(folder, 'db')}`, blobs: `file:${join(folder, 'away')}` })
  const db = await openDatabase(settings)
  try {
    const plans: string[] = []
    const read: Db['read'] = async (statement) => {
      plans.push(JSON.stringify(await db.read({ text: `EXPLAIN QUERY PLAN ${statement.text}`, values: statement.values })))
      return db.read(statement)
    }
    const blobs = openBlobs(join(folder, 'blobs'))
    const [kept, orphan] = [blobs.write(), blobs.write()]
    const { name } = await kept.finish()
    await orphan.finish()
    await db.write(
      sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
        VALUES ('one', 'mail', '<1@x>', '', '', 0, 1, 1, '7bit', 0, '{}', ${Buffer.alloc(1)})`,
      sql`INSERT INTO content (message, blob, payload_size, payload_sha256) VALUES ('one', ${name}, 1, '')`,
    )
    await assert.rejects(refuseLostBlobs({ ...db, read }, settings), CommandError)
    assert.equal(await sweepBlobs({ db: { ...db, read }, blobs } as Parameters<typeof sweepBlobs>[0]), 1)
    assert.equal(plans.length, 3)
    for (const plan of plans) assert.match(plan, /SEARCH content USING (?:COVERING )?INDEX content_blob/)
  } finally {
    await db.close()
    await rm(folder, { recursive: true, force: true })
  }
})
