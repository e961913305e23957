/** PostgreSQL as our database: many processes may share it, and a write resolves only when it would survive a power cut. */
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pg'
import type { Db, Row, Statement } from './db.ts'
import { postgresEngine } from './engine.ts'
import { readPostgresAddress } from './postgres-address.ts'
import { clientConfig, connectWriter, timeouts, unfit } from './postgres-connect.ts'
import { PostgresError, troubleOf, whyNot } from './postgres-errors.ts'
import { openLane } from './postgres-lane.ts'
import { prepared } from './postgres-values.ts'
import { openWakes } from './postgres-wakes.ts'
import { commitMarks, forgetOldMarks, writeLock } from './postgres-writer.ts'

/** The database cannot be used; the text says why and what to do, and holds no password. */
export class PostgresUnfit extends Error {
  override readonly name = 'PostgresUnfit'
}

export type PostgresOptions = {
  /** Connections for reading; one for writing and one for listening come on top. */
  readonly connections: number
  /** Milliseconds for which reads and writes wait for a server that is away before they reject. */
  readonly patience: number
  /** Milliseconds that one statement may take; 0: as long as it takes, for migrations. */
  readonly statement: number
}

const usual: PostgresOptions = { connections: 8, patience: 30_000, statement: timeouts.statement }

/**
 * Open the database at `url` (see postgres-address.ts). Rejects with BadAddress or PostgresUnfit when it cannot be used now; later losses of
 * the connection are waited out and then told by the rejection of what was asked.
 */
export async function openPostgres(url: string, options: Partial<PostgresOptions> = {}): Promise<Db> {
  const { connections, patience, statement } = { ...usual, ...options }
  const address = readPostgresAddress(url)
  const config = clientConfig(address, { statement })
  try {
    await prepareDatabase()
  } catch (error) {
    throw error instanceof PostgresUnfit ? error : new PostgresUnfit(whyNot(error, address))
  }
  const pool = new Pool({
    ...config,
    max: connections,
    connectionTimeoutMillis: Math.min(timeouts.pool, patience),
    options: '-c default_transaction_read_only=on',
  })
  pool.on('error', () => {}) // an idle connection was lost: the next read makes a new one
  const lane = openLane(() => connectWriter(config), patience)
  const wakes = openWakes(() => connectWriter(config), pool)
  let closed: Promise<void> | undefined
  return {
    engine: postgresEngine,
    read: (wanted) => (closed ? Promise.reject(new Error('the database is closed')) : readPatiently(pool, wanted, patience)),
    write: (...statements) => lane.write(statements),
    scrub: async () => {}, // deleted rows stay in its files until vacuum and in its log until that is recycled (docs/postgresql.md)
    wakeOthers: wakes.wakeOthers,
    onWake: wakes.onWake,
    close: () => {
      closed ??= lane
        .close()
        .then(wakes.close)
        .then(() => pool.end())
      return closed
    },
  }

  async function prepareDatabase(): Promise<void> {
    const client = await connectWriter(config)
    try {
      const trouble = await unfit(client, address)
      if (trouble !== undefined) throw new PostgresUnfit(trouble)
      await client.query(`BEGIN; ${writeLock}; ${commitMarks}; ${forgetOldMarks}; COMMIT`)
    } finally {
      await client.end()
    }
  }
}

const betweenReads = 200

/** A read changes nothing, so that it may simply be done again when its connection was lost; none begins after its patience. */
async function readPatiently<R extends Row>(pool: Pool, statement: Statement, patience: number): Promise<R[]> {
  const query = prepared(statement)
  for (const until = performance.now() + patience; ; await pause(betweenReads)) {
    try {
      return (await pool.query<R>(query)).rows
    } catch (error) {
      if (troubleOf(error) === 'wrong' || performance.now() + betweenReads >= until) throw new PostgresError(error)
    }
  }
}
