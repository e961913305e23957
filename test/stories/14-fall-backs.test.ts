import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { standings } from '../../src/monitor/fall-backs.ts'
import { runProgram } from '../world/program.ts'
import { writeSettings } from '../world/settings-file.ts'
import { startWorld, type World } from './world.ts'

let world: World
let folder: string
let config: string
before(async () => {
  world = await startWorld({ 'lab.example': {}, 'town.example': { certificate: 'none' }, 'diy.example': { certificate: 'self-signed' } })
  folder = await mkdtemp(join(tmpdir(), 'letterlock-fall-backs-'))
  config = join(folder, 'letterlock.yaml')
  await writeSettings(config, world.settings)
})
after(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

/** What the command prints. */
const letterlock = async (...args: string[]): Promise<string> => (await runProgram(['domain', ...args, '--config', config], { folder })).out

const write = async (...to: string[]) => world.settled(await world.send({ from: 'a@org.example', to, subject: 'Results', text: 'Well.' }))

test('domain list and show count the messages that fell back within 7 days, and flag three', async () => {
  for (let i = 0; i < 3; i++) await write('ann@town.example', 'ben@town.example', 'vera@lab.example')
  await write('dora@diy.example')
  const { domains } = JSON.parse(await letterlock('list', '--json'))
  assert.deepEqual(
    domains.map(({ domain, fellBack: { count, reason } }: { domain: string; fellBack: object & { count: number; reason: string } }) => [
      domain,
      count,
      reason,
    ]),
    [
      ['diy.example', 1, 'certificate-not-trusted'],
      ['town.example', 3, 'starttls-not-supported'],
    ],
    'messages, not recipients; none for a domain whose TLS stands',
  )
  const listed = await letterlock('list')
  assert.match(
    listed,
    /^diy\.example +not probed yet .* fell back 1 time in 7 days, last because certificate not trusted \(certificate-not-trusted\)$/m,
  )
  assert.match(
    listed,
    /^town\.example +not probed yet .*! fell back 3 times in 7 days, last because no STARTTLS is offered \(starttls-not-supported\)$/m,
  )
  assert.match(
    await letterlock('show', 'town.example'),
    /^ {2}! fell back 3 times in 7 days, last because no STARTTLS is offered \(starttls-not-supported\)$/m,
  )
  const shown = JSON.parse(await letterlock('show', 'town.example', '--json'))
  assert.ok(Math.abs(Date.now() - 7 * 86_400_000 - shown.fellBack.since) < 60_000)
})

test('what is older than 7 days is no longer counted, and the last reason is the last one told', async () => {
  await write('otto@diy.example')
  const now = Date.now()
  assert.deepEqual(
    (await standings(world.db, now, 'diy.example')).map(({ fellBack }) => fellBack.count),
    [2],
  )
  assert.deepEqual(await standings(world.db, now + 7 * 86_400_000 + 1, 'diy.example'), [])
})

test('a message that was returned to its sender, or is too large for its partner, is no fall-back of the domain', async () => {
  const tls = world.certificates['lab.example'] ?? assert.fail()
  let refused = 0
  world.partners['lab.example']?.behave({ tls, script: (verb) => (verb === 'MAIL' && refused++ === 0 ? '552 5.3.4 too large' : undefined) })
  const large = await write('vera@lab.example')
  assert.deepEqual([large.recipients[0]?.method, large.recipients[0]?.reason], ['escrow', 'message-too-large'])
  await world.applyPolicy('version: 1\nrules: []\ndefault:\n  deliver: [tls]\n')
  const returned = await write('tom@town.example')
  assert.equal(returned.recipients[0]?.state, 'bounced')
  assert.deepEqual(await standings(world.db, Date.now(), 'lab.example'), [])
  assert.deepEqual(
    (await standings(world.db, Date.now(), 'town.example')).map(({ fellBack }) => fellBack.count),
    [3],
  )
})
