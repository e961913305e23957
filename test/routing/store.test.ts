import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { signFormer } from '../../src/routing/former.ts'
import { PolicyAltered, type SignedRevision, signRevision } from '../../src/routing/signature.ts'
import { policyStore, readPolicyFile } from '../../src/routing/store.ts'
import { signerOf } from '../../src/seal/signer.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

const now = Date.UTC(2026, 10, 3)
const clock = () => now
const signer = signerOf(Buffer.alloc(32, 1))
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
  return { folder, db, connect, audit, store: policyStore({ db, clock, methods, signer, settings: defaultSettings({}) }) }
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
    const other = policyStore({ db: connect(), clock, methods, signer, settings: defaultSettings({}) })
    await other.apply(portal, by)
    assert.equal((await store.current()).revision, 2)
  })

  test('gives each of many applied at the same moment a revision of its own', async () => {
    const { store, connect } = await world()
    await store.ensureDefault()
    const other = policyStore({ db: connect(), clock, methods, signer, settings: defaultSettings({}) })
    const texts = Array.from({ length: 8 }, (_, index) => `${portal}# ${index}\n`)
    const applied = await Promise.all(texts.map((text, index) => (index % 2 ? store : other).apply(text, by)))
    assert.deepEqual(applied.map((answer) => answer.kind === 'applied' && answer.revision).sort(), [2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('says which revision cannot be read when the program is older than the policy', async () => {
    const { store, db } = await world()
    await plant(db, broken, (row) => signRevision(signer, row))
    await assert.rejects(store.current(), /policy revision 1 cannot be read by this version \(line 2: step "escro" is unknown\)/)
  })
})

/** Write revision 1 past the store; `sign` undefined: as a version did that knew no signatures. */
async function plant(db: Db, text: string, sign?: (row: SignedRevision) => Buffer): Promise<void> {
  const row = { revision: 1, fingerprint: 'x', text, applied_at: now, applied_by: 'x', comment: '' }
  await db.write(sql`INSERT INTO policy_revision (revision, fingerprint, text, applied_at, applied_by, comment, signature)
    VALUES (${1}, ${'x'}, ${text}, ${now}, ${'x'}, ${''}, ${sign?.(row) ?? null})`)
}

describe('signatures of policy revisions', () => {
  for (const [what, change] of [
    ['another text', sql`UPDATE policy_revision SET text = ${portal}`],
    ['another date', sql`UPDATE policy_revision SET applied_at = 1`],
    ['another author', sql`UPDATE policy_revision SET applied_by = 'cli:root'`],
    ['no signature', sql`UPDATE policy_revision SET signature = NULL`],
    ['a cut signature', sql`UPDATE policy_revision SET signature = ${Buffer.alloc(3)}`],
    ['another number', sql`UPDATE policy_revision SET revision = 2`],
  ] as const)
    test(`a revision with ${what} is refused, whoever asks for it`, async () => {
      const { store, db, connect } = await world()
      await store.ensureDefault()
      await db.write(change)
      const other = policyStore({ db: connect(), clock, methods, signer, settings: defaultSettings({}) })
      await assert.rejects(other.current(), PolicyAltered)
      const number = what === 'another number' ? 2 : 1
      await assert.rejects(other.at(number), new RegExp(`policy revision ${number} was altered in the database`))
    })

  test('a revision signed by the key of another installation is refused', async () => {
    const { store, db } = await world()
    await plant(db, portal, (row) => signRevision(signerOf(Buffer.alloc(32, 2)), row))
    await assert.rejects(store.current(), PolicyAltered)
  })

  test('applying a policy anew, be it the same text, puts a signed one in force', async () => {
    const { store, db } = await world()
    await plant(db, portal)
    assert.equal((await store.apply(portal, by)).kind, 'applied')
    assert.equal((await store.current()).revision, 2)
  })

  test('revisions from before signatures are signed once: one planted later is not', async () => {
    const { store, db, folder, audit } = await world()
    const keys = join(folder, 'keys')
    await mkdir(keys, { mode: 0o700 })
    await plant(db, portal)
    assert.equal(await signFormer(db, signer, keys, clock), 1)
    assert.equal((await store.current()).text, portal)
    assert.equal((await audit())[0]?.action, 'policy.signed')
    await db.write(sql`UPDATE policy_revision SET revision = 2, signature = NULL`)
    assert.equal(await signFormer(db, signer, keys, clock), 0)
    await assert.rejects(store.current(), PolicyAltered)
  })

  test('an installation that begins with signatures never signs what lacks one', async () => {
    const { store, db, folder } = await world()
    const keys = join(folder, 'keys')
    await mkdir(keys, { mode: 0o700 })
    assert.equal(await signFormer(db, signer, keys, clock), 0)
    await plant(db, portal)
    assert.equal(await signFormer(db, signer, keys, clock), 0)
    await assert.rejects(store.current(), PolicyAltered)
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
    assert.equal(await problemOf(join(folder, 'gone.yaml')), 'it cannot be read: there is no such file (ENOENT)')
    assert.equal(await problemOf(folder), 'it cannot be read: it is a folder (EISDIR)')
    await writeFile(join(folder, 'latin.yaml'), Buffer.from([0x76, 0xfc, 0x0a]))
    assert.match(await problemOf(join(folder, 'latin.yaml')), /is not UTF-8/)
    await writeFile(join(folder, 'large.yaml'), Buffer.alloc(1024 * 1024 + 1, '#'))
    assert.match(await problemOf(join(folder, 'large.yaml')), /at most 1048576/)
    assert.deepEqual(await readPolicyFile(join(packageRoot, 'package.json')).then(({ kind }) => kind), 'text')
  })
})

const tested = (expect: string) =>
  `version: 1\ndefault: { deliver: [tls, escrow] }\ntests:\n  - { from: a@org.example, to: b@lab.example, given: { tls: none }, expect: ${expect} }\n`

test('a policy with a failing test is not applied, and says which test and what would happen instead', async () => {
  const { store } = await world()
  await store.ensureDefault()
  const applied = await store.apply(tested('tls'), { by: 'cli:ann', comment: '' })
  assert.ok(applied.kind === 'errors')
  assert.deepEqual(applied.problems, [
    {
      line: 4,
      column: 5,
      text: 'the test fails: a@org.example to b@lab.example (TLS none): tls',
      hint: 'expected tls, but it would be escrow, proof code (tls starttls-not-supported) by rule "default" (line 2)',
    },
  ])
  assert.equal((await store.current()).revision, 1)
})

test('a policy whose tests pass is applied, and the history tells of all that were', async () => {
  const { store } = await world()
  await store.ensureDefault()
  const applied = await store.apply(tested('escrow'), { by: 'cli:ann', comment: 'a test' })
  assert.ok(applied.kind === 'applied' && applied.tests === 1)
  const history = await store.history()
  assert.deepEqual(
    history.map(({ revision, appliedBy, comment, ours }) => [revision, appliedBy, comment, ours]),
    [
      [2, 'cli:ann', 'a test', true],
      [1, 'system', 'the default policy of a fresh installation', true],
    ],
  )
})
