import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTransport } from 'nodemailer'
import type { Manner } from '../../src/demo/partner.ts'
import { type Statement, sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { eventually, startPeers, startWorld } from '../stories/world.ts'
import { prepareGateway } from './gateway.ts'

/** A client in the middle of DATA, and the function that ends it. */
async function dawdle(at: { readonly host: string; readonly port: number }): Promise<() => void> {
  const socket = connect(at)
  socket.on('error', () => undefined)
  socket.write('EHLO slow.org.example\r\nMAIL FROM:<a@org.example>\r\nRCPT TO:<b@lab.example>\r\nDATA\r\n')
  for (let said = ''; !/^354/m.test(said); ) said += String(await once(socket, 'data'))
  const trickle = setInterval(() => socket.write('x'), 100)
  return () => {
    clearInterval(trickle)
    socket.destroy()
  }
}

/** Answers the end of each content so late. */
const slowly = (milliseconds: number): Manner => ({
  script: (verb) => (verb === 'DOT' ? { send: '250 2.0.0 ok\r\n', everyMs: milliseconds / 14, then: 'go-on' } : undefined),
})

test('a client that dawdles in DATA costs nobody: what is being delivered when the gateway stops is finished', async () => {
  const world = await startWorld({ 'lab.example': { manner: slowly(2000) } })
  const at = world.settings['smtp.listen'][0] ?? assert.fail()
  const end = await dawdle(at)
  try {
    const send = (number: number) => world.send({ from: 'a@org.example', to: `u${number}@lab.example`, text: 'x' })
    for (let number = 0; number < 80; number += 20) await Promise.all(Array.from({ length: 20 }, (_, index) => send(number + index)))
    const count = async (which: Statement) => (await world.db.read<{ number: number }>(which))[0]?.number ?? 0
    const claimed = sql`SELECT COUNT(*) AS number FROM recipient WHERE claimed_until > 0`
    const waiting = sql`SELECT COUNT(*) AS number FROM recipient WHERE state = 'waiting'`
    const stopping = world.gateway().stop(60_000)
    // The client is still there, but nothing new is begun: the time left belongs to what is under way.
    await eventually('what is under way to be finished', async () => ((await count(claimed)) === 0 ? true : undefined))
    assert.ok((await count(waiting)) > 0, 'all of it was delivered: nothing was stopped')
    end()
    await stopping
    const found = await world.db.read<{ reason: string | null; last_reply: string | null }>(
      sql`SELECT reason, last_reply FROM recipient WHERE state = 'waiting' AND attempts > 0`,
    )
    assert.deepEqual(found, [], 'no attempt was broken off')
  } finally {
    end()
    await world.close()
  }
})

test(
  'SIGTERM ends the process within 30 s, whatever clients and next hops do',
  {
    skip: process.env.LONG_TESTS ? false : 'takes half a minute; LONG_TESTS=1',
  },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'letterlock-stop-'))
    const silent: Manner = { script: (verb) => (verb === 'DOT' ? { then: 'silence' } : undefined) }
    const peers = await startPeers(folder, { 'lab.example': { manner: silent } })
    const gateway = await prepareGateway(folder, peers.settings)
    const db = await openDatabase(peers.settings)
    try {
      assert.ok(await gateway.start(), gateway.said())
      const client = createTransport({ ...gateway.at, tls: { rejectUnauthorized: false } })
      await client.sendMail({ from: 'a@org.example', to: 'u@lab.example', text: 'x' })
      client.close()
      const end = await dawdle(gateway.at)
      await eventually('the next hop to be silent', async () => peers.partners['lab.example']?.lines.find(({ line }) => line === 'DATA'))
      const from = performance.now()
      assert.equal(await gateway.stop(), 0)
      assert.ok(performance.now() - from < 30_000)
      end()
      const rows = await db.read<{ state: string; claimed_until: number }>(sql`SELECT state, claimed_until FROM recipient`)
      assert.deepEqual(rows, [{ state: 'waiting', claimed_until: 0 }], 'the message waits; what came half is not there')
    } finally {
      gateway.kill()
      await db.close()
      await peers.close()
      await rm(folder, { recursive: true, force: true })
    }
  },
)
