/** Does a change once, however often its request comes: Idempotency-Key, as draft-ietf-httpapi-idempotency-key-header has it. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../ops/clock.ts'
import { type Db, expecting, sql, Unexpected } from '../../store/db.ts'
import { type Answer, problem } from './problem.ts'

export type Request = { readonly token: string; readonly key: string; readonly target: string; readonly bytes: Buffer }

const kept = 86_400_000

/**
 * Run `change` unless this token has sent this key within a day: then the answer of that time. Answers of 500 and above are not kept, so that
 * the same request may be tried again; a key whose change never ended is refused, for nobody knows whether it was done.
 */
export async function once(
  { db, clock }: { readonly db: Db; readonly clock: Clock },
  request: Request,
  change: () => Promise<Answer>,
): Promise<Answer> {
  const { token, key } = request
  if (!/^[\x21-\x7e]{1,255}$/.test(key))
    return problem('request-malformed', 'Idempotency-Key: at most 255 printable characters without spaces')
  const [now, fingerprint] = [clock(), fingerprintOf(request)]
  try {
    await db.write(
      sql`DELETE FROM api_answer WHERE at < ${now - kept}`,
      expecting(
        1,
        sql`INSERT INTO api_answer (token, key, request, at) VALUES (${token}, ${key}, ${fingerprint}, ${now}) ON CONFLICT (token, key) DO NOTHING`,
      ),
    )
  } catch (error) {
    if (error instanceof Unexpected) return again(db, request, fingerprint)
    throw error
  }
  const forget = () => db.write(sql`DELETE FROM api_answer WHERE token = ${token} AND key = ${key}`)
  const answer = await change().catch(async (error: unknown) => {
    // What broke off may have been done: its key stays taken.
    if (!(error instanceof Error && error.name === 'OutcomeUnknown')) await forget()
    throw error
  })
  if (answer.status >= 500) await forget()
  else await db.write(sql`UPDATE api_answer SET answer = ${JSON.stringify(answer)} WHERE token = ${token} AND key = ${key}`)
  return answer
}

async function again(db: Db, { token, key }: Request, fingerprint: string): Promise<Answer> {
  const [row] = await db.read<{ request: string; answer: string | null }>(
    sql`SELECT request, answer FROM api_answer WHERE token = ${token} AND key = ${key}`,
  )
  if (row !== undefined && row.request !== fingerprint)
    return problem('key-used', 'Idempotency-Key: it came with another request; take a new one')
  if (row === undefined || row.answer === null)
    return problem(
      'request-under-way',
      'the first request with this key has not ended; if it broke off, see what is in force and take a new key',
    )
  return JSON.parse(row.answer) as Answer
}

const fingerprintOf = ({ target, bytes }: Request): string => createHash('sha256').update(`${target}\n`).update(bytes).digest('hex')
