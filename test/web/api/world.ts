/** A real API over a real database in a folder of its own, and a client for it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createDetect } from '../../../src/detect/detect.ts'
import { methods } from '../../../src/methods/index.ts'
import { packageRoot } from '../../../src/ops/package-root.ts'
import { defaultSettings } from '../../../src/ops/settings.ts'
import type { ThreadLimits } from '../../../src/ops/threads.ts'
import { createExaminer } from '../../../src/routing/examiner.ts'
import { policyStore } from '../../../src/routing/store.ts'
import { signerOf } from '../../../src/seal/signer.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { openSqlite } from '../../../src/store/sqlite.ts'
import type { Role } from '../../../src/web/api/roles.ts'
import { startAdmin } from '../../../src/web/api/server.ts'
import { createTokens } from '../../../src/web/api/tokens.ts'

export const day = 86_400_000

export type Reply = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: () => Record<string, unknown>
}
export type Asking = {
  readonly method?: string
  readonly token?: string | undefined
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
}

/** `limits`: of the thread that looks at large policies. */
export async function startApiWorld(limits: Partial<ThreadLimits> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'api-'))
  const db = openSqlite(join(folder, 'db'))
  let now = Date.UTC(2026, 10, 23)
  const clock = () => now
  assert.equal((await migrate(db, join(packageRoot, 'migrations'), clock)).kind, 'ready')
  const settings = defaultSettings({ 'admin.listen': { host: '127.0.0.1', port: 0 }, data: folder })
  const signer = signerOf(Buffer.alloc(32, 7))
  const examiner = createExaminer({ methods, settings, clock }, limits)
  const detect = createDetect()
  const policies = policyStore({ db, clock, methods, signer, settings, ...examiner })
  await policies.ensureDefault()
  const tokens = createTokens({ db, clock, signer })
  const server = await startAdmin(
    { settings, db, clock, log: pino({ level: 'silent' }), policies, ...examiner, detect, signer },
    () => undefined,
  )
  const tokenOf = async (role: Role) => (await tokens.create({ role, name: `test ${role}`, lifetime: 90 * day, by: 'test' })).token

  const ask = async (path: string, { method = 'GET', token, headers = {}, body }: Asking = {}): Promise<Reply> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : new Uint8Array(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) as Record<string, unknown> }
  }

  /** Bytes as they are, for what no client sends; resolves with all that came back when the other side closed. */
  const raw = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes))
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
      })
      socket.once('close', () => resolve(text))
      socket.once('error', (error) => (text === '' ? reject(error) : resolve(text)))
    })

  return {
    ...{
      db,
      policies,
      examine: examiner.examine,
      read: examiner.read,
      detect,
      tokens,
      tokenOf,
      ask,
      raw,
      settings,
      signer,
      clock,
      port: server.port,
    },
    later: (milliseconds: number) => {
      now += milliseconds
    },
    close: async () => {
      await server.close()
      await examiner.close()
      await detect.close()
      await db.close()
      await rm(folder, { recursive: true })
    },
  }
}

export type ApiWorld = Awaited<ReturnType<typeof startApiWorld>>
export const json = (value: unknown): Pick<Asking, 'headers' | 'body'> => ({
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
})
