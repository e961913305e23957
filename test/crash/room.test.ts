import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Settings } from '../../src/ops/settings.ts'
import { eventually } from '../world/eventually.ts'
import { type Child, type Partners, readiness, settingsFor, startChild, startPartners } from './child.ts'
import { acceptedAs, message, openSession, type Told } from './session.ts'

const run = promisify(execFile)
/** The spool asks for the free space every 200 ms at the most. */
const known = 300
const mebibyte = 1024 * 1024

/** A small world on a disk of its own. */
class Small {
  readonly scratch: string
  readonly partners: Partners
  settings!: Settings
  child!: Child

  constructor(scratch: string, partners: Partners) {
    this.scratch = scratch
    this.partners = partners
  }

  get disk(): string {
    return join(this.scratch, 'disk')
  }

  async start(): Promise<void> {
    this.settings = await settingsFor(join(this.disk, 'data'), this.partners)
    this.child = await startChild(this.scratch, this.settings)
  }

  get port(): number {
    return this.settings['smtp.listen'][0]?.port ?? 0
  }

  async submit(mark: string, octets: number, announced?: number | null): Promise<Told> {
    const session = await openSession(this.port)
    const to = 'x@org.example'
    const told = await session.submit('a@org.example', to, message(mark, to, octets), announced)
    session.close()
    return told
  }

  /** Write a file of nothing, so that about `left` octets are free. */
  async fill(left: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.disk)
    // Others write as well: at the end there may be less room than there was.
    await writeFile(join(this.disk, 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - left))).catch(() => undefined)
    await pause(known)
  }

  async empty(): Promise<void> {
    await rm(join(this.disk, 'ballast'), { recursive: true, force: true })
    await pause(known)
  }

  arrived(mark: string): number {
    return this.partners.open.mails.filter(({ content }) => content.includes(`Subject: ${mark}\r\n`)).length
  }

  async becomes(status: number): Promise<void> {
    await until(`/readyz to answer ${status}`, async () => (await readiness(this.settings)) === status, this.child)
  }

  async close(): Promise<void> {
    this.child?.kill('SIGKILL')
    await this.child?.exit()
    await this.partners.close()
  }
}

const code = (told: Told): number | undefined => (told.kind === 'reply' ? told.code : undefined)
const noRoom = (told: Told) => assert.deepEqual(told.kind === 'reply' && [told.code, told.text.slice(0, 5)], [452, '4.3.1'])

const until = (what: string, look: () => Promise<boolean>, child: Child) =>
  eventually(
    what,
    async () => (await look()) || undefined,
    () => child.said().slice(-2000),
  )

const unable = process.platform !== 'linux' || process.getuid?.() !== 0 ? 'needs root on Linux, to mount a small disk' : false

describe('when the disk is full', { skip: unable }, () => {
  let world: Small
  let refused: string | undefined
  before(async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'letterlock-room-'))
    world = new Small(scratch, await startPartners())
    await mkdir(world.disk)
    await run('mount', ['-t', 'tmpfs', '-o', 'size=24m,nr_inodes=900,mode=0700', 'tmpfs', world.disk]).catch((error: Error) => {
      refused = `this machine does not let us mount: ${error.message.split('\n')[0]}`
    })
    if (refused === undefined) await world.start()
  })
  after(async () => {
    await world?.close()
    await run('umount', [world.disk]).catch(() => undefined)
    await rm(world.scratch, { recursive: true, force: true })
  })
  const test_ = (name: string, work: () => Promise<void>) => test(name, async (t) => (refused === undefined ? work() : t.skip(refused)))

  test_('mail is refused with 452 4.3.1 before it is full, /readyz says 503, and both end by themselves', async () => {
    assert.equal(await readiness(world.settings), 200)
    await world.fill(mebibyte)
    noRoom(await world.submit('early', 2_000, null))
    await world.becomes(503)
    await world.empty()
    await world.becomes(200)
    assert.equal(code(await world.submit('again', 2_000, null)), 250)
  })

  test_('what a client announces is asked for half as much again', async () => {
    await world.fill(6 * mebibyte)
    noRoom(await world.submit('large', 2_000, 5 * mebibyte))
    assert.equal(code(await world.submit('small', 2_000, 3 * mebibyte)), 250)
    assert.equal(await readiness(world.settings), 200)
    await world.empty()
  })

  test_('a message that fills the disk while it comes in is refused, nothing of it stays, and the next is taken', async () => {
    await world.fill(3 * mebibyte)
    noRoom(await world.submit('filling', 6 * mebibyte, null))
    assert.deepEqual(await readdir(join(world.settings.data, 'blobs', 'tmp')), [])
    await pause(known) // it may have asked while the disk was full
    assert.equal(code(await world.submit('next', 2_000)), 250)
    await world.empty()
    await until('the next to arrive', async () => world.arrived('next') === 1, world.child)
    assert.equal(world.arrived('filling'), 0)
  })

  test_('mail that is delivered while the disk is full is delivered once', async () => {
    let full: Promise<void> | undefined
    world.partners.open.behave({
      hostname: 'mx.org.example',
      script: (verb) => {
        if (verb === 'DOT') full = world.fill(0)
        return undefined
      },
    })
    assert.equal(code(await world.submit('once', 2_000)), 250)
    await until('it to arrive', async () => world.arrived('once') === 1, world.child)
    await full
    await pause(2_500) // the retry schedule is one second
    world.partners.open.behave({ hostname: 'mx.org.example' })
    await world.empty()
    await world.becomes(200)
    assert.equal(code(await world.submit('after', 2_000)), 250)
    await until('the next to arrive', async () => world.arrived('after') === 1, world.child)
    assert.equal(world.arrived('once'), 1)
    assert.equal(world.child.ended(), undefined)
  })

  test_('a disk without a free inode is a full one', async () => {
    const many = join(world.disk, 'ballast')
    await mkdir(many)
    // The gateway may be the one that takes the last.
    for (let number = 0; (await statfs(world.disk)).ffree > 0; number++)
      await writeFile(join(many, String(number)), '').catch(() => undefined)
    await pause(known)
    noRoom(await world.submit('no inode', 100_000))
    await world.becomes(503)
    await world.empty()
    await world.becomes(200)
    assert.equal(code(await world.submit('inodes again', 100_000)), 250)
  })
})

describe('when no more files may be open', { skip: process.platform === 'linux' ? false : 'needs prlimit, of Linux' }, () => {
  let world: Small
  before(async () => {
    world = new Small(await mkdtemp(join(tmpdir(), 'letterlock-files-')), await startPartners())
    await world.start()
    const open = (await readdir(`/proc/${world.child.pid}/fd`)).length
    await run('prlimit', [`--pid=${world.child.pid}`, `--nofile=${open + 20}:`])
  })
  after(async () => {
    await world?.close()
    await rm(world.scratch, { recursive: true, force: true })
  })

  test('connections wait or end, nothing crashes, and mail is taken again when they are gone', async () => {
    const sockets: Socket[] = []
    for (let number = 0; number < 120; number++) {
      const socket = connect({ host: '127.0.0.1', port: world.port })
      socket.on('error', () => undefined)
      socket.resume()
      sockets.push(socket)
    }
    await pause(500)
    assert.equal(world.child.ended(), undefined, world.child.said().slice(-2000))
    for (const socket of sockets) socket.destroy()
    await until(
      'mail to be taken',
      async () => acceptedAs(await world.submit('files', 100_000).catch(() => ({ kind: 'lost' }))) !== undefined,
      world.child,
    )
    await until('it to arrive', async () => world.arrived('files') > 0, world.child)
  })
})
