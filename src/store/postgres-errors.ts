/** What an error of PostgreSQL means for us: the connection is gone, somebody else was at it, or the statement is wrong. */
import { Unexpected } from './db.ts'

/** An error of the database, without its detail: that may quote rows. `code` is the SQLSTATE, or the system's code. */
export class PostgresError extends Error {
  override readonly name = 'PostgresError'
  readonly code: string

  constructor(error: unknown) {
    super(error instanceof Error ? error.message : String(error))
    this.code = codeOf(error)
  }
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** `lost`: the connection cannot be used any more. `crossed`: the same again may succeed. `wrong`: it would fail again. */
export type Trouble = 'lost' | 'crossed' | 'wrong'

const crossed = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available: lock_timeout
])

export function troubleOf(error: unknown): Trouble {
  if (error instanceof Unexpected) return 'wrong'
  const code = codeOf(error)
  if (crossed.has(code)) return 'crossed'
  // Without an SQLSTATE it is the socket's error or pg's own: both end the connection.
  if (!/^[0-9A-Z]{5}$/.test(code) || /^E[A-Z]+$/.test(code)) return 'lost'
  // 08: connection exceptions; 57P: shut down, crashed, starting up, idle; 25P03: idle in a transaction (we were stopped); 53300: too many.
  if (code.startsWith('08') || code.startsWith('57P') || code === '25P03' || code === '53300') return 'lost'
  return 'wrong'
}

/** Why the server cannot be used, and what to do: a sentence for the operator. `place`: database, host and port. */
export function whyNot(error: unknown, place: { readonly shown: string; readonly user: string; readonly database: string }): string {
  const said = error instanceof Error ? error.message : String(error)
  const code = codeOf(error)
  const at = `PostgreSQL (${place.shown})`
  if (code === '3D000')
    return `${at} has no database ${place.database}: create it with createdb -E UTF8 -T template0 -O ${place.user} ${place.database}`
  if (code.startsWith('28'))
    return `${at} refuses the user ${place.user}: ${said}; correct user or password in the setting \`database\` (LETTERLOCK_DATABASE_FILE may hold it), or pg_hba.conf of the server`
  if (code === '42501')
    return `${at} does not let the user ${place.user} do what is needed: ${said}; make ${place.user} the owner of ${place.database}`
  if (code === '53300') return `${at} has no connection left: ${said}; raise its max_connections, or lower limits.databaseConnections`
  if (code.startsWith('57P')) return `${at} takes no connections now: ${said}; wait until it has started`
  if (/SSL|TLS|certificate|altname/i.test(`${said} ${code}`))
    return `${at} cannot be trusted: ${said}; give the server a certificate for its name and name its authority with sslrootcert=, or choose another sslmode`
  if (/^E[A-Z]+$/.test(code) || said.includes('timeout') || said.includes('terminated'))
    return `${at} does not answer: ${said}; start it, or correct the setting \`database\``
  return `${at} cannot be used: ${said}`
}
