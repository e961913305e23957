import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Settings } from '../../src/ops/settings.ts'
import { type Child, type Partners, settingsFor, startChild, startPartners } from './child.ts'
import { cannotInject, createFaults, type Fault, type Faults } from './faults.ts'
import { audit } from './power-audit.ts'
import type { Promised } from './power-load.ts'
import { acceptedAs, message, openSession, type Told } from './session.ts'

const long = process.env.LONG_TESTS === '1'
const obstacle = cannotInject()
if (obstacle !== undefined && process.env.CI === 'true' && process.platform === 'linux') assert.fail(obstacle)

/** Every N in the long form, a spread in the short one; both end where the run has no Nth operation. */
const numbers = (from: number) => (long ? from + 1 : Math.ceil(from * 2.2) + 1)

const kinds: readonly Omit<Fault, 'nth'>[] = [
  { operation: 'fsync', error: 'EIO', manner: 'once' },
  { operation: 'fsync', error: 'EIO', manner: 'sticky' },
  { operation: 'write', error: 'EIO', manner: 'once' },
  { operation: 'write', error: 'ENOSPC', manner: 'sticky' },
  { operation: 'open', error: 'EMFILE', manner: 'once' },
  { operation: 'open', error: 'EMFILE', manner: 'sticky' },
  { operation: 'open', error: 'ENOSPC', manner: 'sticky' },
  { operation: 'rename', error: 'EIO', manner: 'once' },
  { operation: 'rename', error: 'ENOSPC', manner: 'sticky' },
  { operation: 'read', error: 'EIO', manner: 'once' },
  { operation: 'read', error: 'EIO', manner: 'sticky' },
]

describe('when the Nth file operation fails', { skip: obstacle ?? false }, () => {
  let scratch: string
  let partners: Partners
  let settings: Settings
  let faults: Faults
  let child: Child | undefined
  let number = 0
  const promised: Promised[] = []
  const arrived = new Set<string>()
  const kill = async () => {
    child?.kill('SIGKILL')
    await child?.exit()
  }
  const start = async () => {
    child = await startChild(scratch, settings, { env: faults.env })
  }
  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'letterlock-faults-'))
    partners = await startPartners()
    settings = await settingsFor(join(scratch, 'data'), partners)
    faults = createFaults(scratch, settings.data)
    await start()
  })
  after(async () => {
    await kill()
    await partners?.close()
    faults?.close()
    await rm(scratch, { recursive: true, force: true })
  })

  for (const kind of kinds)
    test(`${kind.operation} fails with ${kind.error}, ${kind.manner}: no false 250, a 4xx, no crash, and mail again afterwards`, async (t) => {
      let [tried, silent] = [0, 0]
      for (let nth = 1; silent < 2; nth = numbers(nth)) {
        const hits = await suffer({ ...kind, nth })
        tried++
        silent = hits > 0 ? 0 : silent + 1
      }
      t.diagnostic(`${tried - silent} faults`)
      assert.ok(tried > silent, 'no operation of this kind failed')
    })

  for (const [what, match, size] of [
    ['the log of the database', '.db-wal', 2_000],
    ['a blob file', '/blobs/tmp/', 100_000],
    ['the folder of a blob', '/blobs/', 100_000],
  ] as const)
    test(`a message is refused when ${what} will not sync`, async () => {
      faults.arm({ operation: 'fsync', nth: match === '/blobs/' ? 2 : 1, error: 'EIO', manner: 'sticky', match })
      const told = await submit('org.example', size)
      const { hits } = faults.seen()
      faults.disarm()
      assert.ok(hits > 0)
      assert.deepEqual(told.kind === 'reply' && [told.code, told.text.slice(0, 5)], [452, '4.3.1'])
    })

  test('a folder that would not sync is written anew before it is synced again', async () => {
    // All 256 are there: none is made by the gateway, which syncs the folder above each when it first needs it.
    for (let shard = 0; shard < 256; shard++)
      await mkdir(join(settings.data, 'blobs', shard.toString(16).padStart(2, '0')), { recursive: true, mode: 0o700 })
    faults.arm({ operation: 'fsync', nth: 1, error: 'EIO', manner: 'sticky', match: '/blobs$' })
    while (faults.seen().hits === 0) await submit('org.example', 70_000)
    faults.disarm()
    for (let count = 0; count < 3; count++) assert.ok(acceptedAs(await submit('org.example', 70_000)) !== undefined)
    assert.equal(faults.seen().again, 0)
  })

  test('a name that was written beside one that would not sync is not taken for synced', async () => {
    await kill()
    await start() // each shard is made sure of anew
    faults.arm({ operation: 'fsync', nth: 1, error: 'EIO', manner: 'once', match: '/blobs$' })
    await Promise.all(Array.from({ length: 12 }, () => submit('org.example', 70_000)))
    const { hits, again } = faults.seen()
    faults.disarm()
    assert.deepEqual({ hits, again }, { hits: 1, again: 0 })
  })

  test('after all of that, and a kill -9, every acknowledged message is there or has arrived', async () => {
    await until('all mail of org.example to arrive', async () => {
      remember()
      return promised.every(({ to, mark }) => !to.endsWith('@org.example') || arrived.has(mark))
    })
    await kill()
    const audited = await audit(settings, promised, arrived, new Set(promised))
    assert.deepEqual(audited.lost, [])
    await start()
  })

  /** Submit an inline message, one with a blob and one that becomes a letter under the fault; then one without it. How often it struck. */
  async function suffer(fault: Fault): Promise<number> {
    const what = JSON.stringify(fault)
    faults.arm(fault)
    for (const [domain, size] of [
      ['org.example', 2_000],
      ['org.example', 100_000],
      ['open.example', 2_000],
    ] as const) {
      const told = await submit(domain, size)
      assert.ok(told.kind === 'reply' && (told.code === 250 || (told.code >= 400 && told.code < 500)), `${what}: ${JSON.stringify(told)}`)
    }
    await pause(100) // deliveries are under way
    const { hits, again, which } = faults.seen()
    faults.disarm()
    assert.equal(again, 0, `${what}: synced again what had failed to sync: ${which}`)
    const told = await submit('org.example', 100_000)
    assert.equal(told.kind === 'reply' && told.code, 250, `${what}: the fault has ended, and still ${JSON.stringify(told)}`)
    assert.equal(child?.ended(), undefined, `${what}: the gateway ended: ${child?.said().slice(-2000)}`)
    return hits
  }

  async function submit(domain: string, size: number): Promise<Told> {
    const [mark, to] = [`f${number}`, `u${number++}@${domain}`]
    const session = await openSession(settings['smtp.listen'][0]?.port ?? 0)
    const told = await session.submit('a@org.example', to, message(mark, to, size))
    session.close()
    const id = acceptedAs(told)
    if (id !== undefined) promised.push({ id, mark, to, size })
    return told
  }

  function remember(): void {
    for (const { content } of partners.open.mails.splice(0))
      arrived.add(/^Subject: (\S+)/m.exec(content.toString('latin1', 0, 4096))?.[1] ?? '')
  }

  async function until(what: string, look: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 60_000; !(await look()); await pause(50))
      if (Date.now() > end) assert.fail(`waited 60 s for ${what}; ${child?.said().slice(-3000)}`)
  }
})
