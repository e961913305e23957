import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { policyStore, readPolicyFile } from '../../src/routing/store.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

const now = Date.UTC(2026, 10, 3)
const clock = () => now
const portal = 'version: 1\ndefault: { deliver: [escrow] }\n'
const broken = 'version: 1\ndefault: { deliver: [escro] }\n'
const by = { by: 'cli:ann', comment: 'try' }

const folders: string[] = []
const open: Db[] = []
after(async () => {
  for (const db of open) await db.close()
  for (const folder of folders) await rm(folder, { recursive: true })
})

async function world() {
  const folder = await mkdtemp(join(tmpdir(), 'policy-'))
  folders.push(folder)
  const path = join(folder, 'db')
  const connect = () => {
    const db = openSqlite(path)
    open.push(db)
    return db
  }
  const db = connect()
  const migrated = await migrate(db, join(packageRoot, 'migrations'), clock)
  assert.equal(migrated.kind, 'ready')
  const audit = () =>
    db.read<{ actor: string; action: string; object: string; detail: string }>(
      sql`SELECT actor, action, object, detail FROM audit ORDER BY id`,
    )
  return { folder, db, connect, audit, store: policyStore(db, clock, methods) }
}

describe('policyStore', () => {
  test('gives a fresh installation the default policy as revision 1, once', async () => {
    const { store, audit } = await world()
    await assert.rejects(store.current(), /no policy was ever applied/)
    const first = await store.ensureDefault()
    assert.deepEqual([first.revision, first.policy.revision, first.text, first.appliedAt], [1, 1, defaultPolicyText, now])
    assert.equal((await store.ensureDefault()).revision, 1)
    assert.deepEqual(
      (await audit()).map(({ actor, action, object }) => [actor, action, object]),
      [['system', 'policy.applied', '1']],
    )
  })

  test('applies a text as the next revision, tells the audit, and keeps the old revision', async () => {
    const { store, audit } = await world()
    await store.ensureDefault()
    const applied = await store.apply(portal, by)
    assert.ok(applied.kind === 'applied')
    assert.equal(applied.revision, 2)
    assert.ok(applied.warnings.length > 0)
    const current = await store.current()
    assert.deepEqual(
      [current.revision, current.fingerprint, current.appliedBy, current.comment],
      [2, applied.fingerprint, 'cli:ann', 'try'],
    )
    assert.equal((await store.at(1))?.text, defaultPolicyText)
    assert.equal(await store.at(3), undefined)
    const told = (await audit()).find(({ object }) => object === '2')
    assert.deepEqual([told?.actor, JSON.parse(told?.detail ?? '{}').fingerprint], ['cli:ann', applied.fingerprint])
  })

  test('writes nothing for a text with errors, nor for the text in force', async () => {
    const { store, audit } = await world()
    await store.ensureDefault()
    const refused = await store.apply(broken, by)
    assert.ok(refused.kind === 'errors')
    assert.equal(refused.problems[0]?.line, 2)
    assert.equal((await store.apply(defaultPolicyText, by)).kind, 'unchanged')
    assert.equal((await store.current()).revision, 1)
    assert.equal((await audit()).length, 1)
  })

  test('goes back to an older text as a new revision', async () => {
    const { store } = await world()
    await store.ensureDefault()
    await store.apply(portal, by)
    const back = await store.apply(defaultPolicyText, by)
    assert.deepEqual([back.kind, (await store.current()).revision], ['applied', 3])
  })

  test('notices at once what another process applied', async () => {
    const { store, connect } = await world()
    await store.ensureDefault()
    const other = policyStore(connect(), clock, methods)
    await other.apply(portal, by)
    assert.equal((await store.current()).revision, 2)
  })

  test('gives each of many applied at the same moment a revision of its own', async () => {
    const { store, connect } = await world()
    await store.ensureDefault()
    const other = policyStore(connect(), clock, methods)
    const texts = Array.from({ length: 8 }, (_, index) => `${portal}# ${index}\n`)
    const applied = await Promise.all(texts.map((text, index) => (index % 2 ? store : other).apply(text, by)))
    assert.deepEqual(applied.map((answer) => answer.kind === 'applied' && answer.revision).sort(), [2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('says which revision cannot be read when the program is older than the policy', async () => {
    const { store, db } = await world()
    await db.write(
      sql`INSERT INTO policy_revision (revision, fingerprint, text, applied_at, applied_by, comment) VALUES (${1}, ${'x'}, ${broken}, ${now}, ${'x'}, ${''})`,
    )
    await assert.rejects(store.current(), /policy revision 1 cannot be read by this version \(line 2: step "escro" is unknown\)/)
  })
})

describe('policy.file', () => {
  test('is applied when it is new or has changed, and not again after somebody applied another policy', async () => {
    const { store, folder } = await world()
    const path = join(folder, 'policy.yaml')
    await writeFile(path, portal)
    assert.deepEqual((await store.applyFile(path)).kind, 'applied')
    assert.deepEqual((await store.applyFile(path)).kind, 'unchanged')
    await store.apply(defaultPolicyText, by)
    assert.deepEqual(await store.applyFile(path), { kind: 'unchanged', revision: 2, fingerprint: (await store.current()).fingerprint })
    await writeFile(path, `${portal}# changed\n`)
    const again = await store.applyFile(path)
    assert.ok(again.kind === 'applied' && again.revision === 3)
  })

  test('with an error leaves the old policy in force, and is complained of until it is corrected', async () => {
    const { store, folder } = await world()
    const path = join(folder, 'policy.yaml')
    await store.ensureDefault()
    await writeFile(path, broken)
    for (const _ of [1, 2]) assert.equal((await store.applyFile(path)).kind, 'errors')
    assert.equal((await store.current()).text, defaultPolicyText)
    await writeFile(path, portal)
    assert.equal((await store.applyFile(path)).kind, 'applied')
  })

  test('that is missing, no text or too large is a problem in words', async () => {
    const { store, folder } = await world()
    const problemOf = async (path: string) => {
      const answer = await store.applyFile(path)
      assert.ok(answer.kind === 'errors')
      return answer.problems[0]?.text ?? ''
    }
    assert.match(await problemOf(join(folder, 'gone.yaml')), /gone\.yaml cannot be read: .*ENOENT/)
    await writeFile(join(folder, 'latin.yaml'), Buffer.from([0x76, 0xfc, 0x0a]))
    assert.match(await problemOf(join(folder, 'latin.yaml')), /is not UTF-8/)
    await writeFile(join(folder, 'large.yaml'), Buffer.alloc(1024 * 1024 + 1, '#'))
    assert.match(await problemOf(join(folder, 'large.yaml')), /at most 1048576/)
    assert.deepEqual(await readPolicyFile(join(packageRoot, 'package.json')).then(({ kind }) => kind), 'text')
  })
})
