/** People and machines that may submit with AUTH: their names, argon2id hashes, and a door that gets slower with every wrong knock. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import ipaddr from 'ipaddr.js'
import { entry } from '../audit/audit.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { type Db, expecting, sql, Unexpected } from '../store/db.ts'
import { createTries } from './tries.ts'
import { createTurnstile } from './turnstile.ts'

export type User = { readonly name: string; readonly createdAt: number; readonly disabledAt: number | null }

export type Checked =
  | { readonly kind: 'user'; readonly name: string }
  | { readonly kind: 'wrong' }
  /** Too many wrong passwords for this client address or this user; `wait` in milliseconds. */
  | { readonly kind: 'limited'; readonly wait: number }
  /** More sign-ins at once than we hash. */
  | { readonly kind: 'busy' }

export type Users = {
  /** `actor` is who does it, for the audit trail. A disabled name that is added again is enabled with the new password. */
  readonly add: (
    name: string,
    password: string,
    actor: string,
  ) => Promise<{ kind: 'added'; name: string } | { kind: 'refused'; text: string }>
  readonly list: () => Promise<User[]>
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

/** OWASP's and RFC 9106's second choice, for machines that do more than hash: 19 MiB, two passes. */
const cost = { algorithm: 2 satisfies Algorithm.Argon2id as Algorithm, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const window = 10 * 60 * 1000
const passwordLength = { least: 12, most: 1024 }

export function createUsers({ db, clock, settings, slowness = 500 }: UsersParts): Users {
  const most = settings['limits.authFailures']
  const byClient = createTries({ clock, most, window })
  // Strangers share what a user has left; four times as much, so that one address alone cannot lock anybody out.
  const byUser = createTries({ clock, most: most * 4, window })
  const familiar = new Set<string>()
  const turnstile = createTurnstile({ atOnce: 2, waiting: 64 })
  let decoy: Promise<string> | undefined

  const storedHash = async (name: string): Promise<string | undefined> => {
    const [row] = await db.read<{ password_hash: string }>(
      sql`SELECT password_hash FROM smtp_user WHERE name = ${name} AND disabled_at IS NULL`,
    )
    return row?.password_hash
  }

  const isRight = async (name: string, password: string): Promise<boolean | undefined> => {
    decoy ??= hash('nobody has this password', cost)
    const known = await storedHash(name)
    const against = known ?? (await decoy)
    const right = await turnstile(() => verify(against, prepared(password)))
    return right === undefined ? undefined : right && known !== undefined
  }

  return {
    add: async (rawName, password, actor) => {
      const name = canonicalName(rawName)
      const problem = nameProblem(name) ?? passwordProblem(password)
      if (problem !== undefined) return { kind: 'refused', text: problem }
      const hashed = await hash(prepared(password), cost)
      try {
        await db.write(
          expecting(
            1,
            sql`INSERT INTO smtp_user (name, password_hash, created_at, disabled_at) VALUES (${name}, ${hashed}, ${clock()}, NULL)
              ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash, created_at = excluded.created_at, disabled_at = NULL
              WHERE smtp_user.disabled_at IS NOT NULL`,
          ),
          entry(clock(), { actor, action: 'user.added', object: name, detail: {} }),
        )
      } catch (error) {
        if (!(error instanceof Unexpected)) throw error
        return { kind: 'refused', text: `the user ${name} exists; disable it first to give it a new password` }
      }
      return { kind: 'added', name }
    },

    list: async () => {
      const rows = await db.read<{ name: string; created_at: number; disabled_at: number | null }>(
        sql`SELECT name, created_at, disabled_at FROM smtp_user ORDER BY name`,
      )
      return rows.map((row) => ({ name: row.name, createdAt: row.created_at, disabledAt: row.disabled_at }))
    },

    disable: async (rawName, actor) => {
      const name = canonicalName(rawName)
      try {
        await db.write(
          expecting(1, sql`UPDATE smtp_user SET disabled_at = ${clock()} WHERE name = ${name} AND disabled_at IS NULL`),
          entry(clock(), { actor, action: 'user.disabled', object: name, detail: {} }),
        )
      } catch (error) {
        if (!(error instanceof Unexpected)) throw error
        return { kind: 'unknown' }
      }
      return { kind: 'disabled' }
    },

    check: async (rawName, password, clientAddress) => {
      const name = canonicalName(rawName)
      const client = networkOf(clientAddress)
      const known = familiar.has(`${client} ${name}`)
      const endClient = byClient.begin(client)
      // Where this user signed in before, other people's guesses from elsewhere do not count.
      const endUser = known ? () => undefined : byUser.begin(name)
      if (endClient === undefined || endUser === undefined) {
        endClient?.(false)
        endUser?.(false)
        return { kind: 'limited', wait: Math.max(byClient.wait(client), byUser.wait(name), 1000) }
      }
      let right: boolean | undefined
      try {
        right = Buffer.byteLength(password) > passwordLength.most ? false : await isRight(name, password)
      } finally {
        endClient(right === false)
        endUser(right === false)
      }
      if (right === undefined) return { kind: 'busy' }
      if (right) {
        if (familiar.size >= 10_000) familiar.clear()
        familiar.add(`${client} ${name}`)
        return { kind: 'user', name }
      }
      await pause(slowness * 2 ** Math.min(4, byClient.failures(client) - 1))
      return { kind: 'wrong' }
    },
  }
}

/** RFC 8265 §3.3, in short: one spelling of a name. */
const canonicalName = (name: string) => name.normalize('NFC').toLowerCase()

/** RFC 8265 §4.2, in short: one spelling of a password. */
const prepared = (password: string) => password.normalize('NFC')

function nameProblem(name: string): string | undefined {
  if (/^[^\p{C}\p{Z}]{1,128}$/u.test(name)) return undefined
  return 'a user name has 1 to 128 characters and no spaces'
}

function passwordProblem(password: string): string | undefined {
  if ([...password].length < passwordLength.least) return `a password has at least ${passwordLength.least} characters`
  if (Buffer.byteLength(password) > passwordLength.most) return `a password has at most ${passwordLength.most} bytes`
  return /[\p{Cc}]/u.test(password) ? 'a password has no control characters' : undefined
}

/** An IPv4 address; of an IPv6 address its /64, because whoever has one has them all. */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString()
}
