/** People and machines that may submit with AUTH: their names and hashes, and a door that gets slower with every wrong knock. */
import { setTimeout as pause } from 'node:timers/promises'
import ipaddr from 'ipaddr.js'
import { entry } from '../audit/audit.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { type Db, expecting, sql, Unexpected } from '../store/db.ts'
import { createPasswordCheck, hashPassword, passwordProblem } from './password.ts'
import { createTries } from './tries.ts'

export type User = { readonly name: string; readonly createdAt: number; readonly disabledAt: number | null }

export type Checked =
  | { readonly kind: 'user'; readonly name: string }
  | { readonly kind: 'wrong' }
  /** Too many wrong passwords for this client address or this user; `wait` in milliseconds. */
  | { readonly kind: 'limited'; readonly wait: number }
  /** More sign-ins at once than we hash. */
  | { readonly kind: 'busy' }

export type Users = {
  /** A name that is there gets the new password, and is enabled. `actor` is who does it, for the audit trail. */
  readonly add: (
    name: string,
    password: string,
    actor: string,
  ) => Promise<{ kind: 'added'; name: string } | { kind: 'refused'; text: string }>
  readonly list: () => Promise<User[]>
  /** `unknown`: there is no such user, or it is disabled already. */
  readonly disable: (name: string, actor: string) => Promise<{ kind: 'disabled' } | { kind: 'unknown' }>
  /** Takes as long, and says the same, for a wrong password, an unknown and a disabled user. Rejects only when the database fails. */
  readonly check: (name: string, password: string, clientAddress: string) => Promise<Checked>
}

export type UsersParts = {
  readonly db: Db
  readonly clock: Clock
  readonly settings: Pick<Settings, 'limits.authFailures'>
  /** Milliseconds that the first wrong password waits for its answer; doubled by each further one, at most 16 times as long. */
  readonly slowness?: number
}

const window = 10 * 60 * 1000
const mostFamiliar = 10_000

export function createUsers(parts: UsersParts): Users {
  return {
    add: (name, password, actor) => add(parts, canonicalName(name), password, actor),
    list: () => list(parts),
    disable: (name, actor) => disable(parts, canonicalName(name), actor),
    check: createCheck(parts),
  }
}

async function add({ db, clock }: UsersParts, name: string, password: string, actor: string): ReturnType<Users['add']> {
  const problem = nameProblem(name) ?? passwordProblem(password)
  if (problem !== undefined) return { kind: 'refused', text: problem }
  const hashed = await hashPassword(password)
  await db.write(
    sql`INSERT INTO smtp_user (name, password_hash, created_at, disabled_at) VALUES (${name}, ${hashed}, ${clock()}, NULL)
      ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash, disabled_at = NULL`,
    entry(clock(), { actor, action: 'user.added', object: name, detail: {} }),
  )
  return { kind: 'added', name }
}

async function list({ db }: UsersParts): Promise<User[]> {
  type UserRow = { name: string; created_at: number; disabled_at: number | null }
  const rows = await db.read<UserRow>(sql`SELECT name, created_at, disabled_at FROM smtp_user ORDER BY name`)
  return rows.map((row) => ({ name: row.name, createdAt: row.created_at, disabledAt: row.disabled_at }))
}

async function disable({ db, clock }: UsersParts, name: string, actor: string): ReturnType<Users['disable']> {
  try {
    await db.write(
      expecting(1, sql`UPDATE smtp_user SET disabled_at = ${clock()} WHERE name = ${name} AND disabled_at IS NULL`),
      entry(clock(), { actor, action: 'user.disabled', object: name, detail: {} }),
    )
    return { kind: 'disabled' }
  } catch (error) {
    if (error instanceof Unexpected) return { kind: 'unknown' }
    throw error
  }
}

function createCheck({ db, clock, settings, slowness = 500 }: UsersParts): Users['check'] {
  const most = settings['limits.authFailures']
  const byClient = createTries({ clock, most, window })
  // What strangers may spend of a user's tries is four times as much, so that one address alone cannot lock anybody out.
  const byUser = createTries({ clock, most: most * 4, window })
  const fits = createPasswordCheck()
  /** Where a user signed in before, other people's guesses from elsewhere do not count. */
  const familiar = new Set<string>()

  return async (rawName, password, clientAddress) => {
    const name = canonicalName(rawName)
    const client = networkOf(clientAddress)
    const pair = `${client} ${name}`
    const endClient = byClient.begin(client)
    const endUser = familiar.has(pair) ? () => undefined : byUser.begin(name)
    const end = (failed: boolean) => {
      endClient?.(failed)
      endUser?.(failed)
    }
    if (endClient === undefined || endUser === undefined) {
      end(false)
      return { kind: 'limited', wait: Math.max(byClient.wait(client), byUser.wait(name), 1000) }
    }
    let right: boolean | undefined
    try {
      right = await fits(await storedHash(db, name), password)
    } finally {
      end(right === false)
    }
    if (right === undefined) return { kind: 'busy' }
    if (right) {
      if (familiar.size >= mostFamiliar) familiar.clear()
      familiar.add(pair)
      return { kind: 'user', name }
    }
    await pause(slowness * 2 ** Math.min(4, byClient.failures(client) - 1))
    return { kind: 'wrong' }
  }
}

async function storedHash(db: Db, name: string): Promise<string | undefined> {
  const [row] = await db.read<{ password_hash: string }>(
    sql`SELECT password_hash FROM smtp_user WHERE name = ${name} AND disabled_at IS NULL`,
  )
  return row?.password_hash
}

/** RFC 8265 §3.3, in short: one spelling of a name. */
const canonicalName = (name: string) => name.normalize('NFC').toLowerCase()

const nameProblem = (name: string) =>
  /^[^\p{C}\p{Z}]{1,128}$/u.test(name) ? undefined : 'a user name has 1 to 128 characters and no spaces'

/** An IPv4 address; of an IPv6 address its /64, because whoever has one has them all. */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString()
}
