import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTransport } from 'nodemailer'
import { operate } from '../../src/spool/queue.ts'
import { sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { eventually, startPeers } from '../stories/world.ts'
import { prepareGateway } from './gateway.ts'

test('a message that ends the process whenever it is attempted is held after the third time; other mail flows', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-poison-'))
  const peers = await startPeers(folder, { 'lab.example': {} }, { 'retry.schedule': [1000] })
  const lab = peers.partners['lab.example'] ?? assert.fail()
  const gateway = await prepareGateway(folder, peers.settings)
  const db = await openDatabase(peers.settings)
  const send = async (subject: string) => {
    const client = createTransport({ ...gateway.at, tls: { rejectUnauthorized: false } })
    await client.sendMail({ from: 'a@org.example', to: 'b@lab.example', subject, text: 'x' }).finally(() => client.close())
  }
  const states = async () => (await db.read<{ state: string }>(sql`SELECT state FROM recipient ORDER BY id`)).map(({ state }) => state)
  try {
    // It may end the process while its rows are being written: then nobody said 250, and its sender tries again. Delivery may be faster than the 250.
    for (let tries = 1; (await states()).length === 0; tries++) {
      assert.ok(tries <= 2, 'after the first crash it is accepted before it is looked at')
      await gateway.start('deliver.opened:1')
      await send('poison').catch(() => undefined)
      assert.equal(await gateway.ended(), 'SIGKILL')
    }
    for (let times = 2; times <= 3; times++) {
      await gateway.start('deliver.opened:1')
      assert.equal(await gateway.ended(), 'SIGKILL', `the attempt after start ${times} ends it again`)
    }
    assert.ok(await gateway.start('deliver.opened:1'), 'the fourth start is no loop of crashes')
    await eventually('the message to be held', async () => ((await states())[0] === 'held' ? true : undefined))
    await eventually('the log to say so', () => /a message is held/.exec(gateway.said()) ?? undefined, gateway.said)
    assert.equal(await gateway.stop(), 0)

    await gateway.start()
    await send('other')
    await eventually('the other mail to arrive', async () => lab.mails[0])
    await eventually('it to be settled', async () => ((await states())[1] === 'delivered' ? true : undefined))
    assert.deepEqual(await states(), ['held', 'delivered'])
    const [told] = await db.read<{ object: string }>(sql`SELECT object FROM audit WHERE action = 'recipient.held'`)
    assert.ok(told)
    await operate(db, 'release', { kind: 'id', id: told.object }, { actor: 'cli:test', now: Date.now(), dryRun: false })
    await eventually('the released mail to arrive', async () => lab.mails[1])
    assert.match(lab.mails[1]?.content.toString() ?? '', /Subject: poison/)
  } finally {
    gateway.kill()
    await gateway.ended()
    await db.close()
    await peers.close()
    await rm(folder, { recursive: true, force: true })
  }
})
