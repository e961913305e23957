import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listQueue } from '../../src/delivery/trace.ts'
import { operate, type QueueAction, type QueueChoice } from '../../src/spool/queue.ts'
import { startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld(
    { 'shut.example': { manner: { script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 later' : undefined) } } },
    { 'retry.schedule': [3_600_000], 'retry.delayNotice': 0 },
  )
})
after(() => world?.close())

const act = (action: QueueAction, choice: QueueChoice, dryRun = false) =>
  operate(world.db, action, choice, { actor: 'test', now: Date.now(), dryRun })
const send = async (to: string) => {
  const id = await world.send({ from: 'a@org.example', to, subject: 's', text: 't' })
  await world.settled(id, ({ recipients }) => recipients[0]?.attempts === 1)
  return id
}

test('the sender hears once that a message waits, in plain words', async () => {
  await send('slow@shut.example')
  const notice = await world.arrival(world.own, ({ content }) => content.includes('slow@shut.example'))
  assert.match(notice.content.toString(), /Action: delayed/)
  assert.match(notice.content.toString(), /delayed|has not been delivered/i)
  await act('retry', { kind: 'domain', domain: 'shut.example' })
  await world.settled((await listQueue(world.db))[0]?.message ?? '', ({ recipients }) => (recipients[0]?.attempts ?? 0) >= 2)
  assert.equal(world.own.mails.filter(({ content }) => content.includes('slow@shut.example')).length, 1)
})

test('held mail is not tried until it is released; retry tries waiting mail at once', async () => {
  const id = await send('held@shut.example')
  assert.deepEqual(await act('hold', { kind: 'id', id }, true), { changed: [`${id}-1`], left: [] })
  assert.equal((await world.settled(id, () => true)).recipients[0]?.state, 'waiting', 'a dry run changes nothing')
  await act('hold', { kind: 'id', id })
  assert.deepEqual(await act('retry', { kind: 'id', id }), { changed: [], left: [`${id}-1`] })
  assert.equal((await world.settled(id, () => true)).recipients[0]?.state, 'held')
  await act('release', { kind: 'id', id })
  await world.settled(id, ({ recipients }) => recipients[0]?.state === 'waiting' && recipients[0].attempts === 2)
})

test('mail that an operator returns goes back with a report that says so', async () => {
  const id = await send('back@shut.example')
  await act('bounce', { kind: 'id', id: `${id}-1` })
  const { recipients } = await world.settled(id)
  assert.deepEqual([recipients[0]?.state, recipients[0]?.reason], ['bounced', 'returned-by-operator'])
  await world.arrival(world.own, ({ content }) => content.includes('back@shut.example') && content.includes('Action: failed'))
})
