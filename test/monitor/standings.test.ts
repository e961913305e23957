import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { standings, standingsPage } from '../../src/monitor/fall-backs.ts'
import { enlist } from '../../src/monitor/history.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import type { Db } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

const now = Date.UTC(2026, 10, 23)
let folder: string
let db: Db
const read: string[] = []
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-standings-'))
  const opened = await openDatabase({ ...defaultSettings({}), data: folder, database: `sqlite:${join(folder, 'db')}` })
  db = {
    ...opened,
    read: async (statement) => {
      const rows = await opened.read(statement)
      read.push(...rows.flatMap((row) => ('next_at' in (row as object) ? [String((row as { domain: string }).domain)] : [])))
      return rows as never
    },
  }
  await db.write(...Array.from({ length: 25 }, (_, i) => enlist({ domain: `d${String(i).padStart(2, '0')}.example`, at: now }, now)))
})
after(async () => {
  await db?.close()
  await rm(folder, { recursive: true, force: true })
})

test('the pages of domains are together all of them, each once, and a page reads no more than its own', async () => {
  const all = (await standings(db, now)).map(({ domain }) => domain)
  const pages: string[] = []
  for (;;) {
    read.length = 0
    const page = await standingsPage(db, now, { after: pages.at(-1) ?? '', limit: 10 })
    assert.deepEqual(
      read,
      page.map(({ domain }) => domain),
    )
    if (page.length === 0) break
    pages.push(...page.map(({ domain }) => domain))
  }
  assert.equal(pages.length, 25)
  assert.deepEqual(pages, all)
})
