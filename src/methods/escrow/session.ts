/** Portal sessions: rows that open only with the browser's cookie. */
import { createHash, randomBytes } from 'node:crypto'
import { derive, openBox, sealBox } from '../../seal/box.ts'
import { type Db, type Statement, sql } from '../../store/db.ts'
import { joined } from './binding.ts'

/** Milliseconds without a request, and in all (spec/portal.md "Pages"). */
export const idleLife = 30 * 60_000
export const wholeLife = 12 * 60 * 60_000

/** What the cookie opens. `session` is the public id that stands in URLs. `code`: a reader before the proof; `sender`: who has the sender's link. */
export type Inside =
  | { readonly stage: 'code' | 'sender'; readonly session: string; readonly secret: string }
  | { readonly stage: 'open'; readonly session: string; readonly lookup: string; readonly fileKey: string }

export type Session = { readonly id: string; readonly letter: string; readonly inside: Inside }
type Row = { id: string; sealed: Buffer; letter: string; created_at: number; seen_at: number; ends_at: number }
type Parts = { readonly db: Db; readonly clock: () => number }

/** A new session: give the cookie to the browser and write the statement. `public` is made when not given. */
export function newSession(
  now: number,
  letter: string,
  inside: Omit<Extract<Inside, { secret: string }>, 'session'> | Omit<Extract<Inside, { stage: 'open' }>, 'session'>,
): {
  readonly cookie: string
  readonly session: string
  readonly statement: Statement
} {
  const name = randomBytes(16)
  const key = randomBytes(32)
  const session = randomBytes(12).toString('base64url')
  const id = idOf(name)
  const endsAt = now + wholeLife
  const sealed = sealBox(boxKey(key), Buffer.from(JSON.stringify({ ...inside, session })), bound(id, letter, endsAt))
  return {
    cookie: `${name.toString('base64url')}.${key.toString('base64url')}`,
    session,
    statement: sql`INSERT INTO portal_session (id, sealed, letter, created_at, seen_at, ends_at)
      VALUES (${id}, ${sealed}, ${letter}, ${now}, ${now}, ${endsAt})`,
  }
}

/** The session behind a cookie; undefined when there is none, it was changed, or its time is over. Notes at most once a minute that it was seen. */
export async function openSession({ db, clock }: Parts, cookie: string): Promise<Session | undefined> {
  const keys = readCookie(cookie)
  if (keys === undefined) return undefined
  const id = idOf(keys.name)
  const [row] = await db.read<Row>(sql`SELECT * FROM portal_session WHERE id = ${id}`)
  const now = clock()
  if (row === undefined || row.ends_at <= now || row.seen_at + idleLife <= now) return undefined
  const clear = openBox(boxKey(keys.key), row.sealed, bound(id, row.letter, row.ends_at))
  if (clear === undefined) return undefined
  if (row.seen_at + 60_000 <= now) await db.write(sql`UPDATE portal_session SET seen_at = ${now} WHERE id = ${id}`)
  return { id, letter: row.letter, inside: JSON.parse(clear.toString()) as Inside }
}

export const endSession = (id: string): Statement => sql`DELETE FROM portal_session WHERE id = ${id}`

/** The row's id for a cookie, without opening it. */
export function sessionId(cookie: string): string | undefined {
  const keys = readCookie(cookie)
  return keys && idOf(keys.name)
}

function readCookie(cookie: string): { name: Buffer; key: Buffer } | undefined {
  const [, name = '', key = ''] = /^([\w-]{22})\.([\w-]{43})$/.exec(cookie) ?? []
  return name === '' ? undefined : { name: Buffer.from(name, 'base64url'), key: Buffer.from(key, 'base64url') }
}

const idOf = (name: Buffer): string => createHash('sha256').update(name).digest('hex')
const boxKey = (key: Buffer): Buffer => derive(key, Buffer.alloc(0), 'letterlock portal session v1')
const bound = (id: string, letter: string, endsAt: number): Buffer => joined('letterlock portal session v1', id, letter, String(endsAt))
