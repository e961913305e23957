import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pathOf } from '../../src/ops/settings.ts'
import { listEpochs } from '../../src/seal/keyring.ts'
import { sql } from '../../src/store/db.ts'
import { runProgram } from '../world/program.ts'
import { eventually, startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld({ 'shut.example': { manner: { script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 later' : undefined) } } })
})
after(() => world?.close())

type Epochs = { epochs: { epoch: string; key: string; messages: number }[] }

/** Run `letterlock keys spool …` beside the gateway of this process. */
async function spoolKeys(...args: string[]): Promise<Epochs> {
  const { data, database, keys, blobs } = world.settings
  const env = { LETTERLOCK_DATA: data, LETTERLOCK_DATABASE: database, LETTERLOCK_KEYS: keys, LETTERLOCK_BLOBS: blobs }
  const ran = await runProgram(['keys', 'spool', ...args, '--json'], { env })
  assert.equal(ran.code, 0, ran.err)
  return JSON.parse(ran.out) as Epochs
}

const mail = { from: 'a@org.example', to: 'max@shut.example', subject: 'x', text: 'x' }
const there = () => listEpochs(pathOf(world.settings.keys))

test('beside a running server a rotation is asked of it: the command itself begins no epoch, and what waits opens by the new one', async () => {
  const id = await world.send(mail)
  const [first] = there()
  const listed = await spoolKeys('list')
  assert.deepEqual(listed.epochs, [{ ...listed.epochs[0], epoch: first, key: 'current', messages: 1 }])
  await spoolKeys('rotate', '--dry-run')
  assert.deepEqual(there(), [first])
  await spoolKeys('rotate')
  assert.equal(there().length, 2)
  await eventually('the message to be wrapped by the new key', async () => {
    const [row] = await world.db.read<{ epoch: string }>(sql`SELECT epoch FROM message WHERE id = ${id}`)
    return row?.epoch === there().at(-1) || undefined
  })
})

test('without a server it is done at once, and only the new key is left', async () => {
  await world.gateway().stop(1000)
  const before = there()
  const { epochs } = await spoolKeys('rotate')
  assert.equal(epochs.length, 1)
  assert.ok(!before.includes(epochs[0]?.epoch ?? ''))
  assert.deepEqual(there(), [epochs[0]?.epoch])
  assert.equal(epochs[0]?.messages, 1)
})

test('a policy revision altered in the database decides nothing: the gateway starts, and its mail is held', async () => {
  await world.restart()
  await world.db.write(sql`UPDATE policy_revision SET text = 'version: 1\ndefault: { deliver: [opportunistic] }\n'`)
  await world.restart()
  const id = await world.send(mail)
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ state, reason }) => [state, reason]),
    [['held', 'content-damaged']],
  )
  assert.match(recipients[0]?.lastReply ?? '', /policy revision 1 was altered in the database/)
  await world.applyPolicy('version: 1\ndefault: { deliver: [tls, escrow] }\n')
  const next = await world.send(mail)
  await eventually('the next mail to be planned', async () => {
    const [row] = await world.db.read<{ plan: string | null }>(sql`SELECT plan FROM recipient WHERE message = ${next}`)
    return row?.plan ? true : undefined
  })
})
