/** What the gateway finds wrong with its own files, at its start and while it runs: a sentence, 4xx, nothing lost, and on by itself. */
import assert from 'node:assert/strict'
import { chmod, cp, mkdir, mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { pino } from 'pino'
import { type Gateway, startGateway } from '../../src/gateway.ts'
import { CommandError } from '../../src/ops/errors.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { KeyFileBroken } from '../../src/seal/keyring.ts'
import { moved } from '../world/settings-file.ts'
import { type Child, launch, type Partners, settingsFor, startChild, startPartners } from './child.ts'
import { cannotInject, createFaults, type Fault, type Faults } from './faults.ts'
import { audit } from './power-audit.ts'
import type { Promised } from './power-load.ts'
import { acceptedAs, message, openSession, type Told } from './session.ts'

const long = process.env.LONG_TESTS === '1'
const obstacle = cannotInject() ?? false

let scratch: string
let partners: Partners
/** A data folder in which one message waits. */
let used: Settings
let settings: Settings
let waiting: Promised
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'letterlock-bad-input-'))
  partners = await startPartners()
  used = await settingsFor(join(scratch, 'used'), partners, { 'retry.schedule': [3_600_000] })
  const child = await startChild(scratch, used)
  waiting = await submitted(used, 'waiting', 100_000)
  child.kill('SIGTERM')
  assert.equal(await child.exit(), 0)
})
after(async () => {
  await partners?.close()
  await rm(scratch, { recursive: true, force: true })
})
let number = 0
beforeEach(async () => {
  settings = moved(used, join(scratch, `data-${++number}`))
  await cp(used.data, settings.data, { recursive: true })
})

async function submit({ 'smtp.listen': [at] }: Settings, mark: string, size: number): Promise<Told> {
  const session = await openSession(at?.port ?? 0)
  const told = await session.submit('a@org.example', 'x@shut.example', message(mark, 'x@shut.example', size))
  session.close()
  return told
}

async function submitted(settings: Settings, mark: string, size: number): Promise<Promised> {
  const told = await submit(settings, mark, size)
  const id = acceptedAs(told)
  assert.ok(id, JSON.stringify(told))
  return { id, mark, to: 'x@shut.example', size }
}

/** What a process ends with: one sentence, no trace of calls. */
async function refusal(env: { readonly [name: string]: string } = {}): Promise<string> {
  const child = await launch(scratch, settings, { env })
  const code = await Promise.race([child.exit(), pause(120_000, 'still running', { ref: false })])
  child.kill('SIGKILL')
  const said = child.said()
  assert.equal(code, 69, said)
  assert.doesNotMatch(said, /^ {4}at /m)
  return said.split('\n').find((line) => line.startsWith('letterlock: ')) ?? said
}

/** The same within this process: the sentence, or the gateway that runs. */
async function started(): Promise<string | Gateway> {
  try {
    return await startGateway(settings, { log: pino({ level: 'silent' }) })
  } catch (error) {
    // `serve` prints the text of these two and ends with 69; anything else is a bug.
    if (error instanceof CommandError || error instanceof KeyFileBroken) return error.message
    throw error
  }
}

async function lostNothing(promised: readonly Promised[]): Promise<void> {
  const { lost } = await audit(settings, promised, new Set(), new Set(promised))
  assert.deepEqual(lost, [])
}

describe('at the start', () => {
  for (const [what, spoil, sentence] of [
    [
      'a database that is none',
      async (path: string) => {
        await rm(`${path}-wal`, { force: true })
        await writeFile(path, 'this is no database'.repeat(1000), { mode: 0o600 })
      },
      /the database .*letterlock\.db cannot be used: file is not a database; the file is damaged or no database: keep it .* put it back from a backup/,
    ],
    [
      'a folder in place of the database',
      async (path: string) => {
        await rename(path, `${path}.away`)
        await mkdir(path)
      },
      /letterlock\.db cannot be used: EISDIR.*; correct the setting that names it/,
    ],
    [
      'a database of a newer version',
      async (path: string) => {
        const database = new Database(path)
        database
          .prepare("INSERT INTO migration SELECT number + 1, '9999-later.sql', sha256, 0 FROM migration ORDER BY number DESC LIMIT 1")
          .run()
        database.close()
      },
      /changed by a newer version of Letterlock \(9999-later\.sql\)\. Install that version/,
    ],
    [
      'keys that others may read',
      (path: string) => chmod(join(path, '..', 'keys'), 0o755),
      /folder of keys .* is open to other users .* chmod 700/,
    ],
    [
      'a file in place of the folder of blobs',
      async (path: string) => {
        await rename(join(path, '..', 'blobs'), join(path, '..', 'away'))
        await writeFile(join(path, '..', 'blobs'), '')
      },
      /the folder of blobs .* (?:cannot be used: .*|is missing, .*)correct the setting/,
    ],
  ] as const)
    test(`${what}: it does not start, and says what, where and what to do`, async () => {
      await spoil(pathOf(settings.database))
      assert.match(String(await started()), sentence)
    })

  for (const table of ['message', 'recipient', 'content'])
    test(`a damaged page of the table ${table}: it refuses to start or refuses mail, and loses nothing`, async () => {
      const path = pathOf(settings.database)
      const database = new Database(path)
      database.pragma('wal_checkpoint(TRUNCATE)')
      const { rootpage } = database.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(table) as { rootpage: number }
      const size = database.pragma('page_size', { simple: true }) as number
      database.close()
      await cp(path, `${path}.sound`)
      const file = await open(path, 'r+')
      await file.write(Buffer.alloc(size, 0xa5), 0, size, (rootpage - 1) * size)
      await file.close()
      const gateway = await started()
      if (typeof gateway === 'string')
        assert.match(gateway, /the database .* cannot be used: database disk image is malformed; the file is damaged/)
      else {
        const told = await submit(settings, 'damaged', 2_000)
        await gateway.stop(1000)
        assert.ok(told.kind === 'reply' && told.code >= 400 && told.code < 500, JSON.stringify(told))
      }
      for (const ending of ['-wal', '-shm']) await rm(`${path}${ending}`, { force: true })
      await rename(`${path}.sound`, path)
      await lostNothing([waiting])
    })
})

describe('when a system call fails', { skip: obstacle }, () => {
  let faults: Faults
  let child: Child | undefined
  beforeEach(async () => {
    const own = join(scratch, `faults-${number}`)
    await mkdir(own)
    faults = createFaults(own, settings.data)
  })
  afterEach(async () => {
    child?.kill('SIGKILL')
    await child?.exit()
    child = undefined
    faults.close()
  })

  const always = (operation: Fault['operation'], error: Fault['error'], match: string): Fault => ({
    operation,
    error,
    match,
    nth: 1,
    manner: 'sticky',
  })

  for (const [what, fault, sentence] of [
    [
      'a data folder of somebody else',
      always('open', 'EACCES', 'serving.lock$'),
      /the data folder .* cannot be written to: .*give it to the user/,
    ],
    [
      'a database that may not be opened',
      always('open', 'EACCES', 'letterlock.db$'),
      /letterlock\.db cannot be used: EACCES.*; give it, with its folder, to/,
    ],
    [
      'a database on a disk that is read-only',
      always('open', 'EROFS', 'letterlock.db$'),
      /letterlock\.db cannot be used: EROFS.*; it can only be read: mount/,
    ],
    [
      'a database on a disk that fails',
      always('read', 'EIO', 'letterlock.db$'),
      /letterlock\.db cannot be used: disk I\/O error; the disk fails/,
    ],
    [
      'a folder of keys that is full',
      always('open', 'ENOSPC', '/keys/.new-'),
      /the folder of keys .* cannot be used: .*the disk is full: make room/,
    ],
  ] as const)
    test(`at the start, ${what}: it ends with a sentence`, async () => {
      faults.arm(fault)
      assert.match(await refusal(faults.env), sentence)
      faults.disarm()
      await lostNothing([waiting])
    })

  for (const [what, fault, size] of [
    ['the database can only be read', always('write', 'EROFS', 'letterlock.db'), 2_000],
    ['the folder of blobs may not be written', always('open', 'EACCES', '/blobs/'), 100_000],
  ] as const)
    test(`while it runs, ${what}: 4xx, and 250 again when that ends`, async () => {
      child = await startChild(scratch, settings, { env: faults.env })
      const before = await submitted(settings, 'before', size)
      faults.arm(fault)
      const told = await submit(settings, 'meanwhile', size)
      faults.disarm()
      assert.deepEqual(told.kind === 'reply' && told.code, 452, JSON.stringify(told))
      const later = await submitted(settings, 'later', size)
      assert.equal(child.ended(), undefined)
      child.kill('SIGKILL')
      await child.exit()
      await lostNothing([waiting, before, later])
    })

  test('while another program keeps the database locked mail waits, up to 30 s, then it is told 451; and 250 again when that ends', async () => {
    child = await startChild(scratch, settings)
    const blocker = new Database(pathOf(settings.database))
    blocker.exec('BEGIN IMMEDIATE')
    const patient = submitted(settings, 'patient', 2_000)
    await pause(1_500)
    blocker.exec('COMMIT')
    const promised = [waiting, await patient]
    if (long) {
      blocker.exec('BEGIN IMMEDIATE')
      const told = await submit(settings, 'late', 2_000)
      blocker.exec('COMMIT')
      assert.deepEqual(told.kind === 'reply' && [told.code, told.text.slice(0, 5)], [451, '4.3.0'])
      promised.push(await submitted(settings, 'after', 2_000))
    }
    blocker.close()
    child.kill('SIGKILL')
    await child.exit()
    await lostNothing(promised)
  })
})
