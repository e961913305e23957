/** Opens one connection to PostgreSQL, set up so that what it calls committed is on the disk, and checks the server at start. */
import { Client, type ClientConfig } from 'pg'
import type { PostgresAddress } from './postgres-address.ts'

/** Milliseconds. Each ends what another process, the network or a mistake of ours would make endless. */
export const timeouts = {
  connect: 5000,
  /** For a free connection of the pool, or a new one. */
  pool: 10_000,
  statement: 30_000,
  /** For the lock that lets writes follow one another. */
  lock: 20_000,
  /** Between the statements of a write and its commit: longer only when our process is stopped; the server then lets the others go on. */
  idleInWrite: 3000,
  /** A server that hangs or is cut off. */
  answer: 45_000,
}

/** What every connection is made from. `statement`: milliseconds, 0 for as long as it takes (migrations). */
export const clientConfig = (
  { host, port, database, user, password, ssl }: PostgresAddress,
  { statement }: { readonly statement: number },
): ClientConfig => ({
  ...{ host, port, database, user, ssl, application_name: 'letterlock' },
  ...(password !== undefined && { password }),
  connectionTimeoutMillis: timeouts.connect,
  statement_timeout: statement,
  lock_timeout: timeouts.lock,
  idle_in_transaction_session_timeout: timeouts.idleInWrite,
  ...(statement > 0 && { query_timeout: timeouts.answer }),
  keepAlive: true,
})

/** A connection for writes: its statements are sent without waiting for the answers to those before. Rejects with pg's error. */
export async function connectWriter(config: ClientConfig): Promise<Client> {
  const client = new Client({ ...config, pipeline: true })
  client.on('error', () => {}) // told by the statement under way, or by the next one
  await client.connect()
  // An operator's remote_apply is stronger than on, and stays.
  await client.query(`SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`)
  return client
}

/** Why this server cannot keep mail, or undefined. Rejects with pg's error. */
export async function unfit(client: Client, { shown }: PostgresAddress): Promise<string | undefined> {
  const { rows } = await client.query<{ version: string; number: string; encoding: string; fsync: string }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
      current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync`,
  )
  const [server] = rows
  if (server === undefined) return `PostgreSQL (${shown}) does not tell its version`
  if (Number(server.number) < 150_000) return `PostgreSQL (${shown}) is ${server.version}; Letterlock needs 15 or newer: upgrade the server`
  if (server.encoding !== 'UTF8')
    return `PostgreSQL (${shown}) has the encoding ${server.encoding}; make a database with createdb -E UTF8 -T template0`
  if (server.fsync !== 'on') return `PostgreSQL (${shown}) runs with fsync = off and would lose mail in a power cut: set fsync = on`
  return undefined
}
