/** Users and their passwords against a real database. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { createUsers } from '../../src/submission/users.ts'

const folder = await mkdtemp(join(tmpdir(), 'letterlock-users-'))
const db = openSqlite(join(folder, 'test.db'))
await migrate(db, 'migrations')
after(async () => {
  await db?.close()
  await rm(folder, { recursive: true })
})

let now = 1_700_000_000_000
const newUsers = (failures = 100, slowness = 0) =>
  createUsers({ db, clock: () => now, settings: { 'limits.authFailures': failures }, slowness })
const password = 'correct horse battery'

test('an added user signs in by any case of the name, with this password only', async () => {
  const users = newUsers()
  assert.deepEqual(await users.add('Anna', password, 'test'), { kind: 'added', name: 'anna' })
  assert.deepEqual(await users.check('ANNA', password, '192.0.2.1'), { kind: 'user', name: 'anna' })
  for (const wrong of ['', password.toUpperCase(), `${password} `, 'x'.repeat(5000)])
    assert.deepEqual(await users.check('anna', wrong, '192.0.2.1'), { kind: 'wrong' }, wrong)
  assert.deepEqual(await users.check('nobody', password, '192.0.2.1'), { kind: 'wrong' })
})

test('the password is stored as argon2id and written nowhere else', async () => {
  const users = newUsers()
  await users.add('stored', password, 'test')
  const [row] = await db.read<{ password_hash: string }>(sql`SELECT password_hash FROM smtp_user WHERE name = 'stored'`)
  assert.match(row?.password_hash ?? '', /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  const [audit] = await db.read<{ actor: string; detail: string }>(sql`SELECT * FROM audit WHERE object = 'stored'`)
  assert.equal(audit?.actor, 'test')
  assert.doesNotMatch(JSON.stringify(audit), /correct/)
})

test('a disabled user is refused like an unknown one, and enabled by a new password', async () => {
  const users = newUsers()
  await users.add('carol', password, 'test')
  assert.deepEqual(await users.disable('carol', 'test'), { kind: 'disabled' })
  assert.deepEqual(await users.disable('carol', 'test'), { kind: 'unknown' })
  assert.deepEqual(await users.disable('nobody', 'test'), { kind: 'unknown' })
  assert.deepEqual(await users.check('carol', password, '192.0.2.1'), { kind: 'wrong' })
  assert.equal((await users.list()).find(({ name }) => name === 'carol')?.disabledAt, now)
  await users.add('carol', 'another good password', 'test')
  assert.deepEqual(await users.check('carol', password, '192.0.2.1'), { kind: 'wrong' })
  assert.deepEqual(await users.check('carol', 'another good password', '192.0.2.1'), { kind: 'user', name: 'carol' })
})

test('weak passwords and impossible names are refused with a sentence', async () => {
  const users = newUsers()
  for (const [name, secret] of [
    ['dora', 'short'],
    ['dora', 'x'.repeat(2000)],
    ['dora', 'with\nline break 123'],
    ['', password],
    ['with space', password],
    ['x'.repeat(200), password],
  ] as const)
    assert.equal((await users.add(name, secret, 'test')).kind, 'refused', `${name} ${secret}`)
})

test('one client address runs out of tries for all users, another does not', async () => {
  const users = newUsers(3)
  await users.add('eve', password, 'test')
  for (const name of ['eve', 'nobody', 'somebody']) assert.equal((await users.check(name, 'wrong', '198.51.100.1')).kind, 'wrong')
  const limited = await users.check('eve', password, '198.51.100.1')
  assert.ok(limited.kind === 'limited' && limited.wait > 500_000 && limited.wait <= 600_000)
  assert.equal((await users.check('eve', password, '198.51.100.2')).kind, 'user')
  now += 601_000
  assert.equal((await users.check('eve', password, '198.51.100.1')).kind, 'user')
})

test('an IPv6 client is its /64', async () => {
  const users = newUsers(2)
  for (const address of ['2001:db8::1', '2001:db8::2']) await users.check('nobody', 'wrong', address)
  assert.equal((await users.check('nobody', 'wrong', '2001:db8::3')).kind, 'limited')
  assert.equal((await users.check('nobody', 'wrong', '2001:db8:0:1::3')).kind, 'wrong')
})

test('strangers cannot lock a user out of where it signs in', async () => {
  const users = newUsers(1)
  await users.add('frank', password, 'test')
  assert.equal((await users.check('frank', password, '192.0.2.50')).kind, 'user')
  for (let i = 1; i <= 4; i++) await users.check('frank', 'wrong', `203.0.113.${i}`)
  assert.equal((await users.check('frank', password, '203.0.113.9')).kind, 'limited')
  assert.equal((await users.check('frank', password, '192.0.2.50')).kind, 'user')
})

test('each further failure is answered later', async () => {
  const users = newUsers(100, 40)
  const waited: number[] = []
  for (let i = 0; i < 3; i++) {
    const from = performance.now()
    await users.check('nobody', 'wrong', '192.0.2.77')
    waited.push(performance.now() - from)
  }
  assert.ok((waited[0] ?? 0) >= 40 && (waited[1] ?? 0) >= 80 && (waited[2] ?? 0) >= 160, waited.join(' '))
})

test('hashing leaves the event loop free', async () => {
  const users = newUsers()
  let turns = 0
  const timer = setInterval(() => {
    turns += 1
  }, 1)
  await Promise.all(Array.from({ length: 6 }, (_, i) => users.check('nobody', 'wrong', `192.0.2.${i}`)))
  clearInterval(timer)
  assert.ok(turns >= 10, `${turns} turns`)
})

test('an unknown user costs as much time as a wrong password', async () => {
  const users = newUsers()
  await users.add('greta', password, 'test')
  // By turns, for the machine may be busier now than a moment ago.
  const best = { greta: Number.POSITIVE_INFINITY, nobody: Number.POSITIVE_INFINITY }
  for (let i = 0; i < 16; i++) {
    for (const name of ['greta', 'nobody'] as const) {
      const from = performance.now()
      await users.check(name, 'wrong password', '192.0.2.99')
      best[name] = Math.min(best[name], performance.now() - from)
    }
  }
  assert.ok(best.nobody > best.greta / 2 && best.nobody < best.greta * 2, `${best.greta} ms known, ${best.nobody} ms unknown`)
})
