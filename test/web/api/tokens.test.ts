import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { sql } from '../../../src/store/db.ts'
import { createTokens } from '../../../src/web/api/tokens.ts'
import { type ApiWorld, day, startApiWorld } from './world.ts'

let world: ApiWorld
before(async () => {
  world = await startApiWorld()
})
after(() => world?.close())

const good = '/api/v1/policy/revisions'

describe('a token', () => {
  test('is kept as a hash alone, and its making and end are in the audit without it', async () => {
    const { token, id } = await world.tokens.create({ role: 'owner', name: 'one', lifetime: day, by: 'cli:ann' })
    assert.match(token, /^letterlock_[\w-]{43}$/)
    assert.equal((await world.ask(good, { token })).status, 200)
    await world.tokens.revoke(id, 'cli:ann')
    const everything = JSON.stringify([
      await world.db.read(sql`SELECT * FROM api_token`),
      await world.db.read(sql`SELECT * FROM audit`),
      await world.tokens.list(),
    ])
    assert.ok(!everything.includes(token))
    assert.ok(everything.includes(createHash('sha256').update(token).digest('hex')))
    for (const action of ['token.created', 'token.revoked']) assert.ok(everything.includes(action))
  })

  test('that is missing, malformed, unknown, expired, revoked or planted gets the very same answer', async () => {
    const make = (lifetime: number) => world.tokens.create({ role: 'owner', name: '', lifetime, by: 'test' })
    const [short, revoked] = [await make(1000), await make(day)]
    await world.tokens.revoke(revoked.id, 'test')
    world.later(2000)
    // Whoever can only write the database signs with a key that is not ours, or makes an auditor an owner.
    const stranger = createTokens({ ...world, signer: { sign: () => Buffer.alloc(64), verify: () => true } })
    const planted = await stranger.create({ role: 'owner', name: '', lifetime: day, by: 'test' })
    const raised = await world.tokens.create({ role: 'auditor', name: '', lifetime: day, by: 'test' })
    await world.db.write(sql`UPDATE api_token SET role = 'owner' WHERE id = ${raised.id}`)
    const tried = [undefined, 'x', `letterlock_${'A'.repeat(43)}`, short.token, revoked.token, planted.token, raised.token]
    const replies = []
    for (const token of tried) replies.push(await world.ask(good, { token }))
    const seen = replies.map(({ status, text, headers }) =>
      JSON.stringify([status, text, [...headers].filter(([name]) => name !== 'date')]),
    )
    assert.deepEqual([...new Set(seen)].length, 1, seen.join('\n'))
    assert.equal(replies[0]?.status, 401)
    assert.equal(replies[0]?.headers.get('www-authenticate'), 'Bearer realm="letterlock"')
  })

  test('that fails too often makes its address wait, whatever it tries next, but a good token is served', async () => {
    world.later(20 * 60_000)
    const token = await world.tokenOf('auditor')
    const statuses = []
    for (let tries = 0; tries < 12; tries++)
      statuses.push((await world.ask(good, { token: `letterlock_${String(tries).padEnd(43, 'x')}` })).status)
    assert.deepEqual(statuses, [...Array(10).fill(401), 429, 429])
    assert.ok(Number((await world.ask(good)).headers.get('retry-after')) > 500)
    assert.equal((await world.ask(good, { token })).status, 200)
    world.later(11 * 60_000)
    assert.equal((await world.ask(good)).status, 401)
  })

  test('works until its end and notes when it was used', async () => {
    const { token, id, expiresAt } = await world.tokens.create({ role: 'auditor', name: 'ci', lifetime: day, by: 'test' })
    assert.equal((await world.ask(good, { token })).status, 200)
    const listed = (await world.tokens.list()).find((one) => one.id === id)
    assert.deepEqual([listed?.usedAt, listed?.expiresAt], [world.clock(), expiresAt])
    world.later(day)
    assert.equal((await world.ask(good, { token })).status, 401)
  })

  test('in an address is not looked at', async () => {
    const token = await world.tokenOf('owner')
    assert.equal((await world.ask(`${good}?access_token=${token}`)).status, 401)
  })
})
