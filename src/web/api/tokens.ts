/** Bearer tokens of the API: made once, shown once, kept as a hash; each has a role and an end. */
import { createHash, randomBytes } from 'node:crypto'
import { entry } from '../../audit/audit.ts'
import { newId } from '../../mail/id.ts'
import type { Clock } from '../../ops/clock.ts'
import { joinParts } from '../../seal/parts.ts'
import type { Signer } from '../../seal/signer.ts'
import { type Db, expecting, sql, Unexpected } from '../../store/db.ts'
import { isRole, type Role } from './roles.ts'

/** A token as lists show it: never the token itself. Times in milliseconds since 1970. */
export type TokenTrace = {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAt: number
  readonly createdBy: string
  readonly expiresAt: number
  readonly revokedAt: number | null
  /** To within ten minutes. */
  readonly usedAt: number | null
}

/** Who asks: what the audit calls `api:<id>`. */
export type Bearer = Pick<TokenTrace, 'id' | 'name' | 'role'>

export type NewToken = { readonly role: Role; readonly name: string; readonly lifetime: number; readonly by: string }

export type Tokens = {
  /** Make one; `token` is not to be had again. `lifetime` in milliseconds. */
  readonly create: (wanted: NewToken) => Promise<TokenTrace & { readonly token: string }>
  /** Newest first, the ended ones too. A row that is not ours is left out: it opens nothing. */
  readonly list: () => Promise<readonly TokenTrace[]>
  /** From now on it is refused; false when there is no such token, or it was revoked before. */
  readonly revoke: (id: string, by: string) => Promise<boolean>
  /** Whose token this is; undefined whatever is wrong with it, so that nobody learns which of his guesses came close. */
  readonly bearerOf: (token: string) => Promise<Bearer | undefined>
}

type Row = {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly hash: string
  readonly created_at: number
  readonly created_by: string
  readonly expires_at: number
  readonly revoked_at: number | null
  readonly used_at: number | null
  readonly signature: Buffer
}

/** Known by its beginning to people who find one, and to programs that look for leaked secrets. */
const prefix = 'letterlock_'
const form = /^letterlock_[A-Za-z0-9_-]{43}$/
const usedStep = 600_000

export function createTokens({ db, clock, signer }: { readonly db: Db; readonly clock: Clock; readonly signer: Signer }): Tokens {
  const isOurs = (row: Row): row is Row & { role: Role } => isRole(row.role) && signer.verify(signed(row), row.signature)
  return {
    create: async ({ role, name, lifetime, by }) => {
      const [token, now] = [prefix + randomBytes(32).toString('base64url'), clock()]
      const facts = { id: newId(), name, role, hash: hashOf(token), created_at: now, created_by: by, expires_at: now + lifetime }
      await db.write(
        sql`INSERT INTO api_token (id, name, role, hash, created_at, created_by, expires_at, signature)
          VALUES (${facts.id}, ${name}, ${role}, ${facts.hash}, ${now}, ${by}, ${facts.expires_at}, ${signer.sign(signed(facts))})`,
        entry(now, { actor: by, action: 'token.created', object: facts.id, detail: { role, name, expiresAt: facts.expires_at } }),
      )
      return { token, ...trace({ ...facts, revoked_at: null, used_at: null }) }
    },
    list: async () => {
      const rows = await db.read<Row>(sql`SELECT * FROM api_token ORDER BY created_at DESC, id DESC`)
      return rows.filter(isOurs).map(trace)
    },
    revoke: async (id, by) => {
      const now = clock()
      try {
        await db.write(
          expecting(1, sql`UPDATE api_token SET revoked_at = ${now} WHERE id = ${id} AND revoked_at IS NULL`),
          entry(now, { actor: by, action: 'token.revoked', object: id, detail: {} }),
        )
        return true
      } catch (error) {
        if (error instanceof Unexpected) return false
        throw error
      }
    },
    bearerOf: async (token) => {
      if (!form.test(token)) return undefined
      const [row] = await db.read<Row>(sql`SELECT * FROM api_token WHERE hash = ${hashOf(token)}`)
      const now = clock()
      if (row === undefined || !isOurs(row) || row.revoked_at !== null || row.expires_at <= now) return undefined
      if ((row.used_at ?? 0) < now - usedStep) await db.write(sql`UPDATE api_token SET used_at = ${now} WHERE id = ${row.id}`)
      return { id: row.id, name: row.name, role: row.role }
    },
  }
}

/**
 * One round of SHA-256 is enough: a token has 256 random bits, so there is no list of likely ones to try, as there is of passwords, and a slow
 * hash would only slow us. Looking the hash up leaks no prefix by its time: nobody can choose what a hash begins with.
 */
const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex')

/** Whoever can only write the database must not get a role by it: as with policies, the key in the folder of keys vouches for each row. */
const signed = (row: Pick<Row, 'id' | 'name' | 'role' | 'hash' | 'created_at' | 'created_by' | 'expires_at'>): Buffer =>
  joinParts(['letterlock token v1', row.id, row.name, row.role, row.hash, String(row.created_at), row.created_by, String(row.expires_at)])

const trace = (row: Omit<Row, 'role' | 'signature' | 'hash'> & { role: Role }): TokenTrace => ({
  id: row.id,
  name: row.name,
  role: row.role,
  createdAt: row.created_at,
  createdBy: row.created_by,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
  usedAt: row.used_at,
})
