/** Opening PostgreSQL: how its address is read, how its certificate is checked, and what is said when it cannot be used. */
import assert from 'node:assert/strict'
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createAuthority } from '../../src/demo/authority.ts'
import { freePort } from '../../src/demo/internet.ts'
import { CommandError } from '../../src/ops/errors.ts'
import { sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { readPostgresAddress } from '../../src/store/postgres-address.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'

describe('a PostgreSQL address', () => {
  const read = (text: string) => {
    const { ssl, ...rest } = readPostgresAddress(text)
    return { ...rest, ssl: ssl === false ? 'no TLS' : ssl.rejectUnauthorized === false ? 'any certificate' : 'checked' }
  }
  it('is read with its password, which is not in what is shown of it', () => {
    assert.deepEqual(read('postgres://me:p%40ss%2F@db.example:6543/mail?sslmode=verify-full'), {
      ...{ host: 'db.example', port: 6543, database: 'mail', user: 'me', password: 'p@ss/', ssl: 'checked' },
      shown: 'mail at db.example:6543',
    })
  })

  const tls: [what: string, address: string, ssl: string][] = [
    ['to this machine goes without TLS', 'postgres://me@127.0.0.1/mail', 'no TLS'],
    ['through a socket goes without TLS', 'postgres://me@%2Frun%2Fpostgresql/mail', 'no TLS'],
    ['to another machine checks the certificate, when nothing is said', 'postgres://me@db.example/mail', 'checked'],
    ['that says require believes any certificate, as libpq does', 'postgresql://me@db.example/mail?sslmode=require', 'any certificate'],
    ['that says disable goes without TLS', 'postgres://me@db.example/mail?sslmode=disable', 'no TLS'],
  ]
  for (const [what, address, ssl] of tls) it(what, () => assert.equal(read(address).ssl, ssl))

  const bad: [address: string, text: RegExp][] = [
    ['postgres://me:hun/ter2@db/mail', /is no address/],
    ['postgres://db/mail', /names no user/],
    ['postgres://me@db', /names no database/],
    ['postgres://me@db/mail?sslmode=prefer', /sslmode=prefer; known are disable/],
    ['postgres://me@db/mail?password=hunter2', /holds password=/],
    ['postgres://me@db/mail?opti=hunter2', /parameter opti; known/],
    ['postgres://me@db/mail?sslmode=require&sslrootcert=/nowhere', /sslrootcert=\/nowhere, which cannot be read/],
  ]
  for (const [address, text] of bad) {
    it(`is refused in words that hold no password: ${text.source}`, () => {
      assert.throws(
        () => readPostgresAddress(address),
        (error) => error instanceof Error && text.test(error.message) && !error.message.includes('ter2'),
      )
    })
  }
})

describe('opening PostgreSQL', { skip: withoutPostgres }, () => {
  const data = mkdtempSync(join(tmpdir(), 'letterlock-open-'))
  let server: Postgres
  before(async () => {
    server = await startPostgres()
  })
  after(async () => {
    await server?.close()
    rmSync(data, { recursive: true })
  })
  const refused = async (database: string, text: RegExp) => {
    const error = await openDatabase({ database, data }).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    assert.ok(error instanceof CommandError, `${error}`)
    assert.equal(error.exitCode, 69)
    assert.match(error.message, text)
    assert.doesNotMatch(error.message, /p@ss|p%40ss|wrong/)
  }

  it('makes the schema, and finds it the next time', async () => {
    const database = await server.makeDatabase()
    for (const applied of [true, true]) {
      const db = await openDatabase({ database, data })
      assert.equal((await db.read(sql`SELECT number FROM migration WHERE number = 1`)).length === 1, applied)
      await db.close()
    }
  })

  it('says who is refused, and where the password belongs', async () => {
    await refused(server.address('test_1', 'letterlock', 'wrong'), /refuses the user letterlock: .*LETTERLOCK_DATABASE_FILE/)
    await refused(server.address('test_1', 'nobody'), /refuses the user nobody/)
  })
  it('says how to make a database that is missing', () =>
    refused(server.address('missing'), /has no database missing: create it with createdb -E UTF8 -T template0 -O letterlock missing/))
  it('says that nobody answers', async () =>
    refused(
      `postgres://letterlock@127.0.0.1:${await freePort('127.0.0.1')}/mail`,
      /does not answer: .*ECONNREFUSED.*; start it, or correct/,
    ))
  it('says which rights are missing', async () => {
    await server.command('CREATE DATABASE foreign_one')
    await refused(server.address('foreign_one'), /does not let the user letterlock do what is needed.*make letterlock the owner/)
  })
  it('refuses an encoding that cannot hold every address', async () => {
    await server.command("CREATE DATABASE latin OWNER letterlock ENCODING 'LATIN1' TEMPLATE template0")
    await refused(server.address('latin'), /has the encoding LATIN1; make a database with createdb -E UTF8/)
  })
  it('refuses a server that would lose mail in a power cut', async () => {
    const database = await server.makeDatabase()
    const set = async (value: string) => {
      await server.command(`ALTER SYSTEM SET fsync = ${value}`)
      await server.command('SELECT pg_reload_conf()')
    }
    await set('off')
    for (let said = ''; said !== 'off'; ) said = String((await server.command('SHOW fsync'))[0]?.fsync)
    await refused(database, /fsync = off and would lose mail/)
    await set('on')
  })

  it('checks the certificate: its name and who vouches for it', async () => {
    const authority = await createAuthority('Database Root')
    const { cert, key } = await authority.issue(['localhost'])
    const [at, { uid, gid }] = [(name: string) => join(server.folder, name), statSync(server.folder)]
    for (const [name, text] of Object.entries({ cert, key })) {
      writeFileSync(at(name), text, { mode: 0o600 })
      chownSync(at(name), uid, gid)
    }
    writeFileSync(join(data, 'root.pem'), authority.cert)
    for (const [name, value] of Object.entries({ ssl_cert_file: at('cert'), ssl_key_file: at('key'), ssl: 'on' }))
      await server.command(`ALTER SYSTEM SET ${name} = '${value}'`)
    await server.stop('fast')
    await server.start()
    const database = await server.makeDatabase()
    const by = (host: string, more: string) => `${database.replace('127.0.0.1', host)}?${more}`
    await refused(by('localhost', 'sslmode=verify-full'), /cannot be trusted: .*certificate.*sslrootcert=/)
    await refused(by('127.0.0.1', `sslmode=verify-full&sslrootcert=${join(data, 'root.pem')}`), /cannot be trusted: .*sslrootcert=/)
    for (const good of [by('localhost', `sslmode=verify-full&sslrootcert=${join(data, 'root.pem')}`), by('127.0.0.1', 'sslmode=require')]) {
      const db = await openDatabase({ database: good, data })
      assert.deepEqual(await db.write(sql`SELECT 1 AS one`), [[{ one: 1 }]])
      await db.close()
    }
  })
})
