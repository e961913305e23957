/** A database or a folder of keys that was lost is not replaced by an empty one without a word. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { startGateway } from '../../src/gateway.ts'
import { CommandError } from '../../src/ops/errors.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { type Partners, settingsFor, startPartners } from '../crash/child.ts'
import { acceptedAs, message, openSession } from '../crash/session.ts'

let scratch: string
let partners: Partners
let settings: Settings
let used: string
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'letterlock-belonging-'))
  partners = await startPartners()
  used = join(scratch, 'used')
  settings = await settingsFor(used, partners)
  await run(settings)
})
after(async () => {
  await partners?.close()
  await rm(scratch, { recursive: true, force: true })
})
let number = 0
/** Each test has the used data folder for itself. */
beforeEach(async () => {
  const data = join(scratch, `data-${++number}`)
  await cp(used, data, { recursive: true })
  settings = await settingsFor(data, partners)
})

/** Start a gateway, take a message, stop it. */
async function run(settings: Settings): Promise<void> {
  const gateway = await startGateway(settings, { log: pino({ level: 'silent' }) })
  const session = await openSession(gateway.smtp[0]?.port ?? 0)
  const told = await session.submit('a@org.example', 'x@shut.example', message('one', 'x@shut.example', 100_000))
  session.close()
  await gateway.stop(1000)
  assert.ok(acceptedAs(told))
}

/** The sentence with which it refuses to start. */
async function refusal(settings: Settings): Promise<string> {
  const gateway = await startGateway(settings, { log: pino({ level: 'silent' }) }).catch((error: unknown) => error)
  if (gateway instanceof CommandError) {
    assert.equal(gateway.exitCode, 69)
    return gateway.message
  }
  if (gateway instanceof Error) throw gateway
  await (gateway as Awaited<ReturnType<typeof startGateway>>).stop(0)
  return assert.fail('it started')
}

const blobs = async ({ blobs }: Settings) =>
  (await readdir(pathOf(blobs), { recursive: true })).filter((path) => /[0-9a-f]{32}$/.test(path))

test('a second start with the same data is the usual thing', () => run(settings))

test('where the keys are gone and the database has held mail, no new keys are made', async () => {
  await rename(pathOf(settings.keys), join(settings.data, 'elsewhere'))
  const text = await refusal(settings)
  assert.match(text, /has held mail, but mac\.key, salt\.key, sign\.key are missing from .*keys.*Put that folder back from a backup/)
  assert.deepEqual((await readdir(settings.data)).includes('keys'), false, 'and nothing was made')
})

test('one key alone that is gone is missed as well', async () => {
  await rm(join(pathOf(settings.keys), 'salt.key'))
  assert.match(await refusal(settings), /salt\.key is missing/)
})

test('where the database is gone it is not made anew, and no blob is swept', async () => {
  const before = await blobs(settings)
  assert.equal(before.length, 1)
  for (const ending of ['', '-wal', '-shm']) await rm(join(settings.data, `letterlock.db${ending}`), { force: true })
  assert.match(await refusal(settings), /letterlock\.db is new: mail and letters of the former one would be forgotten/)
  assert.match(await refusal(settings), /is new/, 'the second try finds the empty file of the first')
  assert.deepEqual(await blobs(settings), before)
})

test('where the folder of blobs is gone and mail lies there, none is made', async () => {
  await rm(pathOf(settings.blobs), { recursive: true })
  assert.match(await refusal(settings), /the folder of blobs .* is missing, and the content of 1 messages lies there/)
  assert.match(await refusal(settings), /is missing/)
})

test('the keys of another installation are refused', async () => {
  const other = await settingsFor(join(scratch, 'other'), partners)
  await run(other)
  await rm(pathOf(settings.keys), { recursive: true })
  await cp(pathOf(other.keys), pathOf(settings.keys), { recursive: true })
  assert.match(await refusal(settings), /belongs to other keys/)
})

test('who moves keys and blobs away begins anew', async () => {
  for (const name of ['letterlock.db', 'letterlock.db-wal', 'letterlock.db-shm', 'keys', 'blobs'])
    await rm(join(settings.data, name), { recursive: true, force: true })
  await run(settings)
})
