/** A submission door on loopback for the tests: real sockets, TLS and users; the spool keeps its messages in memory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { pino } from 'pino'
import { newId } from '../../src/mail/id.ts'
import { defaultSettings, type Settings } from '../../src/ops/settings.ts'
import type { Acceptance, Intake } from '../../src/spool/spool.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import type { Intakes } from '../../src/submission/accept.ts'
import { createSubmission, type Submission } from '../../src/submission/submission.ts'
import { createUsers, type Users } from '../../src/submission/users.ts'
import { selfSigned } from '../world/index.ts'

export type Stored = Acceptance & { readonly id: string; readonly content: Buffer }

/** A spool that keeps what it was given; `fail` makes its next calls fail as a disk or a database would. */
export type MemorySpool = Intakes & {
  readonly stored: Stored[]
  readonly aborted: () => number
  readonly fail: (how: { write?: Error; commit?: Error; free?: number; slowWrite?: number; slowCommit?: number }) => void
  /** Sizes of all pieces written, in order. */
  readonly pieces: number[]
}

export function memorySpool({ keep = true } = {}): MemorySpool {
  const stored: Stored[] = []
  const pieces: number[] = []
  let aborted = 0
  let failing: Parameters<MemorySpool['fail']>[0] = {}
  const pause = (ms = 0) => new Promise((done) => setTimeout(done, ms))
  const intake = (): Intake => {
    const kept: Buffer[] = []
    const id = newId()
    return {
      id,
      write: async (chunk) => {
        if (failing.write) throw failing.write
        if (failing.slowWrite) await pause(failing.slowWrite)
        pieces.push(chunk.length)
        if (keep) kept.push(Buffer.from(chunk))
      },
      commit: async (acceptance) => {
        if (failing.slowCommit) await pause(failing.slowCommit)
        if (failing.commit) throw failing.commit
        stored.push({ ...acceptance, id, content: Buffer.concat(kept) })
      },
      abort: async () => {
        aborted += 1
      },
    }
  }
  return {
    ...{ stored, pieces, intake },
    aborted: () => aborted,
    fail: (how) => {
      failing = how
    },
    free: async () => failing.free ?? 1e12,
  }
}

export type Door = {
  readonly port: number
  /** The implicit TLS port. */
  readonly tlsPort: number
  readonly spool: MemorySpool
  readonly users: Users
  readonly submission: Submission
  readonly certificates: { current: { cert: string; key: string } }
  readonly close: () => Promise<void>
}

const certificate = await selfSigned(['mail.lab.example', '127.0.0.1'])

/** Open a door to a spool in memory. The sender domain is lab.example unless said otherwise. */
export async function openDoor(overrides: Partial<Settings> = {}, { spool = memorySpool() } = {}): Promise<Door> {
  return { ...(await openDoorOn(spool, overrides)), spool }
}

/** Open a door to this spool; users slow down by milliseconds, not seconds. */
export async function openDoorOn(spool: Intakes, overrides: Partial<Settings> = {}): Promise<Omit<Door, 'spool'>> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-door-'))
  const db = openSqlite(join(folder, 'test.db'))
  await migrate(db, 'migrations')
  const settings = defaultSettings({
    hostname: 'mail.lab.example',
    'organisation.domains': ['lab.example'],
    'smtp.listen': [{ host: '127.0.0.1', port: 0 }],
    'smtp.implicitTlsListen': [{ host: '127.0.0.1', port: 0 }],
    data: folder,
    ...overrides,
  })
  const users = createUsers({ db, clock: Date.now, settings, slowness: 1 })
  const certificates = { current: certificate }
  const log = pino({ level: 'silent' })
  const submission = createSubmission({ settings, spool, users, clock: Date.now, log, certificate: () => certificates.current })
  const { plain, implicit } = await submission.listen()
  return {
    port: plain[0]?.port ?? 0,
    tlsPort: implicit[0]?.port ?? 0,
    ...{ users, submission, certificates },
    close: async () => {
      await submission.close(0)
      await db.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** Play with a door and close it, whatever happened. */
export async function withDoor(play: (door: Door) => Promise<void>, ...options: Parameters<typeof openDoor>): Promise<void> {
  const door = await openDoor(...options)
  try {
    await play(door)
  } finally {
    await door.close()
  }
}

/** A client that speaks octets: writes what it is told and reads whole replies. */
export type Talk = {
  readonly socket: () => Socket
  readonly write: (text: string | Buffer) => void
  /** The next reply, its lines joined by LF; rejects after 5 s of silence; '' when the server hung up. */
  readonly reply: () => Promise<string>
  /** `write` with CRLF, then `reply`. */
  readonly say: (line: string) => Promise<string>
  /** From here on TLS. */
  readonly secure: () => Promise<void>
  /** Resolves when the server has hung up. */
  readonly ended: () => Promise<void>
  readonly close: () => void
}

export async function talk(port: number, { tls = false, from = '127.0.0.1' } = {}): Promise<Talk> {
  const where = { port, host: '127.0.0.1', localAddress: from }
  let socket: Socket = tls ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where)
  let text = ''
  let over = false
  let look = () => {}
  const hear = () => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      look()
    })
    const end = () => {
      over = true
      look()
    }
    socket.on('end', end).on('close', end).on('error', end)
  }
  hear()
  const until = <T>(ready: () => T | undefined, what: string) =>
    new Promise<T>((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`the server says nothing (${what}); so far ${JSON.stringify(text)}`)), 60_000)
      look = () => {
        const found = ready()
        if (found === undefined) return
        clearTimeout(timer)
        look = () => {}
        done(found)
      }
      look()
    })
  const nextReply = () => {
    const found = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(text)?.[0]
    if (found === undefined) return over ? '' : undefined
    text = text.slice(found.length)
    return found.trimEnd().replaceAll('\r\n', '\n')
  }
  const reply = () => until(nextReply, 'reply')
  const write = (data: string | Buffer) => void socket.write(data)
  return {
    ...{ write, reply, socket: () => socket },
    say: (line) => {
      write(`${line}\r\n`)
      return reply()
    },
    secure: async () => {
      socket.removeAllListeners('data')
      socket = connectTls({ socket, rejectUnauthorized: false })
      await new Promise((done, failed) => socket.once('secureConnect', done).once('error', failed))
      hear()
    },
    ended: () => until(() => (over ? true : undefined), 'end').then(() => undefined),
    close: () => socket.destroy(),
  }
}
