/** Steps of the policy that wait for people: held by a rule, or because a letter would need more proof than there is. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listQueue } from '../../src/delivery/trace.ts'
import type { PartnerMail } from '../../src/demo/partner.ts'
import { operate, type QueueAction, type QueueChoice } from '../../src/spool/queue.ts'
import { sql } from '../../src/store/db.ts'
import { runProgram } from '../world/program.ts'
import { startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld(
    { 'lab.example': {}, 'bare.example': { certificate: 'none' } },
    // No route leads to the second domain: nobody there is told.
    { 'organisation.domains': ['org.example', 'branch.org.example'] },
  )
  await world.applyPolicy(`version: 1
rules:
  - name: board
    when: { subject-tag: board }
    deliver: [{ hold: { approvers: [head@org.example, deputy@org.example, away@branch.org.example] } }, tls, escrow]
  - name: twice
    when: { subject-tag: twice }
    deliver: [{ hold: { approvers: head@org.example } }, { hold: { approvers: deputy@org.example } }, tls]
  - name: hr
    when: { subject-tag: hr }
    deliver: [tls, { escrow: { proof: second-factor } }]
  - name: legal
    when: { subject-tag: legal }
    deliver: [tls, { escrow: { on-clear-path: second-factor } }]
default: { deliver: [tls, escrow] }
`)
})
after(() => world?.close())

const send = (tag: string, to: string | string[], more = {}) =>
  world.send({ from: 'ann@org.example', to, subject: `[${tag}] kanarienbetreff`, text: 'kanarienvogel', ...more })
/** What operators do; the gateway looks at once after a start, else within five seconds. */
const act = async (action: QueueAction, choice: QueueChoice, comment?: string) => {
  const done = await operate(world.db, action, choice, { actor: 'cli:root', now: Date.now(), dryRun: false, comment })
  if (done.changed.length > 0) await world.restart()
  return done
}
const held = (id: string, attempts = 1) =>
  world.settled(id, ({ recipients }) => recipients.every((one) => one.state === 'held' && one.attempts === attempts))
/** Where commands find the gateway's database. */
const commandsOf = ({ settings: { data, database } }: World) => ({ LETTERLOCK_DATA: data, LETTERLOCK_DATABASE: database })
const readable = (content: Buffer) => content.toString().replaceAll('=\r\n', '').replaceAll('\r\n', '\n')
/** Whether the organisation's own server got this mail for `to`, and it names the message. */
const tells = (id: string, to: string) => (mail: PartnerMail) =>
  mail.recipients.some(({ address }) => address === to) && readable(mail.content).includes(id)
const told = (id: string, to: string) => world.own.mails.filter(tells(id, to)).map(({ content }) => readable(content))
/** How many reports to the sender were ever written. */
const reports = async (id: string) => (await world.db.read(sql`SELECT id FROM message WHERE kind = 'dsn' AND about = ${id}`)).length
const arrived = async (id: string, to: string) => readable((await world.arrival(world.own, tells(id, to))).content)

test('mail that a rule holds is sent nowhere; its sender and those who may release it are told, without its content', async () => {
  const id = await send('board', 'max@lab.example')
  const { recipients } = await held(id)
  assert.deepEqual([recipients[0]?.reason, recipients[0]?.method], ['held-by-rule', 'hold'])
  assert.match(
    recipients[0]?.lastReply ?? '',
    /held until head@org\.example, deputy@org\.example or away@branch\.org\.example releases or returns it/,
  )
  const sender = await arrived(id, 'ann@org.example')
  assert.match(sender, /Your message has not been sent yet to max@lab\.example.*a person decides about it/s)
  const request = await arrived(id, 'head@org.example')
  await arrived(id, 'deputy@org.example')
  assert.match(request, /held by the rule "board".*From: +ann@org\.example\nTo: +max@lab\.example\nSize: +\d+ bytes/s)
  assert.ok(request.includes(`queue release ${id}-1`))
  for (const text of [request, sender]) assert.doesNotMatch(text, /kanarien/)
  assert.deepEqual([world.partners['lab.example']?.mails.length, told(id, 'ann@org.example').length], [0, 1])
  assert.deepEqual(
    (await listQueue(world.db)).filter(({ message }) => message === id).map(({ rule, approvers }) => [rule, approvers.length]),
    [['board', 3]],
  )
})

test('released, it goes on with the step behind the hold; the audit says who and why', async () => {
  const id = await send('board', 'eva@lab.example')
  await held(id)
  assert.deepEqual((await act('release', { kind: 'domain', domain: 'lab.example' })).changed, [], 'not with all mail of a domain')
  assert.deepEqual((await act('release', { kind: 'id', id }, 'checked')).changed, [`${id}-1`])
  const { recipients } = await world.settled(id)
  assert.deepEqual([recipients[0]?.state, recipients[0]?.method, recipients[0]?.reason], ['delivered', 'tls', null])
  const [entry] = await world.db.read<{ actor: string; detail: string }>(
    sql`SELECT actor, detail FROM audit WHERE action = 'recipient.release' AND object = ${`${id}-1`}`,
  )
  assert.deepEqual([entry?.actor, entry?.detail], ['cli:root', '{"comment":"checked"}'])
})

test('two holds are two decisions, each asked of its own people, and the sender is told once', async () => {
  const id = await send('twice', 'max@lab.example')
  await held(id)
  assert.equal(told(id, 'deputy@org.example').length, 0)
  await act('release', { kind: 'id', id })
  await held(id, 2)
  await act('release', { kind: 'id', id })
  assert.equal((await world.settled(id)).recipients[0]?.method, 'tls')
  await arrived(id, 'deputy@org.example')
  assert.deepEqual([told(id, 'head@org.example').length, await reports(id)], [1, 1])
})

test('returned, it goes back to its sender with a report', async () => {
  const id = await send('board', 'kim@lab.example')
  await held(id)
  await act('bounce', { kind: 'id', id }, 'not this quarter')
  const { recipients } = await world.settled(id)
  assert.deepEqual([recipients[0]?.state, recipients[0]?.reason], ['bounced', 'returned-by-operator'])
  await world.arrival(world.own, ({ content }) => content.includes('kim@lab.example') && content.includes('Action: failed'))
})

test('held mail stays held when the gateway is started again', async () => {
  const id = await send('board', 'old@lab.example')
  await held(id)
  await world.restart()
  assert.equal((await held(id)).recipients[0]?.attempts, 1)
})

test('the queue shows what is held, by which rule and who may release it', async () => {
  const id = await send('board', 'cli@lab.example')
  await held(id)
  const run = async (...args: string[]) => (await runProgram(['queue', ...args], { env: commandsOf(world) })).out
  assert.match(await run('list', '--held'), /cli@lab\.example +held-by-rule +board +head@org\.example, deputy@org\.example/)
  assert.match(await run('list'), new RegExp(`${id}-1 +mail +cli@lab\\.example +held +\\d+ +when released +held-by-rule`))
  assert.match(
    await run('release', '--domain', 'lab.example'),
    new RegExp(`${id}-1 is left as it is: a rule holds it; look at it, then: letterlock queue release ${id}-1`),
  )
  assert.match(await run('release', id, '--comment', 'by hand'), new RegExp(`${id}-1 is released`))
  await world.restart()
  assert.equal((await world.settled(id)).recipients[0]?.state, 'delivered')
})

test('a letter that needs a second factor is held and its sender told; released, it is tried again from the first step', async () => {
  for (const [tag, reason] of [
    ['hr', 'not-available'],
    ['legal', 'not-available'],
  ] as const) {
    const id = await send(tag, `${tag}@bare.example`)
    const { recipients } = await held(id)
    assert.deepEqual([recipients[0]?.reason, recipients[0]?.method], [reason, 'escrow'])
    const { out } = await runProgram(['explain', id], { env: commandsOf(world) })
    assert.match(
      out,
      /1 tls +asked verified +mx\.bare\.example offers no STARTTLS +refused +starttls-not-supported\n.*2 escrow .* waits +not-available/s,
    )
    assert.match(out, /Would be TLS if: bare\.example .*STARTTLS/)
    assert.match(
      await arrived(id, 'ann@org.example'),
      /Your message has not been sent yet to .*demands a (?:letter with a )?second factor/s,
    )
    await act('release', { kind: 'id', id })
    await held(id, 2)
    assert.equal(await reports(id), 1, 'told once')
    assert.deepEqual(await world.db.read(sql`SELECT id FROM letter`), [])
    await act('bounce', { kind: 'id', id })
    assert.equal((await world.settled(id)).recipients[0]?.reason, 'returned-by-operator')
  }
})
