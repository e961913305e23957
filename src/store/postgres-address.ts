/** Reads a postgres:// address: where the server is, who we are, and how its certificate is checked. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { isLoopbackHost } from '../ops/loopback.ts'

/** What is needed to connect; `ssl` false: no TLS. */
export type PostgresAddress = {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | undefined
  readonly ssl: false | ConnectionOptions
  /** For sentences: host, port and database, never the password. */
  readonly shown: string
}

export class BadAddress extends Error {
  override readonly name = 'BadAddress'
}

/** The sslmode values of libpq that we know; `prefer` and `allow` would let anybody on the way turn TLS off. */
const modes = ['disable', 'require', 'verify-ca', 'verify-full'] as const
const parameters = ['host', 'port', 'user', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey']

/**
 * Read `postgres://user:password@host:port/database?sslmode=…`; `host=` may name a folder with a Unix socket. Without sslmode: no TLS to this
 * machine, verify-full to any other. Throws BadAddress, whose text never repeats the address: it may hold a password.
 */
export function readPostgresAddress(text: string): PostgresAddress {
  if (!URL.canParse(text))
    throw new BadAddress('is no address of the form postgres://user:password@host:5432/database (write @ : / of a password as %40 %3A %2F)')
  const url = new URL(text)
  const given = url.searchParams
  const unknown = [...given.keys()].find((name) => !parameters.includes(name))
  if (unknown === 'password') throw new BadAddress('holds password= : write it before the host, postgres://user:password@host/database')
  if (unknown !== undefined) throw new BadAddress(`has the parameter ${unknown}; known are ${parameters.join(', ')}`)
  const host = given.get('host') ?? (decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1') || '127.0.0.1')
  const port = Number(given.get('port') ?? (url.port || 5432))
  const user = given.get('user') ?? decodeURIComponent(url.username)
  const database = decodeURIComponent(url.pathname.slice(1))
  if (user === '') throw new BadAddress('names no user')
  if (database === '') throw new BadAddress('names no database')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new BadAddress('has a port that is no number from 1 to 65535')
  const password = url.password === '' ? undefined : decodeURIComponent(url.password)
  return { host, port, database, user, password, ssl: readTls(given, host), shown: `${database} at ${host}:${port}` }
}

function readTls(given: URLSearchParams, host: string): false | ConnectionOptions {
  const here = host.startsWith('/') || isLoopbackHost(host)
  const mode = given.get('sslmode') ?? (here ? 'disable' : 'verify-full')
  const known = modes.find((one) => one === mode)
  if (known === undefined) throw new BadAddress(`has sslmode=${mode}; known are ${modes.join(', ')}`)
  if (known === 'disable') return false
  const file = (name: string) => {
    const path = given.get(name)
    return path === null ? undefined : readNamed(name, path)
  }
  const [ca, cert, key] = [file('sslrootcert'), file('sslcert'), file('sslkey')]
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: known !== 'require',
    ...(known === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  }
}

function readNamed(name: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new BadAddress(`names ${name}=${path}, which cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
