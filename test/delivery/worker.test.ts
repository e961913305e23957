import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { startWorker } from '../../src/delivery/worker.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'

let data: string
let parts: SpoolParts
let now = Date.now()
const log = pino({ level: 'silent' })

before(async () => {
  data = await mkdtemp(join(tmpdir(), 'worker-'))
  const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}` })
  const clock = () => now
  const [db, keyring] = [await openDatabase(settings), await openKeyring(join(data, 'keys'), clock)]
  parts = { settings, clock, db, blobs: openBlobs(join(data, 'blobs')), keyring }
})
after(async () => {
  await parts.db.close()
  await rm(data, { recursive: true, force: true })
})

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

async function accept(address: string): Promise<void> {
  const intake = createSpool(parts).intake()
  await intake.write(Buffer.from('Subject: x\r\n\r\nhello\r\n'))
  await intake.commit({
    envelope: { reversePath: 's@org.example', recipients: [{ address, notify: [], bcc: false }], body: '7bit', smtpUtf8: false },
    ...{ messageId: '<1@org.example>', headerFrom: 's@org.example' },
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
}

test('a group under way is not attempted a second time when the clock jumps past its claim', async () => {
  await accept('a@lab.example')
  const attempted: string[] = []
  let release = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  const deliver = async (group: { domain: string; recipients: readonly { id: string }[] }) => {
    attempted.push(group.domain)
    if (group.domain === 'lab.example') await slow
    for (const { id } of group.recipients) await parts.db.write(sql`UPDATE recipient SET state = 'delivered' WHERE id = ${id}`)
  }
  const worker = await startWorker({ spoolParts: parts, settings: parts.settings, clock: parts.clock, log, deliver })
  while (attempted.length === 0) await wait(5)
  now += 400 * 86_400_000
  await accept('b@shop.example')
  worker.wake()
  while (!attempted.includes('shop.example')) await wait(5)
  await wait(100)
  assert.deepEqual(attempted, ['lab.example', 'shop.example'])
  release()
  await worker.stop(1000)
})
